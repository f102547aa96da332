"""An expectation is followed as far as what is observed agrees with it."""

import numpy as np
import pytest
from numpy.typing import NDArray

from runners.samplers.models.surrogate import PRIOR_DEVIATION, PRIOR_WEIGHT, Surrogate

Array = NDArray[np.float64]


def problem(count: int, seed: int = 0) -> tuple[Array, Array]:
    """Points, and values that no feature explains from few points."""
    x = np.random.default_rng(seed).random((count, 6))
    return x, np.sin(9 * x[:, 0]) + np.cos(7 * x[:, 1]) + x[:, 2]


def scaled(values: Array) -> Array:
    return np.asarray((values - values.mean()) / values.std())


def share(surrogate: Surrogate, x: Array, expected: Array) -> float:
    """The weight of the process that follows the expectation."""
    return surrogate.predictions(x, expected)[0].weight


def test_before_anything_is_observed_the_expectation_is_all() -> None:
    expected = np.array([-1.0, 0.0, 2.0])
    surrogate = Surrogate(np.empty((0, 2)), np.empty(0), np.empty(0), np.empty(0), worst=(2.0, 1.0))
    ((weight, mean, deviation),) = surrogate.predictions(np.zeros((3, 2)), expected)
    assert weight == 1.0 and mean.tolist() == [-2.0, -1.0, 1.0], "the worst is worth what counts as nothing"
    assert (deviation == PRIOR_DEVIATION).all()


def test_from_one_observation_the_worst_tells_the_unit() -> None:
    surrogate = Surrogate(np.array([[0.5]]), np.array([0.2]), np.zeros(1), np.array([-1.0]), worst=(3.0, 1.0))
    follows = surrogate.predictions(np.array([[0.5], [0.5]]), np.array([-1.0, 3.0]))[0]
    assert follows.weight == pytest.approx(PRIOR_WEIGHT)
    assert follows.mean[0] == pytest.approx(0.2, abs=0.02) and 0.6 < follows.mean[1] <= 1.0


@pytest.mark.parametrize("count", [6, 12, 30])
def test_a_right_expectation_is_followed_and_a_useless_one_is_not(count: int) -> None:
    x, y = problem(count + 200)
    right, useless = scaled(y), np.random.default_rng(1).standard_normal(len(y))
    seen, rest = slice(0, count), slice(count, None)
    surrogates = [Surrogate(x[seen], y[seen], np.zeros(count), expected[seen]) for expected in (right, useless)]
    followed, doubted = (share(b, x[rest], e[rest]) for b, e in zip(surrogates, (right, useless), strict=True))
    assert followed > 0.95 and doubted < followed
    error = np.abs(surrogates[0].mean(x[rest], right[rest]) - y[rest]).mean()
    plain = np.abs(Surrogate(x[seen], y[seen], np.zeros(count)).mean(x[rest], None) - y[rest]).mean()
    assert error < 0.3 * plain
    if count == 30:
        assert doubted < 0.3


def test_a_reversed_expectation_is_turned_round() -> None:
    x, y = problem(230)
    expected = -scaled(y)
    surrogate = Surrogate(x[:30], y[:30], np.zeros(30), expected[:30])
    assert np.corrcoef(surrogate.mean(x[30:], expected[30:]), y[30:])[0, 1] > 0.9


def test_believing_changes_no_mean_where_an_expectation_is_followed() -> None:
    x, y = problem(60)
    expected = scaled(y) + 0.3 * np.random.default_rng(3).standard_normal(60)
    before = Surrogate(x[:20], y[:20], np.zeros(20), expected[:20])
    after = before.believing(x[20:25], expected[20:25])
    assert after.mean(x[25:], expected[25:]) == pytest.approx(before.mean(x[25:], expected[25:]), abs=1e-6)
    for sure, unsure in zip(
        after.predictions(x[20:25], expected[20:25]), before.predictions(x[20:25], expected[20:25]), strict=True
    ):
        assert (sure.deviation < unsure.deviation).all()


def test_units_do_not_matter() -> None:
    """Neither of what is observed nor where it begins."""
    x, y = problem(40)
    expected = scaled(y + np.random.default_rng(2).standard_normal(40))
    here = Surrogate(x[:20], y[:20], np.zeros(20), expected[:20]).mean(x[20:], expected[20:])
    there = Surrogate(x[:20], 100 * y[:20] + 7, np.zeros(20), expected[:20]).mean(x[20:], expected[20:])
    assert there == pytest.approx(100 * here + 7, rel=1e-3)
