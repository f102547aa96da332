"""What is known of a candidate before any trial? Its costs and whether it keeps the limits, asked once."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .candidates import Params, Space
from .encoding import Encoding

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one candidate."""

    key: Hashable
    """Candidates with equal keys are the same."""
    known: tuple[float | None, ...]
    """An entry an objective."""
    feasible: bool
    features: tuple[float, ...]


class Knowledge:
    """Answers for every candidate of one space, from what the study's owner can compute."""

    def __init__(
        self,
        space: Space,
        known: Callable[[Params], Sequence[float | None]],
        constraints: Callable[[Params], Sequence[float]] | None,
        features: Callable[[Params], Sequence[float]] | None,
        key: Callable[[Params], Hashable] | None,
    ) -> None:
        self._space, self._known, self._constraints = space, known, constraints
        self._features, self._key = features, key
        self._encoding = Encoding(space)
        self._facts: dict[tuple[Any, ...], Facts] = {}

    def facts(self, params: Mapping[str, Any]) -> Facts:
        """Of the candidate with these parameters; others than the space's are ignored."""
        point = tuple(params[name] for name in self._space)
        found = self._facts.get(point)
        if found is None:
            own = dict(zip(self._space, point, strict=True))
            found = self._facts[point] = Facts(
                key=point if self._key is None else self._key(own),
                known=tuple(self._known(own)),
                feasible=self._constraints is None or all(figure <= 0 for figure in self._constraints(own)),
                features=() if self._features is None else tuple(self._features(own)),
            )
        return found

    def costs(self, candidates: Sequence[Mapping[str, Any]]) -> Array:
        """What is known of the objectives, (candidates, objectives), NaN where a trial must tell."""
        rows = [self.facts(params).known for params in candidates]
        return np.array([[np.nan if value is None else value for value in row] for row in rows], dtype=float)

    def inputs(self, candidates: Sequence[Mapping[str, Any]]) -> Array:
        """What a surrogate sees: parameters, known objectives and features, (candidates, columns), unscaled.

        Known objectives that are positive throughout are in logarithms.
        """
        costs = self.costs(candidates)
        costs = costs[:, ~np.isnan(costs).any(axis=0)]
        positive = (costs > 0).all(axis=0)
        costs[:, positive] = np.log10(costs[:, positive])
        features = np.array([self.facts(params).features for params in candidates], dtype=float)
        return np.column_stack([self._encoding.encode(candidates), costs, features])
