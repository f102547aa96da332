"""Expectations of any scale become losses of one scale, whatever a few of them are."""

import math

import numpy as np
import pytest
from optuna.distributions import IntDistribution

from runners.samplers.acquisition.prior_expectations import Expected
from runners.samplers.knowledge import Knowledge

SPACE = {"width": IntDistribution(0, 99)}
POOL = [{"width": width} for width in range(100)]


def expected(says: dict[int, float | None], scale: float = 1.0) -> Expected:
    """Of a prior that expects the more the wider, but for what it `says` of some widths."""

    def prior(params: dict[str, int]) -> float | None:
        return says.get(params["width"], scale * params["width"])

    return Expected(Knowledge(SPACE, lambda params: [None, 1.0], None, None, None, prior), POOL)


def standardised(subject: Expected) -> np.ndarray:
    found = subject.of(POOL)
    assert found is not None
    return found


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e9])
def test_the_scale_does_not_matter(scale: float) -> None:
    subject = expected({}, scale)
    widths = np.arange(100.0)
    assert standardised(subject) == pytest.approx((widths - widths.mean()) / widths.std())
    assert (subject.lowest, subject.highest) == pytest.approx((standardised(subject)[0], standardised(subject)[-1]))


@pytest.mark.parametrize("odd", [1e12, -1e12])
def test_one_that_is_far_off_leaves_the_others_apart(odd: float) -> None:
    """Without the bounds all others would be equal: a standard deviation of 1e12 to one side."""
    found = standardised(expected({50: odd}))
    assert np.ptp(np.delete(found, 50)) > 2.5
    assert 2.5 < abs(found[50]) < 8


@pytest.mark.parametrize("odd", [None, math.nan, math.inf, -math.inf])
def test_where_nothing_is_expected_it_is_the_mean(odd: float | None) -> None:
    found = standardised(expected({3: odd}))
    assert found[3] == 0
    assert found[:3].max() < -1.5 and np.isfinite(found).all()


@pytest.mark.parametrize("says", [None, 7.0, math.nan, math.inf])
def test_nothing_is_told_apart_where_all_are_equal(says: float | None) -> None:
    subject = expected(dict.fromkeys(range(100), says))
    assert not subject.tells_apart and subject.of(POOL) is None


def test_nothing_is_told_apart_without_a_prior() -> None:
    assert not Expected(Knowledge(SPACE, lambda params: [None, 1.0], None, None, None), POOL).tells_apart
