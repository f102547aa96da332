"""The bend that draws bad losses in, and back."""

import numpy as np
import pytest

from runners.samplers.models.bend import Bend

LOSSES = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 5.0, 9.0])
EDGE = 0.3 + 1.4826 * 0.2  # median and its absolute deviation


def test_losses_far_above_the_middle_are_drawn_in() -> None:
    found = Bend(LOSSES).bend(LOSSES)
    assert found[:5].tolist() == LOSSES[:5].tolist()
    assert EDGE < found[5] < found[6] < 2.0
    assert Bend(np.full(4, 2.0)).bend(np.full(4, 2.0)).tolist() == [2.0] * 4


def test_and_back_again() -> None:
    bend = Bend(LOSSES)
    assert bend.unbend(bend.bend(LOSSES)) == pytest.approx(LOSSES)
    slope = (bend.bend(LOSSES + 1e-6) - bend.bend(LOSSES)) / 1e-6
    assert bend.bend_deviations(LOSSES, np.ones(7)) == pytest.approx(slope, abs=1e-4)
    assert np.isfinite(bend.unbend(np.array([1e6]))).all()
