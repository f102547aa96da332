"""Losses of which the bad ones are drawn in: what learned nothing says little about what is good.

A process that must fit one accuracy of 10 % beside many of 90 % sees little else. So losses are bent logarithmically
from one robust standard deviation above the median on, and the process learns those (a warped process, Snelson et al.
2004).
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BENT_FROM = 1.0
"""Robust standard deviations (1.48 median absolute deviations) above the median from which a loss is bent."""
_MOST = 20.0
"""Spreads above the edge up to which it is bent back."""


class Bend:
    """The bend for one set of losses."""

    def __init__(self, losses: Array) -> None:
        middle = float(np.median(losses))
        self.spread = 1.4826 * float(np.median(np.abs(losses - middle))) or float(np.std(losses)) or 1.0
        self.edge = middle + BENT_FROM * self.spread

    def bend(self, losses: Array) -> Array:
        """(n,) -> (n,), as they are below the edge."""
        return np.where(losses > self.edge, self.edge + self.spread * np.log1p(self._over(losses)), losses)

    def bend_deviations(self, losses: Array, deviations: Array) -> Array:
        """Standard deviations around `losses`, by the slope of the bend there."""
        return np.asarray(deviations / (1.0 + self._over(losses)))

    def unbend(self, bent: Array) -> Array:
        """The inverse of `bend`."""
        over = np.minimum(self._over(bent), _MOST)
        return np.where(over > 0, self.edge + self.spread * np.expm1(over), bent)

    def _over(self, losses: Array) -> Array:
        """Spreads above the edge, 0 below it."""
        return np.asarray(np.maximum(losses - self.edge, 0.0) / self.spread)
