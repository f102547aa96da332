"""What is a candidate probably worth, and how sure is that? A Gaussian process over features of candidates.

Rasmussen & Williams (2006), chapters 2 and 5: the kernel is a Matern-5/2 with a length scale per feature plus a linear
one, so that a trend (accuracy against the logarithm of a cost) holds beyond what was seen. Hyperparameters are the most
probable ones under weak priors; the length scales' grow with the number of features (Hvarfner et al. 2024).
"""

import copy
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

Array = NDArray[np.float64]

FITTED_ON = 200
"""Observations that hyperparameters are fitted to, at most; predictions use all."""
_JITTER = 1e-6
_STEPS = 40
_NOISE = (math.log(1e-3), 1.5)
"""Mean and spread of the prior on the logarithm of the noise's variance; values have a variance of 1."""
_VARIANCES = ((0.0, 1.0), (0.0, 1.0))
"""The same for the Matern kernel's and the linear kernel's variance."""
_VARIANCES_BESIDE_TREND = ((-1.0, 1.0), (-2.0, 1.0))
"""The same where a trend explains most, for values whose unit is what the trend's is worth."""
SLOPE_VARIANCE = 0.3
"""Variance of a trend's coefficient around 1."""
_LENGTH_SPREAD = math.sqrt(3.0)


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """Of the kernel; variances are relative to the values' own."""

    lengths: Array
    """(features,)"""
    variance: float
    """Of the Matern part."""
    slope_variance: float
    """Of the linear part: of all the weights together."""
    noise: float
    """Variance of an observation around the truth."""


class GaussianProcess:
    """The posterior after observations `x` (n, features) and `y` (n,).

    With a trend, values are expected to follow it with a coefficient that is learned, which is expected near `unit`
    (SLOPE_VARIANCE, in units of it). The process explains what is left (Rasmussen & Williams, section 2.7).
    """

    def __init__(
        self,
        x: Array,
        y: Array,
        noise: Array | float = 0.0,
        *,
        trend: Array | None = None,
        unit: float | None = None,
    ) -> None:
        """`noise` is known variance of single observations, in units of `y` squared, on top of what is fitted.

        `trend` has a number for each observation, (n,), with a standard deviation of about 1 over all candidates.
        """
        self._shift, self._scale = float(np.mean(y)), unit or float(np.std(y)) or 1.0
        self._trend_shift = 0.0 if trend is None else float(np.mean(trend))
        variances = _VARIANCES if trend is None else _VARIANCES_BESIDE_TREND
        trend = np.zeros(len(y)) if trend is None else trend - self._trend_shift
        z = (y - self._shift) / self._scale - trend
        extra = np.broadcast_to(np.asarray(noise) / self._scale**2, z.shape)
        some = _spread_over(len(z), FITTED_ON)
        self.hyperparameters, probability = _fit(x[some], z[some], extra[some], trend[some], variances)
        self.evidence = probability - len(some) * math.log(self._scale)
        """Logarithm of the joint density of observations and hyperparameters, at the most probable ones.

        It stands for the evidence when two processes are compared.
        """
        self._condition(x, z, extra, trend)

    def _condition(self, x: Array, z: Array, extra: Array, trend: Array) -> None:
        self._x, self._z, self._extra, self._trend = x, z, extra, trend
        k = covariance(x, x, self.hyperparameters) + SLOPE_VARIANCE * np.outer(trend, trend)
        k[np.diag_indices_from(k)] += self.hyperparameters.noise + extra + _JITTER
        self._factor = cho_factor(k, lower=True, check_finite=False)
        self._weights = cho_solve(self._factor, z, check_finite=False)

    def believing(self, x: Array, trend: Array | None = None) -> "GaussianProcess":
        """The posterior as if its own means had been observed at `x` too: surer there, the same on average."""
        found = copy.copy(self)
        beside = self._centred(trend, len(x))
        z = (self.predict(x, trend)[0] - self._shift) / self._scale - beside
        found._condition(
            np.vstack([self._x, x]),
            np.concatenate([self._z, z]),
            np.concatenate([self._extra, np.zeros(len(x))]),
            np.concatenate([self._trend, beside]),
        )
        return found

    def predict(self, x: Array, trend: Array | None = None) -> tuple[Array, Array]:
        """Mean and standard deviation of the noiseless values at `x` (n, features), (n,) each."""
        hyper, beside = self.hyperparameters, self._centred(trend, len(x))
        cross = covariance(x, self._x, hyper) + SLOPE_VARIANCE * np.outer(beside, self._trend)
        mean = beside + cross @ self._weights
        half = solve_triangular(self._factor[0], cross.T, lower=True, check_finite=False)
        prior = (
            hyper.variance
            + hyper.slope_variance * np.einsum("ij,ij->i", x, x) / x.shape[1]
            + SLOPE_VARIANCE * beside**2
        )
        variance = np.maximum(prior - np.einsum("ij,ij->j", half, half), 1e-10)
        return mean * self._scale + self._shift, np.sqrt(variance) * self._scale

    def _centred(self, trend: Array | None, count: int) -> Array:
        return np.zeros(count) if trend is None else trend - self._trend_shift


def _fit(
    x: Array,
    z: Array,
    extra: Array,
    trend: Array | None = None,
    variances: tuple[tuple[float, float], tuple[float, float]] = _VARIANCES,
) -> tuple[Hyperparameters, float]:
    """The most probable hyperparameters for values `z` (n,), and the logarithm of their probability.

    `trend` (n,) explains them too, with a coefficient whose variance is SLOPE_VARIANCE; `variances` are the priors on
    the logarithms of the kernel's two.
    """
    features = x.shape[1]
    centre = math.sqrt(2.0) + 0.5 * math.log(features)
    priors = np.array([(centre, _LENGTH_SPREAD)] * features + [*variances, _NOISE])
    explained = np.zeros((len(z), len(z))) if trend is None else SLOPE_VARIANCE * np.outer(trend, trend)
    start = np.concatenate([np.full(features, 0.5 * math.log(features) - 0.7), [0.0, -1.0, math.log(1e-2)]])
    bounds = [(math.log(0.03), math.log(100.0))] * features + [(-6.0, 4.0)] * 2 + [(math.log(1e-6), 0.0)]
    found = minimize(
        _minus_log_posterior,
        start,
        args=(x, z, extra, explained, priors),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": _STEPS},
    )
    return _unpacked(found.x), -float(found.fun)


def _minus_log_posterior(
    theta: Array, x: Array, z: Array, extra: Array, explained: Array, priors: Array
) -> tuple[float, Array]:
    """And its gradient (Rasmussen & Williams, eq. 5.8 and 5.9)."""
    hyper = _unpacked(theta)
    n, features = x.shape
    scaled = x / hyper.lengths
    r = np.sqrt(5.0 * _squared_distances(scaled, scaled))
    decay = np.exp(-r)
    matern = hyper.variance * (1.0 + r + r * r / 3.0) * decay
    linear = (hyper.slope_variance / features) * (x @ x.T)
    k = matern + linear + explained
    k[np.diag_indices_from(k)] += hyper.noise + extra + _JITTER
    try:
        factor = cho_factor(k, lower=True, check_finite=False)
    except np.linalg.LinAlgError:
        return 1e25, np.zeros_like(theta)
    weights = cho_solve(factor, z, check_finite=False)
    log_likelihood = -0.5 * z @ weights - np.log(np.diag(factor[0])).sum() - 0.5 * n * math.log(2 * math.pi)
    outer = np.outer(weights, weights) - cho_solve(factor, np.eye(n), check_finite=False)
    # d matern / d log length = variance x 5/3 (1 + r) exp(-r) x (difference / length)^2, feature by feature
    pull = outer * (hyper.variance * (5.0 / 3.0) * (1.0 + r) * decay)
    rows = pull.sum(axis=1)
    by_length = rows @ scaled**2 - (scaled * (pull @ scaled)).sum(axis=0)
    gradient = np.concatenate(
        [by_length, 0.5 * np.array([(outer * matern).sum(), (outer * linear).sum(), hyper.noise * np.trace(outer)])]
    )
    off = (theta - priors[:, 0]) / priors[:, 1]
    return -(log_likelihood - 0.5 * off @ off), -(gradient - off / priors[:, 1])


def covariance(a: Array, b: Array, hyper: Hyperparameters) -> Array:
    """Of the noiseless values at `a` (n, features) with those at `b` (m, features), (n, m)."""
    r = np.sqrt(5.0 * _squared_distances(a / hyper.lengths, b / hyper.lengths))
    matern = hyper.variance * (1.0 + r + r * r / 3.0) * np.exp(-r)
    return np.asarray(matern + (hyper.slope_variance / a.shape[1]) * (a @ b.T))


def _squared_distances(a: Array, b: Array) -> Array:
    squares = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None, :] - 2.0 * (a @ b.T)
    return np.asarray(np.maximum(squares, 0.0))


def _unpacked(theta: Array) -> Hyperparameters:
    values = np.exp(theta)
    return Hyperparameters(
        lengths=values[:-3], variance=float(values[-3]), slope_variance=float(values[-2]), noise=float(values[-1])
    )


def _spread_over(count: int, most: int) -> NDArray[np.intp]:
    """At most `most` of `count` positions, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.intp))
