"""What a prior expects of candidates, on a scale of its own."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..knowledge import Knowledge

Array = NDArray[np.float64]

TAILS = (0.05, 0.95)
"""Quantiles of the expectations. What lies farther outside than they lie apart counts as if it were just there."""


class Expected:
    """Expectations with mean 0 and standard deviation 1 over `candidates`, the more the better or the worse."""

    def __init__(self, knowledge: Knowledge, candidates: Sequence[Mapping[str, Any]]) -> None:
        self._knowledge = knowledge
        self._bounds, self._mean, self._deviation = (0.0, 0.0), 0.0, 0.0
        self.lowest, self.highest = 0.0, 0.0
        """Of the expectations of `candidates`."""
        given = knowledge.priors(candidates)
        given = given[np.isfinite(given)]
        if len(given):
            low, high = np.quantile(given, TAILS).tolist()
            self._bounds = low - (high - low), high + (high - low)
            given = np.clip(given, *self._bounds)
            self._mean, self._deviation = float(given.mean()), float(given.std())
        if self.tells_apart:
            self.lowest, self.highest = ((np.array([given.min(), given.max()]) - self._mean) / self._deviation).tolist()

    @property
    def tells_apart(self) -> bool:
        """Whether some candidate is expected to be better than another."""
        return self._deviation > 1e-9 * max(map(abs, self._bounds))

    def of(self, candidates: Sequence[Mapping[str, Any]]) -> Array | None:
        """Return the expectations, (n,), 0 where there is none; None where no candidate is told from another."""
        if not self.tells_apart:
            return None
        given = self._knowledge.priors(candidates)
        given = np.where(np.isfinite(given), given, self._mean)
        return np.asarray((np.clip(given, *self._bounds) - self._mean) / self._deviation)
