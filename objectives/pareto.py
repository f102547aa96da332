"""The Pareto front of networks, and its hypervolume."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from search_space.errors import UserError

from .base import Objective, log_cost
from .optuna_private import dominated_volume, non_dominated

Matrix = NDArray[np.float64]


def losses(values: Sequence[Sequence[float]] | Matrix, objectives: Sequence[Objective]) -> Matrix:
    """Values (points, objectives) -> what is minimised, in `Objective.loss`'s scale, same shape."""
    table = np.asarray(values, dtype=float).reshape(len(values), len(objectives))
    columns = [-column if o.maximize else log_cost(column) for o, column in zip(objectives, table.T, strict=True)]
    return np.stack(columns, axis=1)


def pareto_mask(loss: Matrix, feasible: Sequence[bool] | None = None) -> NDArray[np.bool_]:
    """Which rows of `loss` (points, objectives), all minimised, no other feasible row dominates.

    Infeasible rows and rows with a NaN are never on the front and dominate nothing. Of equal rows all are on the front.
    """
    mask = np.zeros(len(loss), dtype=bool)
    candidates = ~np.isnan(loss).any(axis=1)
    if feasible is not None:
        candidates &= np.asarray(feasible, dtype=bool)
    if candidates.any():
        unique, inverse = np.unique(loss[candidates], axis=0, return_inverse=True)
        mask[candidates] = non_dominated(unique)[inverse.reshape(-1)]
    return mask


def hypervolume(loss: Matrix, worst: Sequence[float], best: Sequence[float]) -> float:
    """Share of the box between the points `worst` and `best` that the rows of `loss` dominate, in 0..1. Exact.

    All three in `Objective.loss`'s scale, for 2 to 4 objectives. Rows that do not reach the box count as nothing, rows
    beyond `best` up to its border.
    """
    if not 2 <= len(worst) <= 4:
        raise UserError(f"hypervolume: needs 2 to 4 objectives, not {len(worst)}")
    low, high = np.asarray(best, dtype=float), np.asarray(worst, dtype=float)
    scaled = (np.asarray(loss, dtype=float).reshape(-1, len(low)) - low) / (high - low)
    inside = scaled[(scaled < 1).all(axis=1)].clip(min=0.0)
    return dominated_volume(inside, np.ones(len(low)))


class GrowingFront:
    """A front that is offered one point after the other, with its hypervolume.

    Each offer costs a comparison with the members, and for a new member the volume that it alone adds, so that a study
    of ten thousand trials need not be looked at again for each of them.
    """

    def __init__(self, worst: Sequence[float], best: Sequence[float]) -> None:
        """`worst` and `best` are the corners of the hypervolume's box, in `Objective.loss`'s scale."""
        self.hypervolume = 0.0
        """Share of the box, as `hypervolume` has it."""
        self.members: list[int] = []
        """Names of the points on the front."""
        self._low = np.asarray(best, dtype=float)
        self._span = np.asarray(worst, dtype=float) - self._low
        self._losses = np.empty((0, len(self._low)))

    def offer(self, name: int, loss: Sequence[float] | Matrix) -> set[int] | None:
        """Take a point up: the names that it drives from the front; None where it is dominated or has a NaN.

        Equal points are all members.
        """
        point = np.asarray(loss, dtype=float)
        if np.isnan(point).any() or _dominates(self._losses, point).any():
            return None
        self.hypervolume += self._gain(point, self._losses)
        beaten = _dominates(point, self._losses)
        left = {member for member, is_beaten in zip(self.members, beaten.tolist(), strict=True) if is_beaten}
        self.members = [*(member for member in self.members if member not in left), name]
        self._losses = np.vstack([self._losses[~beaten], point])
        return left

    def _gain(self, point: Matrix, others: Matrix) -> float:
        """The volume that `point` dominates and none of `others` does (While et al. 2012, exclusive hypervolume)."""
        corner = ((point - self._low) / self._span).clip(min=0.0)
        if (corner >= 1).any():
            return 0.0
        shadows = np.maximum((others - self._low) / self._span, corner)
        inside = shadows[(shadows < 1).all(axis=1)]
        return float(np.prod(1 - corner) - dominated_volume(inside, np.ones(len(corner))))


def _dominates(a: Matrix, b: Matrix) -> NDArray[np.bool_]:
    """Whether `a` is nowhere worse than `b` and somewhere better, row by row."""
    return np.asarray((a <= b).all(axis=1) & (a < b).any(axis=1))
