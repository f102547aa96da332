"""Surrogate of an objective that only a trial can tell: a Gaussian process, or two of them where there is a prior.

With a prior, one process follows its expectation, with a slope that is learned, and one ignores it. Their predictions
are mixed, weighted by how well each process explains the observations (Bayesian model averaging, Hoeting et al. 1999,
with the density at the most probable hyperparameters instead of the integral over all). So a prior that is right helps
from the first trial on, and one that is wrong loses its influence.
"""

import copy
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .gaussian_process import GaussianProcess

Array = NDArray[np.float64]

PRIOR_WEIGHT = 0.65
"""Weight of the process that follows the prior, before there are enough observations to compare the two."""
ENOUGH = 4
"""Observations from which on the two processes are compared."""
PRIOR_DEVIATION = 0.7
"""Standard deviation around the expectation before the first observation, in standard deviations of expectations."""
LEAST_SPREAD = 0.3
"""Least standard deviation that the expectations of a few observations are taken to have."""


class Prediction(NamedTuple):
    """Normal distribution of each candidate's value, (n,), one component of a mixture."""

    weight: float
    mean: Array
    deviation: Array


class Surrogate:
    """Predictions after observations `x` (n, features) and `y` (n,) with the known variances `noise` (n,)."""

    def __init__(
        self, x: Array, y: Array, noise: Array, expected: Array | None = None, worst: tuple[float, float] = (0.0, 1.0)
    ) -> None:
        """`expected` (n,) is the prior's expectation, scaled to a standard deviation of 1 over all candidates.

        `worst` is the highest expectation among all candidates, and the value that it stands for. It sets the scale
        while there is no more than one observation.
        """
        self._processes = list[tuple[float, GaussianProcess, bool]]()
        """Weight, process, and whether it follows the prior."""
        self._worst = worst
        if not len(y):
            return
        plain = GaussianProcess(x, y, noise)
        if expected is None:
            self._processes = [(1.0, plain, False)]
            return
        following = GaussianProcess(x, y, noise, trend=expected, unit=self._unit(y, expected))
        odds = math.log(PRIOR_WEIGHT / (1 - PRIOR_WEIGHT))
        if len(y) >= ENOUGH:
            odds += following.evidence - plain.evidence
        weight = 1.0 / (1.0 + math.exp(-min(max(odds, -50.0), 50.0)))
        self._processes = [(weight, following, True), (1.0 - weight, plain, False)]

    def predictions(self, x: Array, expected: Array | None) -> list[Prediction]:
        """Return the components for candidates `x` (n, features) with the prior's expectation `expected` (n,)."""
        if not self._processes:
            highest, value = self._worst
            mean = np.full(len(x), value - PRIOR_DEVIATION) if expected is None else value + expected - highest
            return [Prediction(1.0, mean, np.full(len(x), PRIOR_DEVIATION))]
        return [
            Prediction(weight, *process.predict(x, expected if follows else None))
            for weight, process, follows in self._processes
        ]

    def mean(self, x: Array, expected: Array | None) -> Array:
        """Return the mean of the mixture for candidates as in `predictions`, (n,)."""
        return np.asarray(np.sum([each.weight * each.mean for each in self.predictions(x, expected)], axis=0))

    def believing(self, x: Array, expected: Array | None) -> "Surrogate":
        """Return the surrogate as if its means at `x` had been observed: surer there, the same on average."""
        found = copy.copy(self)
        found._processes = [
            (weight, process.believing(x, expected if follows else None), follows)
            for weight, process, follows in self._processes
        ]
        return found

    def _unit(self, y: Array, expected: Array) -> float:
        """Return by how much values change for each unit of the expectation."""
        if len(y) > 1 and (spread := float(np.std(y))) > 0:
            return spread / max(float(np.std(expected)), LEAST_SPREAD)
        highest, value = self._worst
        return max(value - float(np.mean(y)), 1e-3) / max(highest - float(np.mean(expected)), LEAST_SPREAD)
