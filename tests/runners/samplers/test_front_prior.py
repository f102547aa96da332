"""FrontSampler with a prior: it is followed from the first proposal on, and never blindly."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.study import Study

from objectives.base import costs_of, objectives_named
from runners.samplers import Task, make_sampler
from runners.samplers.front import FrontSampler
from runners.samplers.priced_networks import Networks
from search_space.graph import Graph
from search_space.space import FixedTrial, SearchSpace

Params = dict[str, Any]
FIGURES = objectives_named(["macs", "params", "peak_memory_bytes"])
SPACE = {"width": IntDistribution(8, 96), "shape": FloatDistribution(0, 1)}


def truth(params: Params) -> float:
    """The best shape is 0.3, and width helps."""
    return float(0.5 + 0.1 * np.log(params["width"] / 8) - (params["shape"] - 0.3) ** 2)


def known(params: Params) -> list[float | None]:
    return [None, float(params["width"])]


def study_with(directions: Sequence[str] = ("maximize", "minimize"), **options: Any) -> Study:
    sampler = FrontSampler(SPACE, options.pop("known", known), seed=options.pop("seed", 0), **options)
    return optuna.create_study(directions=list(directions), sampler=sampler)


def run(study: Study, trials: int) -> list[Params]:
    found = []
    for _ in range(trials):
        trial = study.ask(SPACE)
        study.tell(trial, (truth(trial.params), trial.params["width"]))
        found.append(trial.params)
    return found


def test_the_first_proposal_is_what_the_prior_thinks_best() -> None:
    """On any scale."""
    for scale in (1.0, 1000.0):
        (first,) = run(study_with(prior=lambda params, scale=scale: scale * truth(params) + 3), 1)
        assert abs(first["shape"] - 0.3) < 0.1


@pytest.mark.parametrize("says", [None, 0.5, float("nan"), float("inf")])
def test_one_that_tells_nothing_apart_is_none(says: float | None) -> None:
    without = run(study_with(), 10)
    assert run(study_with(prior=lambda params: says), 10) == without
    shapes = sorted(params["shape"] for params in without[:4])
    assert shapes[-1] - shapes[0] > 0.5, "the first trials are spread"


@pytest.mark.parametrize("odd", [None, float("nan"), float("inf"), 1e12])
def test_a_few_odd_expectations_change_little(odd: float | None) -> None:
    """One candidate in fifty is expected to be what no network can be, or nothing is expected of it."""

    def prior(params: Params) -> float | None:
        return odd if int(1e6 * params["shape"]) % 50 == 0 else truth(params)

    tried = run(study_with(prior=prior), 8)
    assert min(abs(params["shape"] - 0.3) for params in tried) < 0.05
    assert sum(abs(params["shape"] - 0.3) < 0.15 for params in tried) >= (3 if odd == 1e12 else 5)


def test_what_breaks_a_new_limit_is_still_told_from_the_rest() -> None:
    """After ten trials the width is limited: trials that are too wide still show that the prior is right."""

    def narrow(params: Params) -> list[float]:
        return [params["width"] / 20 - 1]

    study = study_with(prior=truth)
    run(study, 10)
    study.sampler = study_with(
        prior=truth, constraints=narrow, is_feasible=lambda trial: trial.params["width"] <= 20
    ).sampler
    assert all(abs(params["shape"] - 0.3) < 0.1 for params in run(study, 4))


def test_what_is_in_training_makes_the_neighbours_surer_with_a_prior_too() -> None:
    """Ten proposals side by side do not crowd at one width, though a prior that is right knows the best shape."""
    study = study_with(prior=truth)
    run(study, 6)
    asked = [study.ask(SPACE).params for _ in range(10)]
    assert all(abs(params["shape"] - 0.3) < 0.2 for params in asked)
    assert len({params["width"] for params in asked}) >= 8


def test_the_same_seed_proposes_the_same_and_a_sampler_made_anew_goes_on() -> None:
    whole = run(study_with(prior=truth), 8)
    study = study_with(prior=truth)
    begun = run(study, 5)
    study.sampler = study_with(prior=truth).sampler
    assert begun + run(study, 3) == whole


def test_what_breaks_a_constraint_is_not_proposed_however_much_is_expected() -> None:
    study = study_with(prior=lambda params: float(params["width"]), constraints=lambda params: [params["width"] - 40])
    found = run(study, 10)
    assert max(params["width"] for params in found) in range(36, 41)


def test_proposals_side_by_side_differ_and_follow_it_too() -> None:
    study = study_with(prior=truth)
    asked = [study.ask(SPACE).params for _ in range(6)]
    assert len({tuple(params.values()) for params in asked}) == 6
    assert max(abs(params["shape"] - 0.3) for params in asked) < 0.3
    widths = [params["width"] for params in asked]
    assert max(widths) / min(widths) > 2, "several budgets are served before anything is known"


def test_it_may_serve_another_learned_metric() -> None:
    """An error to be minimised, of which low values are expected; of the accuracy's prior it learns the sign."""

    def error(params: Params) -> float:
        return 1 - truth(params)

    for prior, trials in ((error, 1), (truth, 12)):
        study = study_with(("minimize", "minimize"), prior=prior)
        for _ in range(trials):
            trial = study.ask(SPACE)
            study.tell(trial, (error(trial.params), trial.params["width"]))
        assert min(abs(trial.params["shape"] - 0.3) for trial in study.trials) < 0.1


@pytest.mark.parametrize("kind", ["right", "reversed", "random"])
def test_a_wrong_prior_costs_little(kind: str) -> None:
    """The best shape is found within 16 trials, whatever was expected."""
    noise = {i: float(v) for i, v in enumerate(np.random.default_rng(0).standard_normal(1001))}
    priors: dict[str, Callable[[Params], float | None]] = {
        "right": truth,
        "reversed": lambda params: -truth(params),
        "random": lambda params: noise[int(1000 * params["shape"])],
    }
    tried = run(study_with(prior=priors[kind]), 16)
    best = max(truth({**params, "width": 96}) for params in tried)
    assert best > truth({"width": 96, "shape": 0.3}) - 0.005


def test_a_study_of_networks_hands_its_prior_to_the_sampler() -> None:
    """The first network is a deep one where much is expected of these, and a shallow one where little is."""
    objectives = objectives_named(["accuracy", "macs"])
    space = SearchSpace(depth=(20, 56), blocks=("basic",), base_width=(16, 16), resolution=(16,), bits=(8,))
    depths = []
    for sign in (1, -1):

        def prior(graph: Graph, sign: int = sign) -> float:
            return float(sign * len(graph.nodes))

        networks = Networks(space, objectives, (), lambda graph, names: costs_of(graph, FIGURES, names), prior)
        sampler = make_sampler("front", Task(seed=0, finished=0, networks=networks))
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        params = study.ask(networks.distributions).params
        depths.append(space.sample(FixedTrial(params)).depth)
    assert depths[0] > 40 > depths[1]
