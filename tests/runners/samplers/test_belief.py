"""An expectation is followed as far as what is observed agrees with it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest
from numpy.typing import NDArray
from optuna.distributions import FloatDistribution, IntDistribution

from runners.samplers.belief import DOUBT, TRUST, Belief
from runners.samplers.front import FrontSampler

Array = NDArray[np.float64]
Params = dict[str, Any]


def problem(count: int, seed: int = 0) -> tuple[Array, Array]:
    """Points, and values that no feature explains from few points."""
    x = np.random.default_rng(seed).random((count, 6))
    return x, np.sin(9 * x[:, 0]) + np.cos(7 * x[:, 1]) + x[:, 2]


def scaled(values: Array) -> Array:
    return np.asarray((values - values.mean()) / values.std())


def share(belief: Belief, x: Array, expected: Array) -> float:
    """The weight of the process that follows the expectation."""
    return belief.thoughts(x, expected)[0].weight


def test_before_anything_is_observed_the_expectation_is_all() -> None:
    expected = np.array([-1.0, 0.0, 2.0])
    belief = Belief(np.empty((0, 2)), np.empty(0), np.empty(0), np.empty(0), worst=(2.0, 1.0))
    ((weight, mean, deviation),) = belief.thoughts(np.zeros((3, 2)), expected)
    assert weight == 1.0 and mean.tolist() == [-2.0, -1.0, 1.0], "the worst is worth what counts as nothing"
    assert (deviation == DOUBT).all()


def test_from_one_observation_the_worst_tells_the_unit() -> None:
    belief = Belief(np.array([[0.5]]), np.array([0.2]), np.zeros(1), np.array([-1.0]), worst=(3.0, 1.0))
    follows = belief.thoughts(np.array([[0.5], [0.5]]), np.array([-1.0, 3.0]))[0]
    assert follows.weight == pytest.approx(TRUST)
    assert follows.mean[0] == pytest.approx(0.2, abs=0.02) and 0.6 < follows.mean[1] <= 1.0


@pytest.mark.parametrize("count", [6, 12, 30])
def test_a_right_expectation_is_followed_and_a_useless_one_is_not(count: int) -> None:
    x, y = problem(count + 200)
    right, useless = scaled(y), np.random.default_rng(1).standard_normal(len(y))
    seen, rest = slice(0, count), slice(count, None)
    beliefs = [Belief(x[seen], y[seen], np.zeros(count), expected[seen]) for expected in (right, useless)]
    followed, doubted = (share(b, x[rest], e[rest]) for b, e in zip(beliefs, (right, useless), strict=True))
    assert followed > 0.95 and doubted < followed
    error = np.abs(beliefs[0].mean(x[rest], right[rest]) - y[rest]).mean()
    plain = np.abs(Belief(x[seen], y[seen], np.zeros(count)).mean(x[rest], None) - y[rest]).mean()
    assert error < 0.3 * plain
    if count == 30:
        assert doubted < 0.3


def test_a_reversed_expectation_is_turned_round() -> None:
    x, y = problem(230)
    expected = -scaled(y)
    belief = Belief(x[:30], y[:30], np.zeros(30), expected[:30])
    assert np.corrcoef(belief.mean(x[30:], expected[30:]), y[30:])[0, 1] > 0.9


def test_units_do_not_matter() -> None:
    """Neither of what is observed nor where it begins."""
    x, y = problem(40)
    expected = scaled(y + np.random.default_rng(2).standard_normal(40))
    here = Belief(x[:20], y[:20], np.zeros(20), expected[:20]).mean(x[20:], expected[20:])
    there = Belief(x[:20], 100 * y[:20] + 7, np.zeros(20), expected[:20]).mean(x[20:], expected[20:])
    assert there == pytest.approx(100 * here + 7, rel=1e-3)


# --- in the sampler -------------------------------------------------------------------------------

SPACE = {"width": IntDistribution(8, 96), "shape": FloatDistribution(0, 1)}


def truth(params: Params) -> float:
    """The best shape is 0.3, and width helps."""
    return float(0.5 + 0.1 * np.log(params["width"] / 8) - (params["shape"] - 0.3) ** 2)


def search(prior: Callable[[Params], float | None] | None, trials: int, seed: int = 0) -> list[Params]:
    sampler = FrontSampler(SPACE, lambda params: [None, float(params["width"])], prior=prior, seed=seed)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    study.optimize(lambda trial: (truth(p := trial.params | ask(trial)), p["width"]), n_trials=trials)
    return [trial.params for trial in study.trials]


def ask(trial: optuna.Trial) -> Params:
    return {"width": trial.suggest_int("width", 8, 96), "shape": trial.suggest_float("shape", 0, 1)}


def test_the_first_proposal_is_what_the_prior_thinks_best() -> None:
    """On any scale."""
    for scale in (1.0, 1000.0):
        (first,) = search(lambda params, scale=scale: scale * truth(params) + 3, 1)  # type: ignore[misc]
        assert abs(first["shape"] - 0.3) < 0.1


def test_it_is_the_same_for_the_same_seed_and_without_a_prior_as_before() -> None:
    assert search(truth, 8) == search(truth, 8)
    unknown = search(lambda params: None, 8)
    assert len(unknown) == 8, "a prior that knows nothing of any candidate is no trouble"
    spread = search(None, 4)
    shapes = sorted(params["shape"] for params in spread)
    assert shapes[-1] - shapes[0] > 0.5, "without one the first trials are spread"


@pytest.mark.parametrize("kind", ["right", "reversed", "random"])
def test_a_wrong_prior_costs_little(kind: str) -> None:
    """The best shape is found within 16 trials, whatever was expected."""
    noise = {i: float(v) for i, v in enumerate(np.random.default_rng(0).standard_normal(1001))}
    priors: dict[str, Callable[[Params], float | None]] = {
        "right": truth,
        "reversed": lambda params: -truth(params),
        "random": lambda params: noise[int(1000 * params["shape"])],
    }
    tried = search(priors[kind], 16)
    best = max(truth({**params, "width": 96}) for params in tried)
    assert best > truth({"width": 96, "shape": 0.3}) - 0.005
