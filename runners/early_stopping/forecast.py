"""Can a network still reach the front? What finished trials say about the end of a training that has only begun.

The accuracy in the end is predicted from the accuracy at a point of the training and the logarithm of the MACs, by
least squares over the trials that have gone all the way, with the prediction interval of a normal linear model (Draper
& Smith 1998, eq. 3.1.8). In the middle of a one-cycle schedule an accuracy says little: where its slope is not positive
with the confidence asked for, nobody is stopped at all.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from ..trial_record import Forecast

Array = NDArray[np.float64]

LEAST_FINISHED = 8
"""Trials that must have gone all the way before one is stopped."""
_GRID = np.linspace(0.0, 1.0, 401)


class Forecaster:
    """Predicts the end from one point of the training."""

    def __init__(self, accuracy: Array, log_macs: Array, final: Array, confidence: float) -> None:
        """Of trials that have gone all the way, LEAST_FINISHED at least: (trials,) each."""
        self._design = np.column_stack([np.ones(len(final)), accuracy, log_macs])
        self._coefficients, _, rank, _ = np.linalg.lstsq(self._design, final, rcond=None)
        self._free = len(final) - self._design.shape[1]
        residuals = final - self._design @ self._coefficients
        self._variance = float(residuals @ residuals) / self._free
        self._inverse = np.linalg.pinv(self._design.T @ self._design)
        self._quantile = float(stdtrit(self._free, confidence))
        error = float(np.sqrt(self._variance * self._inverse[1, 1]))
        self.is_telling = bool(rank == self._design.shape[1] and self._coefficients[1] > self._quantile * error)
        """Whether trials that are better at this point are better in the end, with the confidence.

        Then the upper bound rises with the accuracy, so that there is one floor.
        """

    def forecast(self, accuracy: float, log_macs: float) -> Forecast:
        """For a trial that has `accuracy` at this point."""
        mean, deviation = self._predict(np.array([[1.0, accuracy, log_macs]]))
        return Forecast(float(mean[0]), float(deviation[0]), float(mean[0] + self._quantile * deviation[0]))

    def floor(self, needed: float, log_macs: float) -> float:
        """The accuracy at this point below which `needed` will not be reached, with the confidence; 0 for none."""
        points = np.column_stack([np.ones_like(_GRID), _GRID, np.full_like(_GRID, log_macs)])
        mean, deviation = self._predict(points)
        hopeless = _GRID[mean + self._quantile * deviation < needed]
        return float(hopeless.max()) if len(hopeless) else 0.0

    def _predict(self, points: Array) -> tuple[Array, Array]:
        leverage = np.einsum("ij,jk,ik->i", points, self._inverse, points)
        return points @ self._coefficients, np.sqrt(self._variance * (1.0 + leverage))
