"""The expected gain over a grid of budgets, against sums by hand, brute force, Monte Carlo and quadrature."""

import itertools
import math

import numpy as np
import pytest

from runners.samplers.acquisition.gain_over_budgets import (
    BUDGETS,
    FULL_WEIGHT,
    LIMIT_WEIGHT,
    Budgets,
    fits_within,
    shortfall,
)
from runners.samplers.models.bend import Bend
from runners.samplers.models.surrogate import Prediction


def grid(low: list[float], high: list[float]) -> Budgets:
    return Budgets.between(np.array(low), np.array(high), np.array(high))


def one(mean: np.ndarray, deviation: np.ndarray) -> list[Prediction]:
    """A mixture of one component."""
    return [Prediction(1.0, mean, deviation)]


def gain_of(budgets: Budgets, loss: float, cost: tuple[float, ...], known: np.ndarray, worst: float) -> float:
    """What one network adds, budget by budget; `known` rows are (loss, cost ...)."""
    total = 0.0
    for place in itertools.product(range(BUDGETS), repeat=len(budgets.levels)):
        allowed = [level[i] for level, i in zip(budgets.levels, place, strict=True)]
        best = min([worst, *(row[0] for row in known if all(row[1:] <= np.array(allowed) + 1e-12))])
        if all(c <= most + 1e-12 for c, most in zip(cost, allowed, strict=True)):
            total += budgets.weights[place] * max(0.0, best - loss)
    return total


def known_fits(budgets: Budgets, costs: np.ndarray) -> list[np.ndarray]:
    return [fits_within(level, costs[:, i], np.zeros(len(costs))) for i, level in enumerate(budgets.levels)]


def test_by_hand() -> None:
    """One cost, budgets of 1 to 8: the full one has its share of the weight, each other a seventh of the rest."""
    budgets = grid([0.0], [8.0])
    assert budgets.levels[0] == pytest.approx([1, 2, 3, 4, 5, 6, 7, 8])
    assert budgets.weights[-1] == pytest.approx(LIMIT_WEIGHT)
    assert budgets.weights[:-1] == pytest.approx((1 - LIMIT_WEIGHT) / 7)
    best = budgets.best_within(np.array([0.5, 0.2]), np.array([[2.5], [6.0]]), worst=0.9)
    assert best == pytest.approx([0.9, 0.9, 0.5, 0.5, 0.5, 0.2, 0.2, 0.2])
    costs = np.array([[1.0], [6.5], [8.0], [8.1]])
    found = budgets.expected_gain(one(np.array([0.4, 0.1, 0.1, 0.1]), np.zeros(4)), known_fits(budgets, costs), best)
    seventh = (1 - LIMIT_WEIGHT) / 7
    assert found == pytest.approx(
        [seventh * (2 * 0.5 + 3 * 0.1), seventh * 0.1 + LIMIT_WEIGHT * 0.1, LIMIT_WEIGHT * 0.1, 0.0]
    )


@pytest.mark.parametrize("costs", [1, 2, 3])
def test_known_candidates_gain_what_brute_force_says(costs: int) -> None:
    rng = np.random.default_rng(costs)
    known, candidates = rng.random((6, 1 + costs)), rng.random((20, 1 + costs)) * 1.2 - 0.1
    budgets = grid([0.1] * costs, [0.9] * costs)
    best = budgets.best_within(known[:, 0], known[:, 1:], worst=0.8)
    found = budgets.expected_gain(one(candidates[:, 0], np.zeros(20)), known_fits(budgets, candidates[:, 1:]), best)
    assert found == pytest.approx(
        [gain_of(budgets, row[0], tuple(row[1:]), known, 0.8) for row in candidates], abs=1e-12
    )
    assert (found > 0).any() and (found == 0).any()


def test_a_budget_that_nothing_fits_counts_from_the_worst() -> None:
    budgets = grid([0.0, 0.0], [1.0, 1.0])
    best = budgets.best_within(np.empty(0), np.empty((0, 2)), worst=0.7)
    assert (best == 0.7).all()
    gains = budgets.expected_gain(
        one(np.array([0.6, 0.7, 0.8]), np.zeros(3)), known_fits(budgets, np.full((3, 2), 0.05)), best
    )
    assert gains == pytest.approx([0.1, 0.0, 0.0])


def test_without_a_limit_the_full_budget_allows_everything() -> None:
    budgets = Budgets.between(np.array([0.0]), np.array([1.0]), np.array([math.inf]))
    best = budgets.best_within(np.array([0.5]), np.array([[0.9]]), worst=1.0)
    fits = [fits_within(budgets.levels[0], np.array([7.0, 7.0]), np.array([0.0, 0.0]))]
    assert budgets.expected_gain(one(np.array([0.3, 0.6]), np.zeros(2)), fits, best) == pytest.approx(
        [FULL_WEIGHT * 0.2, 0]
    )
    doubtful = [fits_within(budgets.levels[0], np.array([7.0]), np.array([0.5]))]
    assert budgets.expected_gain(one(np.array([0.3]), np.zeros(1)), doubtful, best) == pytest.approx(
        [FULL_WEIGHT * 0.2]
    )


@pytest.mark.parametrize("unknown_cost", [False, True])
def test_unknown_objectives_against_monte_carlo(unknown_cost: bool) -> None:
    rng = np.random.default_rng(7)
    known = rng.random((5, 3))
    budgets = grid([0.0, 0.0], [1.0, 1.0])
    best = budgets.best_within(known[:, 0], known[:, 1:], worst=1.0)
    draws = 4000
    for _ in range(5):
        mean, deviation = rng.random(3), np.array([0.2, 0.15 if unknown_cost else 0.0, 0.0])
        fits = [fits_within(level, mean[None, 1 + i], deviation[None, 1 + i]) for i, level in enumerate(budgets.levels)]
        found = budgets.expected_gain(one(mean[:1], deviation[:1]), fits, best)
        points = rng.normal(mean, deviation, (draws, 3))
        gains = budgets.expected_gain(one(points[:, 0], np.zeros(draws)), known_fits(budgets, points[:, 1:]), best)
        assert found[0] == pytest.approx(gains.mean(), abs=4 * gains.std() / math.sqrt(draws) + 1e-6)


def test_more_doubt_promises_more() -> None:
    budgets = grid([0.0], [1.0])
    best = budgets.best_within(np.array([0.2]), np.array([[0.1]]), worst=1.0)
    fits = known_fits(budgets, np.full((3, 1), 0.5))
    found = budgets.expected_gain(one(np.full(3, 0.4), np.array([0.01, 0.1, 0.5])), fits, best)
    assert 0 <= found[0] < found[1] < found[2]


def test_bent_losses_against_monte_carlo() -> None:
    """The mean of what is below a level: below the edge of the bend, across it and far beyond."""
    rng = np.random.default_rng(0)
    bend = Bend(np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.9]))
    levels = np.array([0.1, 0.45, 0.8, 1.5])
    for mean, deviation in [(0.2, 0.05), (0.5, 0.2), (0.6, 0.02), (0.8, 0.4), (3.0, 0.3)]:
        found = shortfall(levels, np.array([[mean]]), np.array([[deviation]]), bend)[0]
        losses = bend.unbend(rng.normal(mean, deviation, 20_000))
        below = np.maximum(levels[None, :] - losses[:, None], 0.0)
        error = below.std(axis=0) / math.sqrt(20_000)
        assert (np.abs(found - below.mean(axis=0)) <= 4 * error + 1e-12).all()
        fits = fits_within(levels, np.array([mean]), np.array([deviation]), bend)[0]
        assert fits == pytest.approx((losses[:, None] <= levels[None, :]).mean(axis=0), abs=0.02)
    assert np.isfinite(shortfall(levels, np.array([[90.0]]), np.array([[30.0]]), bend)).all()


def test_the_gain_of_a_mixture_is_the_mean_of_its_components() -> None:
    budgets = grid([0.0, 0.0], [1.0, 1.0])
    best = budgets.best_within(np.array([0.5]), np.array([[0.4, 0.6]]), worst=1.0)
    fits = known_fits(budgets, np.array([[0.2, 0.3], [0.7, 0.9]]))
    parts = [(0.7, np.array([0.3, 0.6]), np.array([0.1, 0.2])), (0.3, np.array([0.6, 0.1]), np.array([0.3, 0.1]))]
    found = budgets.expected_gain([Prediction(*part) for part in parts], fits, best)
    singly = [weight * budgets.expected_gain(one(*normal), fits, best) for weight, *normal in parts]
    assert found == pytest.approx(sum(singly))
