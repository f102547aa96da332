"""What will a loss probably be? A Gaussian process on losses of which the bad ones are drawn in.

A process that must fit one accuracy of 10 % beside many of 90 % sees little else, and what learned nothing says little
about what is good. So losses are bent logarithmically from one robust standard deviation above the median on, the
process learns those (a warped process, Snelson et al. 2004), and what it predicts is bent back.
"""

import copy

import numpy as np
from numpy.typing import NDArray

from .gaussian_process import GaussianProcess

Array = NDArray[np.float64]

BENT_FROM = 1.0
"""Robust standard deviations (1.48 median absolute deviations) above the median from which a loss is bent."""
_MOST = 20.0
"""Spreads above the edge up to which it is bent back."""


class Bend:
    """The bend for one set of losses."""

    def __init__(self, losses: Array) -> None:
        middle = float(np.median(losses))
        self._spread = 1.4826 * float(np.median(np.abs(losses - middle))) or float(np.std(losses)) or 1.0
        self._edge = middle + BENT_FROM * self._spread

    def bend(self, losses: Array) -> Array:
        """(n,) -> (n,), as they are below the edge."""
        return np.where(losses > self._edge, self._edge + self._spread * np.log1p(self._over(losses)), losses)

    def bend_deviations(self, losses: Array, deviations: Array) -> Array:
        """Standard deviations around `losses`, by the slope of the bend there."""
        return np.asarray(deviations / (1.0 + self._over(losses)))

    def unbend(self, means: Array, deviations: Array) -> tuple[Array, Array]:
        """Means and standard deviations of bent losses -> of the losses, to first order."""
        over = np.minimum(self._over(means), _MOST)
        return np.where(over > 0, self._edge + self._spread * np.expm1(over), means), deviations * np.exp(over)

    def _over(self, losses: Array) -> Array:
        """Spreads above the edge, 0 below it."""
        return np.asarray(np.maximum(losses - self._edge, 0.0) / self._spread)


class Surrogate:
    """The posterior of one objective's losses."""

    def __init__(self, x: Array, losses: Array, deviations: Array) -> None:
        """Of `losses` (n,) seen at `x` (n, features), each with a known standard deviation on top of what is fitted."""
        self._bend = Bend(losses)
        noise = self._bend.bend_deviations(losses, deviations) ** 2
        self._process = GaussianProcess(x, self._bend.bend(losses), noise)

    def believing(self, x: Array) -> "Surrogate":
        """As if its own means had been seen at `x` too."""
        found = copy.copy(self)
        found._process = self._process.believing(x)
        return found

    def predict(self, x: Array) -> tuple[Array, Array]:
        """Mean and standard deviation of the noiseless losses at `x` (n, features), (n,) each."""
        return self._bend.unbend(*self._process.predict(x))
