"""What is thought of an objective that must be learned: a process, or two where something was expected beforehand.

With an expectation there is a process that follows it (with a slope that it learns) beside one that does not, and each
counts by how well it explains what has been observed (Bayesian model averaging). So an expectation that is right helps
from the first trial on, and one that is wrong is soon forgotten.
"""

import copy
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..gaussian_process import GaussianProcess

Array = NDArray[np.float64]

TRUST = 0.8
"""Weight of the process that follows the expectation, before anything is observed."""
ENOUGH = 4
"""Observations from which on they say something about the expectation."""
LEAST_SPREAD = 0.3
"""Least standard deviation that a few observations' expectations are taken to have."""
DOUBT = 0.7
"""Standard deviation around the expectation before anything is observed, in standard deviations of expectations."""


class Thought(NamedTuple):
    """A normal distribution for each candidate, (n,), one of those that are mixed."""

    weight: float
    mean: Array
    deviation: Array


class Belief:
    """What is thought after observations `x` (n, features) and `y` (n,) with the known variances `noise` (n,)."""

    def __init__(
        self, x: Array, y: Array, noise: Array, expected: Array | None = None, worst: tuple[float, float] = (0.0, 1.0)
    ) -> None:
        """`expected` (n,) is what was expected of them, with a standard deviation of 1 over all candidates.

        `worst` is the highest that is expected of any candidate, and the value that it would then have: from one
        observation alone nobody knows what a unit of the expectation is worth.
        """
        self._parts = list[tuple[float, GaussianProcess, bool]]()
        self._worst = worst
        if not len(y):
            return
        plain = GaussianProcess(x, y, noise)
        if expected is None:
            self._parts = [(1.0, plain, False)]
            return
        following = GaussianProcess(x, y, noise, trend=expected, unit=self._unit(y, expected))
        odds = math.log(TRUST / (1 - TRUST))
        if len(y) >= ENOUGH:
            odds += following.evidence - plain.evidence
        share = 1.0 / (1.0 + math.exp(-min(max(odds, -50.0), 50.0)))
        self._parts = [(share, following, True), (1.0 - share, plain, False)]

    def thoughts(self, x: Array, expected: Array | None) -> list[Thought]:
        """Of candidates `x` (n, features) of whom `expected` (n,) was expected."""
        if not self._parts:  # nothing is observed
            highest, value = self._worst
            mean = np.full(len(x), value - DOUBT) if expected is None else value + expected - highest
            return [Thought(1.0, mean, np.full(len(x), DOUBT))]
        return [
            Thought(weight, *process.predict(x, expected if follows else None))
            for weight, process, follows in self._parts
        ]

    def mean(self, x: Array, expected: Array | None) -> Array:
        """Of candidates as in `thoughts`, (n,)."""
        return np.asarray(np.sum([thought.weight * thought.mean for thought in self.thoughts(x, expected)], axis=0))

    def believing(self, x: Array, expected: Array | None) -> "Belief":
        """Return what is thought as if the means at `x` had been observed: surer there, the same on average."""
        found = copy.copy(self)
        found._parts = [
            (weight, process.believing(x, expected if follows else None), follows)
            for weight, process, follows in self._parts
        ]
        return found

    def _unit(self, y: Array, expected: Array) -> float:
        """What a unit of the expectation is worth."""
        if len(y) > 1 and (spread := float(np.std(y))) > 0:
            return spread / max(float(np.std(expected)), LEAST_SPREAD)
        highest, value = self._worst
        return max(value - float(np.mean(y)), 1e-3) / max(highest - float(np.mean(expected)), LEAST_SPREAD)
