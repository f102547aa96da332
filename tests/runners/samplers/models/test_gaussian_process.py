"""The surrogate against scikit-learn's, finite differences, and functions that are known."""

import math

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern

from runners.samplers.models.gaussian_process import (
    SLOPE_VARIANCE,
    GaussianProcess,
    Hyperparameters,
    _fit,
    _minus_log_posterior,
)


def data(n: int, noise: float = 0.05, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.random((n, 4))
    return x, np.sin(5 * x[:, 0]) + 2 * x[:, 1] + noise * rng.standard_normal(n)


def test_the_posterior_is_scikit_learns() -> None:
    x, y = data(30)
    subject = GaussianProcess(x, y)
    hyper: Hyperparameters = subject.hyperparameters
    linear = ConstantKernel(hyper.slope_variance / 4, "fixed") * DotProduct(sigma_0=0.0, sigma_0_bounds="fixed")
    kernel = ConstantKernel(hyper.variance, "fixed") * Matern(hyper.lengths, "fixed", nu=2.5) + linear
    oracle = GaussianProcessRegressor(kernel, alpha=hyper.noise + 1e-6, optimizer=None).fit(x, (y - y.mean()) / y.std())
    points = np.random.default_rng(1).random((20, 4))
    mean, deviation = subject.predict(points)
    expected, spread = oracle.predict(points, return_std=True)
    assert mean == pytest.approx(expected * y.std() + y.mean(), abs=1e-6)
    assert deviation == pytest.approx(spread * y.std(), rel=1e-4)


def test_a_trend_has_a_coefficient_of_its_own() -> None:
    """The same by hand: one unit of the trend, with a variance of its coefficient."""
    x, y = data(30)
    trend, unit = np.random.default_rng(2).standard_normal(30), 0.7
    subject = GaussianProcess(x[:20], y[:20], trend=trend[:20], unit=unit)
    hyper, centred = subject.hyperparameters, trend - trend[:20].mean()
    kernel = ConstantKernel(hyper.variance) * Matern(hyper.lengths, nu=2.5)
    kernel += ConstantKernel(hyper.slope_variance / 4) * DotProduct(sigma_0=0.0)
    prior = kernel(x) + SLOPE_VARIANCE * np.outer(centred, centred)
    seen, cross = prior[:20, :20] + (hyper.noise + 1e-6) * np.eye(20), prior[20:, :20]
    rest = (y[:20] - y[:20].mean()) / unit - centred[:20]
    mean, deviation = subject.predict(x[20:], trend[20:])
    assert mean == pytest.approx(unit * (centred[20:] + cross @ np.linalg.solve(seen, rest)) + y[:20].mean(), abs=1e-6)
    variance = np.diag(prior[20:, 20:] - cross @ np.linalg.solve(seen, cross.T))
    assert deviation == pytest.approx(unit * np.sqrt(variance), rel=1e-4)


def test_beside_a_trend_less_is_left_to_explain() -> None:
    """The variances have other priors there, whatever the trend is: even one observation leaves them at their means."""
    x, y = np.array([[0.5, 0.5]]), np.array([0.3])
    beside = GaussianProcess(x, y, trend=np.array([1.0]), unit=1.0).hyperparameters
    alone = GaussianProcess(x, y, unit=1.0).hyperparameters
    assert beside.variance < 0.6 * alone.variance
    assert beside.slope_variance < 0.6 * alone.slope_variance


def test_the_gradient_is_that_of_the_value() -> None:
    x, y = data(25)
    z, extra, explained = (y - y.mean()) / y.std(), np.linspace(0, 0.1, 25), np.outer(x[:, 1], x[:, 1])
    priors = np.array([(1.0, 2.0)] * 4 + [(0.0, 1.0), (0.0, 1.0), (-5.0, 2.0)])
    theta = np.array([0.1, -0.3, 0.5, 1.0, 0.1, -0.5, -3.0])
    numeric = approx_fprime(theta, lambda t: _minus_log_posterior(t, x, z, extra, explained, priors)[0], 1e-6)
    assert _minus_log_posterior(theta, x, z, extra, explained, priors)[1] == pytest.approx(numeric, rel=1e-3, abs=1e-3)


def test_it_finds_what_matters_and_how_noisy_it_is() -> None:
    x, y = data(120, noise=0.3)
    hyper, _ = _fit(x, (y - y.mean()) / y.std(), np.zeros(len(y)))
    assert min(hyper.lengths[2:]) > 3 * hyper.lengths[0]
    assert math.sqrt(hyper.noise) * y.std() == pytest.approx(0.3, rel=0.3)


def test_it_predicts_within_its_own_doubt() -> None:
    x, y = data(60)
    points, truth = data(400, noise=0.0, seed=3)
    mean, deviation = GaussianProcess(x, y).predict(points)
    assert np.abs(mean - truth).mean() < 0.08 < 0.2 * truth.std()
    within = np.abs(mean - truth) < 2 * deviation
    assert within.mean() > 0.85
    assert deviation.mean() < 0.5 * truth.std(), "nor does it doubt everything"


def test_a_trend_goes_on_beyond_what_was_seen() -> None:
    rng = np.random.default_rng(0)
    x = rng.random((30, 2)) * [0.5, 1.0]
    y = 3 * x[:, 0] + 0.01 * rng.standard_normal(30)
    mean, deviation = GaussianProcess(x, y).predict(np.array([[1.0, 0.5]]))
    assert mean[0] > 1.3 * y.max()
    assert abs(mean[0] - 3.0) < 3 * deviation[0]


def test_an_observation_of_known_noise_counts_for_less() -> None:
    x, y = data(20)
    off = y.copy()
    off[0] += 3.0
    noise = np.zeros(20)
    noise[0] = 9.0
    believed = GaussianProcess(x, off).predict(x[:1])[0][0]
    doubted = GaussianProcess(x, off, noise).predict(x[:1])[0][0]
    assert abs(doubted - y[0]) < 0.5 * abs(believed - y[0])


def test_believing_makes_sure_and_changes_no_mean() -> None:
    x, y = data(15)
    there, beside = np.array([[0.9, 0.1, 0.1, 0.9]]), np.array([[0.5, 0.5, 0.5, 0.5]])
    before = GaussianProcess(x, y)
    after = before.believing(there)
    assert after.predict(beside)[0] == pytest.approx(before.predict(beside)[0], abs=1e-6)
    assert after.predict(there)[1] < 0.7 * before.predict(there)[1]


@pytest.mark.parametrize("y", [np.zeros(5), np.array([1.0, 1.0, 1.0, 1.0, 2.0])])
def test_values_that_hardly_vary(y: np.ndarray) -> None:
    mean, deviation = GaussianProcess(np.linspace(0, 1, 5)[:, None], y).predict(np.array([[0.3]]))
    assert np.isfinite(mean).all() and np.isfinite(deviation).all()
