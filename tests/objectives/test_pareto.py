"""Front, hypervolume and knee against their definitions, evaluated by brute force."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from objectives.base import Objective, objectives_named
from objectives.hypervolume_box import BEYOND_LIMIT, cost_ranges, hypervolume_box, sample_costs
from objectives.knee import knee
from objectives.limits import Limit, parse_limit
from objectives.pareto import hypervolume, losses, pareto_mask
from search_space.errors import UserError
from search_space.graph import Graph
from search_space.space import SearchSpace
from search_space.spec import Architecture

Matrix = NDArray[np.float64]


def random_losses(seed: int, *, ties: bool = True, holes: bool = True) -> tuple[Matrix, NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 40)), 2 + seed % 3)
    loss = rng.integers(0, 6, shape).astype(float) if ties else rng.random(shape)
    if holes:
        loss[rng.random(shape) < 0.05] = np.nan
        loss[rng.random(shape) < 0.03] = np.inf
    return loss, rng.random(len(loss)) < 0.8


def dominates(a: Matrix, b: Matrix) -> bool:
    return bool((a <= b).all() and (a < b).any())


@pytest.mark.parametrize("ties", [True, False])
def test_front_against_every_pair(ties: bool) -> None:
    for seed in range(300):
        loss, feasible = random_losses(seed, ties=ties)
        counted = [bool(ok) and not np.isnan(row).any() for row, ok in zip(loss, feasible, strict=True)]
        expected = [
            counts and not any(other and dominates(loss[j], row) for j, other in enumerate(counted))
            for counts, row in zip(counted, loss, strict=True)
        ]
        assert pareto_mask(loss, feasible.tolist()).tolist() == expected
        everything = pareto_mask(loss, [True] * len(loss))
        assert (pareto_mask(loss) == everything).all()


def test_front_of_nothing() -> None:
    assert pareto_mask(np.empty((0, 2))).tolist() == []
    assert pareto_mask(np.array([[1.0, 2.0]]), [False]).tolist() == [False]
    assert pareto_mask(np.array([[1.0, math.nan], [2.0, 2.0]])).tolist() == [False, True]
    assert pareto_mask(np.array([[1.0, 2.0], [1.0, 2.0]])).tolist() == [True, True]


# --- hypervolume ----------------------------------------------------------------------------------


def volume_by_inclusion_exclusion(points: Matrix) -> float:
    """Volume below 1 that the boxes from each point to 1 cover together."""
    total = 0.0
    for size in range(1, len(points) + 1):
        for chosen in itertools.combinations(points, size):
            total -= (-1) ** size * float(np.prod(1 - np.max(chosen, axis=0)))
    return total


@pytest.mark.parametrize("count", [2, 3, 4])
def test_hypervolume_by_inclusion_and_exclusion(count: int) -> None:
    rng = np.random.default_rng(count)
    for _ in range(30):
        points = rng.random((int(rng.integers(1, 8)), count))
        worst, best = rng.random(count) * 5 + 3, -rng.random(count) * 5
        loss = best + points * (worst - best)
        assert hypervolume(loss, worst.tolist(), best.tolist()) == pytest.approx(
            volume_by_inclusion_exclusion(points), abs=1e-9
        )


@pytest.mark.parametrize("count", [2, 3, 4])
def test_hypervolume_by_chance(count: int) -> None:
    """20 points, some of them outside of the box, against 40,000 random points of it."""
    rng = np.random.default_rng(count)
    loss = rng.random((20, count)) * 1.05
    loss[0] = [-0.5] + [0.8] * (count - 1)
    drawn = rng.random((40_000, count))
    covered = np.zeros(len(drawn), dtype=bool)
    for row in loss:
        covered |= (row <= drawn).all(axis=1)
    assert 0.1 < covered.mean() < 0.95
    assert hypervolume(loss, [1.0] * count, [0.0] * count) == pytest.approx(
        covered.mean(), abs=4 * 0.5 / math.sqrt(len(drawn))
    )


def test_hypervolume_of_few_points() -> None:
    box = ((1.0, 1.0), (0.0, 0.0))
    assert hypervolume(np.empty((0, 2)), *box) == 0.0
    assert hypervolume(np.array([[0.0, 0.0]]), *box) == 1.0
    assert hypervolume(np.array([[0.5, 0.5]]), *box) == pytest.approx(0.25)
    assert hypervolume(np.array([[0.5, 0.5], [0.5, 0.5], [0.6, 0.7]]), *box) == pytest.approx(0.25)
    assert hypervolume(np.array([[-3.0, 0.5]]), *box) == pytest.approx(0.5)  # beyond the best, up to the border
    assert hypervolume(np.array([[0.2, 1.0], [1.5, 0.0], [math.nan, 0.1], [math.inf, 0.0]]), *box) == 0.0


@pytest.mark.parametrize("count", [2, 3, 4])
def test_hypervolume_is_that_of_the_front_and_never_falls(count: int) -> None:
    rng = np.random.default_rng(count)
    box = ([1.0] * count, [0.0] * count)
    loss = rng.random((40, count))
    shares = [hypervolume(loss[: n + 1], *box) for n in range(len(loss))]
    assert all(a <= b + 1e-12 for a, b in itertools.pairwise(shares))
    assert hypervolume(loss[pareto_mask(loss)], *box) == pytest.approx(shares[-1])
    assert hypervolume(rng.permutation(loss), *box) == pytest.approx(shares[-1])


@pytest.mark.parametrize("count", [1, 5])
def test_hypervolume_takes_two_to_four_objectives(count: int) -> None:
    with pytest.raises(UserError, match=f"hypervolume: needs 2 to 4 objectives, not {count}"):
        hypervolume(np.zeros((1, count)), [1.0] * count, [0.0] * count)


# --- knee -----------------------------------------------------------------------------------------


TWO = objectives_named(["accuracy", "macs"])


def test_the_knee_gives_up_a_fortieth_of_the_best_accuracy_for_half_of_the_cost() -> None:
    """The best has 0.8 above the worthless 0.1, so half of its cost is worth 0.02 and a quarter 0.04."""
    cheaper = [[0.9, 8e6], [0.881, 4e6], [0.865, 2e6], [0.4, 1e4]]
    assert knee(cheaper, TWO, 0.1) == 2
    assert knee([[0.9, 8e6], [0.881, 4e6], [0.859, 2e6]], TWO, 0.1) == 1
    assert knee([[0.9, 8e6], [0.879, 4e6], [0.859, 2e6]], TWO, 0.1) == 0


def test_at_the_knee_a_tenth_of_a_cost_is_as_good_as_less() -> None:
    """A tenth is worth 3.32 fortieths of 0.8, which is 0.066; a hundredth no more."""
    assert knee([[0.9, 8e6], [0.835, 8e5], [0.834, 8e4]], TWO, 0.1) == 1
    assert knee([[0.9, 8e6], [0.833, 8e4]], TWO, 0.1) == 0


def test_the_knee_is_no_toy_however_small_it_is() -> None:
    """65.65 % with 3 % of the budget, where 71.15 % is at hand (a study that ended so)."""
    assert knee([[0.7115, 114e3], [0.6565, 9e3], [0.36, 1e3]], TWO, 0.1) == 0


def test_the_knee_moves_with_no_other_member_of_the_front() -> None:
    for seed in range(50):
        rng = np.random.default_rng(seed)
        front = np.stack([np.sort(rng.random(12)), np.sort(10 ** rng.uniform(4, 8, 12))], axis=1)
        chosen = knee(front, TWO, 0.0)
        without = [row for row in range(12) if row in (chosen, 11) or rng.random() < 0.5]
        assert without[knee(front[without], TWO, 0.0)] == chosen
        assert knee(front * [1.0, 1000.0], TWO, 0.0) == chosen


def test_knee_of_small_fronts() -> None:
    assert knee([[0.3, 4e6]], TWO, 0.1) == 0
    assert knee([[0.1, 4e6], [0.1, 4e6]], TWO, 0.1) == 0
    with pytest.raises(UserError, match="knee: the front is empty"):
        knee(np.empty((0, 2)), TWO, 0.1)


def test_costs_count_by_the_mean_of_their_logarithms() -> None:
    three = objectives_named(["macs", "accuracy", "params"])
    front = [[8e6, 0.9, 4e5], [2e6, 0.881, 4e5], [8e6, 0.8, 1e5]]
    assert knee(front, three, 0.1) == knee([[0.9, 8e6], [0.881, 4e6]], TWO, 0.1) == 1
    alike = [[m, a, m] for a, m in [[0.9, 8e6], [0.881, 4e6], [0.865, 2e6], [0.4, 1e4]]]
    assert knee(alike, three, 0.1) == 2


# --- scale and box --------------------------------------------------------------------------------


def test_losses_have_one_row_a_point() -> None:
    objectives = objectives_named(["accuracy", "macs"])
    assert losses([[0.9, 1e6], [0.8, 1e3]], objectives).tolist() == [[-0.9, 6.0], [-0.8, 3.0]]
    assert losses([], objectives).shape == (0, 2)


SPACE = SearchSpace(depth=(18, 32), base_width=(8, 16), resolution=(16, 32), bits=(32, 8, 4), num_classes=7)


def box_of(space: SearchSpace, objectives: Sequence[Objective], limits: Sequence[Limit]) -> Any:
    samples = sample_costs(space, objectives, lambda network, graph: {})
    return hypervolume_box(cost_ranges(samples, objectives), objectives, limits, 1 / space.num_classes)


def test_box_holds_the_space_and_is_the_same_every_time() -> None:
    objectives = objectives_named(["accuracy", "macs", "file_bytes", "peak_memory_bytes"])
    worst, best = box_of(SPACE, objectives, [])
    assert (worst, best) == box_of(SPACE, objectives, [])
    assert (worst[0], best[0]) == (1 / 7, 1.0)
    for i in (1, 2, 3):
        assert 0 < best[i] < worst[i] / 4
    corners = losses([worst, best], objectives)
    assert (corners[0] > corners[1]).all()
    assert hypervolume(corners[1:], corners[0].tolist(), corners[1].tolist()) == pytest.approx(1.0)


def test_limits_cut_the_box_so_that_a_network_at_a_limit_still_counts() -> None:
    objectives = objectives_named(["accuracy", "macs"])
    worst, best = box_of(SPACE, objectives, [])
    limits = [parse_limit("max", "macs=5e6"), parse_limit("min", "accuracy=0.6"), parse_limit("max", "params=1e5")]
    cut, same = box_of(SPACE, objectives, limits)
    assert (cut, same) == ((1 / 7, pytest.approx(5e6 * (5e6 / best[1]) ** BEYOND_LIMIT)), best)
    corners = losses([cut, same, (0.6, 5e6)], objectives)
    assert hypervolume(corners[2:], corners[0].tolist(), corners[1].tolist()) == pytest.approx(
        (0.6 - 1 / 7) / (6 / 7) * BEYOND_LIMIT / (1 + BEYOND_LIMIT)
    )
    # On the other side a limit says nothing about the worst.
    other = [parse_limit("min", "macs=5e6"), parse_limit("max", "accuracy=0.6")]
    assert box_of(SPACE, objectives, other) == (worst, best)


def test_box_never_collapses() -> None:
    """Nor with a limit that no network keeps, nor with a space of one network."""
    objectives = objectives_named(["macs", "accuracy"])
    one = SearchSpace(depth=(20, 20), blocks=("basic",), base_width=(8, 8))
    for space, limits in ((SPACE, [parse_limit("max", "macs=10")]), (one, [])):
        worst, best = box_of(space, objectives, limits)
        assert best[0] == worst[0] / 10
        corners = losses([worst, best], objectives)
        assert (corners[0] > corners[1]).all()


def test_a_measured_objective_spans_what_the_extremes_take() -> None:
    """Only the smallest and the largest samples are timed; here the time is the MACs, so the box is theirs."""
    timed: list[str] = []

    def measure(network: Architecture, graph: Graph) -> dict[str, float]:
        timed.append(network.key)
        return {"latency_ms": sum(node.macs for node in graph.nodes) / 1e6}

    objectives = objectives_named(["accuracy", "latency_ms", "macs"])
    samples = sample_costs(SPACE, objectives, measure)
    ranges = cost_ranges(samples, objectives)
    worst, best = hypervolume_box(ranges, objectives, [], 1 / 7)
    assert 6 <= len(set(timed)) <= 12
    assert (worst[1], best[1]) == pytest.approx((worst[2] / 1e6, best[2] / 1e6))
    beyond = hypervolume_box(ranges, objectives, [parse_limit("max", "latency_ms=3")], 1 / 7)[0][1]
    assert beyond == pytest.approx(3 * max(1, 3 / best[1]) ** BEYOND_LIMIT)


def test_networks_that_a_device_cannot_run_are_no_part_of_the_box() -> None:
    objectives = objectives_named(["accuracy", "latency_ms@edgetpu"])
    samples = sample_costs(SPACE, objectives, lambda network, graph: {})
    assert 0 < len(samples) < 500  # a third of the space is float
    assert all(sample["latency_ms@edgetpu"] > 0 for sample in samples)
