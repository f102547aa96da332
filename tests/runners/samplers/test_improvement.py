"""Expected improvement in closed form, against Monte Carlo and against volumes by hand."""

import itertools
import math

import numpy as np
import pytest

from objectives.pareto import hypervolume
from runners.samplers.bend import Bend
from runners.samplers.improvement import expected_improvement, undominated_boxes


def gain(point: np.ndarray, front: np.ndarray, reference: np.ndarray) -> float:
    """What one point adds to the volume below `reference`, by the project's exact hypervolume."""
    low = np.full(len(reference), -20.0)
    with_point, without = (hypervolume(rows, reference, low) for rows in (np.vstack([front, point]), front))
    return (with_point - without) * float(np.prod(reference - low))


def test_by_hand() -> None:
    """Front (1, 3), (3, 1) below (4, 4): (2, 2) adds the square between them, of side 1; what is dominated nothing."""
    front = np.array([[1.0, 3.0], [3.0, 1.0]])
    points = np.array([[2.0, 2.0], [3.5, 3.5], [1.0, 3.0], [0.0, 0.0], [5.0, 0.0]])
    found = expected_improvement(points, np.zeros_like(points), undominated_boxes(front, (4.0, 4.0)))
    assert found == pytest.approx([1.0, 0.0, 0.0, 16.0 - 5.0, 0.0])
    assert expected_improvement(
        points[:1], np.zeros((1, 2)), undominated_boxes(np.empty((0, 2)), (4.0, 4.0))
    ) == pytest.approx([4.0])


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_known_points_add_what_they_add(objectives: int) -> None:
    rng = np.random.default_rng(objectives)
    front, points = rng.random((12, objectives)), rng.random((40, objectives)) * 1.3 - 0.2
    reference = np.full(objectives, 1.0)
    found = expected_improvement(points, np.zeros_like(points), undominated_boxes(front, reference))
    assert found == pytest.approx([gain(point, front, reference) for point in points], abs=1e-9)
    assert (found > 0).any() and (found < 1e-12).any()


@pytest.mark.parametrize("unknown", [(0,), (1,), (0, 2)])
@pytest.mark.parametrize("objectives", [2, 3])
def test_unknown_objectives_against_monte_carlo(objectives: int, unknown: tuple[int, ...]) -> None:
    if max(unknown) >= objectives:
        unknown = (0, 1)
    rng = np.random.default_rng(7)
    front = rng.random((8, objectives))
    mean = rng.random((5, objectives))
    deviation = np.zeros_like(mean)
    deviation[:, unknown] = rng.uniform(0.05, 0.5, (5, len(unknown)))
    reference = np.ones(objectives)
    found = expected_improvement(mean, deviation, undominated_boxes(front, reference))
    draws = 4000
    for candidate in range(len(mean)):
        points = rng.normal(mean[candidate], deviation[candidate], (draws, objectives))
        gains = expected_improvement(
            points, np.zeros_like(points), undominated_boxes(front, reference)
        )  # known: checked above
        error = gains.std() / np.sqrt(draws)
        assert found[candidate] == pytest.approx(gains.mean(), abs=4 * error + 1e-6)


def test_more_doubt_promises_more() -> None:
    front = np.array([[0.2, 0.2]])
    mean = np.full((3, 2), 0.4)
    found = expected_improvement(
        mean, np.array([[0.01, 0.0], [0.1, 0.0], [0.5, 0.0]]), undominated_boxes(front, (1.0, 1.0))
    )
    assert 0 <= found[0] < found[1] < found[2]


def test_boxes_fill_what_is_left_once() -> None:
    rng = np.random.default_rng(1)
    front = rng.random((6, 3))
    low, high = undominated_boxes(front, np.ones(3))
    points = rng.random((2000, 3))
    inside = (points[:, None] >= low).all(axis=2) & (points[:, None] < high).all(axis=2)
    dominated = (front[None] <= points[:, None]).all(axis=2).any(axis=1)
    assert (inside.sum(axis=1) == ~dominated).all()


def test_many_candidates_are_worked_off_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    front, mean, deviation = rng.random((9, 2)), rng.random((30, 2)), np.array([[0.1, 0.0]] * 30)
    whole = expected_improvement(mean, deviation, undominated_boxes(front, (1.0, 1.0)))
    monkeypatch.setattr("runners.samplers.improvement._CHUNK", 40)
    assert expected_improvement(mean, deviation, undominated_boxes(front, (1.0, 1.0))).tolist() == whole.tolist()


def test_all_pairs_of_one_known_and_one_unknown_agree_with_quadrature() -> None:
    """The mean over one normal figure, as a sum over a fine grid."""
    nodes = np.linspace(-8, 8, 8001)
    weights = np.exp(-0.5 * nodes**2)
    weights = weights / weights.sum()
    front = np.array([[0.1, 0.9], [0.4, 0.5], [0.8, 0.2]])
    for cost, mean, deviation in itertools.product((0.05, 0.3, 0.6), (0.1, 0.5), (0.05, 0.3)):
        points = np.column_stack([np.full_like(nodes, cost), mean + deviation * nodes])
        gains = expected_improvement(points, np.zeros_like(points), undominated_boxes(front, (1.0, 1.0)))
        found = expected_improvement(
            np.array([[cost, mean]]), np.array([[0.0, deviation]]), undominated_boxes(front, (1.0, 1.0))
        )
        assert found[0] == pytest.approx(float(weights @ gains), rel=1e-3, abs=1e-6)


def test_bent_losses_against_monte_carlo() -> None:
    """One objective known, the other's bend normal: below the edge, across it and far beyond."""
    rng = np.random.default_rng(0)
    bend = Bend(np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.9]))
    front = np.array([[0.1, 0.8], [0.5, 0.45], [0.9, 0.1]])
    boxes = undominated_boxes(front, (1.0, 1.0))
    for mean, deviation, cost in [
        (0.2, 0.05, 0.3),
        (0.5, 0.2, 0.3),
        (0.6, 0.02, 0.05),
        (0.8, 0.4, 0.05),
        (3.0, 0.3, 0.2),
    ]:
        found = expected_improvement(np.array([[mean, cost]]), np.array([[deviation, 0.0]]), boxes, {0: bend})
        losses = bend.unbend(rng.normal(mean, deviation, 20_000))
        points = np.column_stack([losses, np.full(20_000, cost)])
        gains = expected_improvement(points, np.zeros_like(points), boxes)
        assert found[0] == pytest.approx(gains.mean(), abs=4 * gains.std() / math.sqrt(20_000) + 1e-12)
    assert np.isfinite(expected_improvement(np.array([[90.0, 0.1]]), np.array([[30.0, 0.0]]), boxes, {0: bend})).all()
