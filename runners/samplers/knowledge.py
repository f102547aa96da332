"""What is known of a candidate before any trial? Its costs and whether it keeps the limits, asked once."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objectives.base import log_cost

from .candidates import Params, Space
from .encoding import Encoding

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one candidate."""

    key: Hashable
    """Candidates with equal keys are the same."""
    known: tuple[float, ...]
    """An entry an objective, NaN where a trial must tell."""
    excess: float
    """By how much constraints are broken, added up; 0 where all are kept."""
    encoded: tuple[float, ...]
    """Its parameters."""
    features: tuple[float, ...]

    @property
    def feasible(self) -> bool:
        return self.excess == 0


class Knowledge:
    """Answers for every candidate of one space, from what the study's owner can compute."""

    def __init__(
        self,
        space: Space,
        known: Callable[[Params], Sequence[float | None]],
        constraints: Callable[[Params], Sequence[float]] | None,
        features: Callable[[Params], Sequence[float]] | None,
        key: Callable[[Params], Hashable] | None,
        prior: Callable[[Params], float | None] | None = None,
    ) -> None:
        self._space, self._known, self._constraints = space, known, constraints
        self._features, self._key, self._prior = features, key, prior
        self._encoding = Encoding(space)
        self._facts: dict[tuple[Any, ...], Facts] = {}
        self._priors: dict[tuple[Any, ...], float] = {}
        self._missing: list[bool] | None = None

    def facts(self, params: Mapping[str, Any]) -> Facts:
        """Of the candidate with these parameters; others than the space's are ignored.

        Raises ValueError where what must be learned of one that keeps the constraints is known of another.
        """
        point = tuple(params[name] for name in self._space)
        found = self._facts.get(point)
        if found is None:
            own = dict(zip(self._space, point, strict=True))
            found = Facts(
                key=point if self._key is None else self._key(own),
                known=tuple(math.nan if value is None else float(value) for value in self._known(own)),
                excess=0.0 if self._constraints is None else sum(max(float(f), 0.0) for f in self._constraints(own)),
                encoded=self._encoding.encode(own),
                features=() if self._features is None else tuple(self._features(own)),
            )
            if found.feasible:
                self._check(found)
            self._facts[point] = found
        return found

    def _check(self, facts: Facts) -> None:
        missing = [math.isnan(value) for value in facts.known]
        if self._missing is None:
            self._missing = missing
        if missing != self._missing:
            raise ValueError("known: must give None for the same objectives whatever the candidate")

    def costs(self, candidates: Sequence[Mapping[str, Any]]) -> Array:
        """What is known of the objectives, (candidates, objectives), NaN where a trial must tell."""
        return np.array([self.facts(params).known for params in candidates], dtype=float)

    def priors(self, candidates: Sequence[Mapping[str, Any]]) -> Array:
        """What is expected of candidates before any trial, (candidates,), on any scale; NaN where nothing is."""
        if self._prior is None:
            return np.full(len(candidates), math.nan)
        return np.array([self._expected(params) for params in candidates], dtype=float)

    def _expected(self, params: Mapping[str, Any]) -> float:
        assert self._prior is not None
        point = tuple(params[name] for name in self._space)
        if point not in self._priors:
            expected = self._prior(dict(zip(self._space, point, strict=True)))
            self._priors[point] = math.nan if expected is None else float(expected)
        return self._priors[point]

    def inputs(self, candidates: Sequence[Mapping[str, Any]], in_logs: NDArray[np.bool_]) -> Array:
        """What a surrogate sees: parameters, known objectives and features, (candidates, columns), unscaled.

        `in_logs` (objectives,) says which objectives are compared in logarithms.
        """
        facts = [self.facts(params) for params in candidates]
        costs = np.array([f.known for f in facts], dtype=float)
        costs[:, in_logs] = log_cost(costs[:, in_logs])
        encoded = np.array([f.encoded for f in facts], dtype=float)
        features = np.array([f.features for f in facts], dtype=float)
        return np.column_stack([encoded, costs[:, ~np.isnan(costs).any(axis=0)], features])


def positive(figures: Array) -> NDArray[np.bool_]:
    """Which columns hold positive numbers throughout, NaN left out, and at least one."""
    return np.asarray((np.nan_to_num(figures, nan=1.0) > 0).all(axis=0) & ~np.isnan(figures).all(axis=0))
