"""The bend that draws bad losses in, and back."""

import numpy as np
import pytest

from runners.samplers.surrogate import Bend, Surrogate

LOSSES = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 5.0, 9.0])
EDGE = 0.3 + 1.4826 * 0.2  # median and its absolute deviation


def test_losses_far_above_the_middle_are_drawn_in() -> None:
    found = Bend(LOSSES).bend(LOSSES)
    assert found[:5].tolist() == LOSSES[:5].tolist()
    assert EDGE < found[5] < found[6] < 2.0
    assert Bend(np.full(4, 2.0)).bend(np.full(4, 2.0)).tolist() == [2.0] * 4


def test_and_back_again_with_their_deviations() -> None:
    bend = Bend(LOSSES)
    deviations = np.full(7, 1e-6)
    means, found = bend.unbend(bend.bend(LOSSES), bend.bend_deviations(LOSSES, deviations))
    assert means == pytest.approx(LOSSES)
    assert found == pytest.approx(deviations)
    slope = (bend.bend(LOSSES + 1e-6) - bend.bend(LOSSES)) / 1e-6
    assert bend.bend_deviations(LOSSES, np.ones(7)) == pytest.approx(slope, abs=1e-4)


def test_what_is_far_beyond_overflows_nothing() -> None:
    means, deviations = Bend(LOSSES).unbend(np.array([1e6]), np.array([1.0]))
    assert np.isfinite(means).all() and np.isfinite(deviations).all()


def test_it_predicts_what_it_has_seen_bad_ones_too() -> None:
    x = np.linspace(0, 1, 12)[:, None]
    losses = np.exp(-6 * x[:, 0])
    losses[1] = 3.0
    means, deviations = Surrogate(x, losses, np.zeros(12)).predict(x)
    assert means[3:] == pytest.approx(losses[3:], abs=0.1)
    assert means[1] > 1.0
    assert (deviations > 0).all()


def test_believing_makes_it_surer_and_changes_no_mean() -> None:
    x = np.linspace(0, 1, 8)[:, None]
    before = Surrogate(x, np.sin(5 * x[:, 0]), np.zeros(8))
    there = np.array([[0.55]])
    after = before.believing(there)
    assert after.predict(there)[0] == pytest.approx(before.predict(there)[0], abs=1e-3)
    assert after.predict(there)[1] < before.predict(there)[1]
