"""The acquisition function: the expected gain in accuracy over the budgets that a user may choose.

A budget allows so much of each cost. The best network within it is what its user gets. So a candidate is worth, for
each budget in which it fits, its expected improvement over the best that has been found within that budget. The gain is
the weighted sum over a grid of budgets. What is known counts as it is; a cost that must be learned fits a budget with
the probability that its normal posterior gives. The expected improvement of a normal loss v with mean m and standard
deviation s below a level t is EI(t) = E[(t - v)+] = s (z Phi(z) + phi(z)), z = (t - m) / s (Jones et al. 1998, eq. 15).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from ..models.bend import Bend
from ..models.surrogate import Prediction

Array = NDArray[np.float64]

BUDGETS = 8
"""Budgets of each cost, at equal steps of its logarithm."""
FINE_BUDGETS = {1: 64, 2: 24, 3: 10}
"""Number of costs -> budgets of each cost where there is a prior and no cost has a limit.

Without a limit the whole front matters, and a prior tells networks apart that lie between two of the eight budgets
(benchmarks/prior_settings.py).
"""
FULL_WEIGHT = 0.3
"""Share of the weight on the budget that allows the most of every cost, where no cost has a limit."""
LIMIT_WEIGHT = 0.7
"""The same where one has: who names a limit has told what he has."""


@dataclass(frozen=True, slots=True)
class Budgets:
    """A grid of budgets: every combination of what may be allowed of each cost."""

    levels: tuple[Array, ...]
    """For each cost the losses up to which its budgets reach, rising, (budgets,)."""
    weights: Array
    """(budgets, ...), an axis a cost; they add up to 1."""

    @classmethod
    def between(cls, low: Array, high: Array, full: Array, count: int = BUDGETS) -> "Budgets":
        """The grid between a least and a most for each cost, (costs,), but that the largest budget is `full`.

        That is infinite where a cost has no limit. The budget that is full in every cost has FULL_WEIGHT of the weight,
        LIMIT_WEIGHT where a cost has a limit.
        """
        steps = np.arange(1, count + 1) / count
        levels = tuple(bottom + steps * (top - bottom) for bottom, top in zip(low, high, strict=True))
        for level, most in zip(levels, full.tolist(), strict=True):
            level[-1] = most
        share = LIMIT_WEIGHT if np.isfinite(full).any() else FULL_WEIGHT
        weights = np.full((count,) * len(levels), (1.0 - share) / max(1, count ** len(levels) - 1))
        weights[(-1,) * len(levels)] = share
        return cls(levels, weights / weights.sum())

    def best_within(self, losses: Array, costs: Array, worst: float) -> Array:
        """The lowest of `losses` (n,) among the networks that fit each budget, `worst` at most; shaped as the grid.

        `costs` (n, costs) are losses as the levels are.
        """
        best = np.full(self.weights.shape, worst)
        for loss, cost in zip(losses.tolist(), costs.tolist(), strict=True):
            first = [int(np.searchsorted(level, value)) for level, value in zip(self.levels, cost, strict=True)]
            inside = tuple(slice(start, None) for start in first)
            best[inside] = np.minimum(best[inside], loss)
        return best

    def expected_gain(
        self, predictions: Sequence[Prediction], fits: Sequence[Array], best: Array, bend: Bend | None = None
    ) -> Array:
        """The expected gain of n candidates, (n,), in units of the loss.

        `predictions` are the components of the mixture that the losses, bent ones where there is a `bend`, are drawn
        from; `fits` has for each cost the probability that the candidate is within each of its budgets, (n, budgets);
        `best` is what `best_within` gives.
        """
        levels, places = np.unique(best, return_inverse=True)
        by_level = np.zeros((len(levels), best.size))
        by_level[places.reshape(-1), np.arange(best.size)] = self.weights.reshape(-1)
        weight = by_level.reshape(1, len(levels), *best.shape)  # (candidates or 1, levels, budgets of each cost ...)
        for fit in reversed(fits):
            weight = np.matmul(weight, fit.reshape(len(fit), *(1,) * (weight.ndim - 3), -1, 1))[..., 0]
        gains = [
            each.weight * weight * shortfall(levels, each.mean[:, None], each.deviation[:, None], bend)
            for each in predictions
        ]
        return np.asarray(np.sum(gains, axis=0).sum(axis=1))


def fits_within(levels: Array, mean: Array, deviation: Array, bend: Bend | None = None) -> Array:
    """Probability that a loss is at most each of the levels, (n, levels); 0 or 1 where the deviation is 0."""
    bent = levels if bend is None else bend.bend(levels)
    margin = bent[None, :] - mean[:, None]
    if not deviation.any():
        return np.asarray((margin >= -1e-12).astype(float))
    return np.asarray(ndtr(margin / np.maximum(deviation, 1e-12)[:, None]))


def shortfall(level: Array, mean: Array, deviation: Array, bend: Bend | None = None) -> Array:
    """E[(level - v)+] for v normal, or normal once it is bent; `max(level - mean, 0)` where the deviation is 0."""
    if not deviation.any():
        return np.maximum(level - mean, 0.0)
    spread = np.maximum(deviation, 1e-12)
    return _shortfall(level, mean, spread) if bend is None else _bent_shortfall(level, mean, spread, bend)


def _shortfall(level: Array, mean: Array, deviation: Array) -> Array:
    """E[(level - v)+] for v normal."""
    z = (level - mean) / deviation
    return np.asarray(deviation * (z * ndtr(z) + np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)))


def _bent_shortfall(level: Array, mean: Array, deviation: Array, bend: Bend) -> Array:
    """E[(level - v)+] for v whose bend is normal: v = b up to the edge, edge + r (exp((b - edge) / r) - 1) beyond."""
    edge, r = bend.edge, bend.spread
    below = _shortfall(np.minimum(level, edge), mean, deviation)
    beyond = np.maximum(level - edge, 0.0)  # what a level above the edge adds
    a, b = (edge - mean) / deviation, (edge + r * np.log1p(beyond / r) - mean) / deviation
    growth = np.exp(np.minimum((mean - edge) / r + 0.5 * (deviation / r) ** 2, 100.0))
    between = (beyond + r) * (ndtr(b) - ndtr(a)) - r * growth * (ndtr(b - deviation / r) - ndtr(a - deviation / r))
    return np.asarray(below + beyond * ndtr(a) + np.maximum(between, 0.0))
