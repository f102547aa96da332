"""Searches of the networks of prior_tables.py, trial by trial: with and without a prior, with limits and by others."""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import BaseSampler
from optuna.trial import TrialState, create_trial
from prior_tables import Scatter, prior_without, scatter
from threadpoolctl import threadpool_limits

from runners.samplers import front
from runners.samplers.builtin.optuna_samplers import POPULATION
from runners.samplers.front import FrontSampler

OPTUNA = ("tpe", "gp", "nsga2")
CHANCE = {"signs": 1 / 43}
"""Accuracy of guessing, 0.1 by default."""
Array = NDArray[np.float64]
Params = dict[str, Any]


class Search(NamedTuple):
    """One run of a search."""

    data: str
    costs: tuple[str, ...]
    kind: str
    """`with` or `without` a prior, `without spread`, `random prior`, `reversed prior`, `perfect prior`, one of OPTUNA's
    samplers, or `random`."""
    seed: int
    limits: tuple[float, ...] = ()
    """Of the costs; none without."""


@cache
def problem_of(data: str, costs: tuple[str, ...]) -> Scatter:
    return scatter(data, costs)


def run(search: Search, trials: int) -> list[int]:
    """Positions of the networks in the order in which they were tried, without repetitions."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    problem = problem_of(search.data, search.costs)
    trials = min(trials, len(problem.accuracy))
    with threadpool_limits(1):
        if search.kind == "random":
            return np.random.default_rng(search.seed).permutation(len(problem.accuracy))[:trials].tolist()  # type: ignore[no-any-return]
        if search.kind in OPTUNA:
            return others(problem, search.kind, search.seed, trials)
        return ours(problem, search, trials)


def ours(problem: Scatter, search: Search, trials: int) -> list[int]:
    """The project's sampler; what its prior is made of is drawn with the seed. Networks over a limit are not tried."""
    limits = np.array(search.limits)

    def excess(params: Params) -> list[float]:
        return (problem.costs[problem.position(params)] / limits - 1).tolist()  # type: ignore[no-any-return]

    sampler = FrontSampler(
        problem.space,
        problem.known,
        features=problem.features,
        prior=prior_of(problem, search),
        constraints=excess if search.limits else None,
        budget=[CHANCE.get(search.data, 0.1), *search.limits] if search.limits else None,
        seed=search.seed,
    )
    study = optuna.create_study(directions=problem.directions, sampler=sampler)
    spread, front.SPREAD = front.SPREAD, 1 if search.kind == "without spread" else front.SPREAD
    tried: dict[int, None] = {}
    for _ in range(2 * trials):  # where few networks fit, they are proposed again
        if len(tried) == trials:
            break
        trial = study.ask(problem.space)
        study.tell(trial, problem.values(trial.params))
        tried[problem.position(trial.params)] = None
    front.SPREAD = spread
    return list(tried)


def prior_of(problem: Scatter, search: Search) -> Callable[[Params], float] | None:
    """What the kind of search expects of the networks."""
    if search.kind.startswith("without"):
        return None
    told = prior_without(search.data, search.seed).expectations(problem.graphs)
    expected = {
        "with": told,
        "reversed prior": -told,
        "random prior": np.random.default_rng(search.seed).standard_normal(len(told)),
        "perfect prior": problem.accuracy,
    }[search.kind]
    return lambda params: float(expected[problem.position(params)])


def others(problem: Scatter, kind: str, seed: int, trials: int) -> list[int]:
    """Optuna's samplers, whose costs are told in logarithms; what they ask for becomes the nearest that is there."""
    samplers: dict[str, BaseSampler] = {
        "tpe": optuna.samplers.TPESampler(seed=seed, multivariate=True),
        "gp": optuna.samplers.GPSampler(seed=seed),
        "nsga2": optuna.samplers.NSGAIISampler(seed=seed, population_size=POPULATION),
    }
    study = optuna.create_study(directions=problem.directions, sampler=samplers[kind])
    columns = problem.logs[:, :-4]  # what describes a network; its costs are behind
    spread = np.maximum(np.ptp(columns, axis=0), 1e-9)
    space = {f"x{i}": distribution_of(columns[:, i]) for i in range(columns.shape[1])}
    tried: list[int] = []
    for _ in range(trials):
        asked = study.ask(space)
        distances = (((columns - [asked.params[name] for name in space]) / spread) ** 2).sum(axis=1)
        distances[tried] = np.inf
        position = int(distances.argmin())
        tried.append(position)
        params = {name: distribution_value(space[name], columns[position, i]) for i, name in enumerate(space)}
        attributes = study.get_trials(deepcopy=False)[asked.number].system_attrs
        study.tell(asked, state=TrialState.FAIL)
        values = problem.log_values({"place": position})
        study.add_trial(create_trial(params=params, distributions=space, values=values, system_attrs=attributes))
    return tried


def distribution_of(column: Array) -> BaseDistribution:
    """Yes and no for what is 0 or 1, else all between the least and the most."""
    if set(column.tolist()) <= {0.0, 1.0}:
        return CategoricalDistribution((0.0, 1.0))
    return FloatDistribution(float(column.min()), float(column.max()))


def distribution_value(distribution: BaseDistribution, value: float) -> Any:
    return distribution.to_external_repr(distribution.to_internal_repr(float(value)))


def regret_within(problem: Scatter, limits: Array, tried: list[int], share: float) -> float:
    """Points of accuracy at a share of the first limit and all of the others; NaN where no network fits."""
    fits = (problem.costs <= limits * np.array([share] + [1.0] * (len(limits) - 1))).all(axis=1)
    if not fits.any():
        return float("nan")
    is_tried = np.isin(np.arange(len(problem.accuracy)), tried)
    best = problem.accuracy[fits & is_tried].max(initial=problem.accuracy.min())
    return 100 * float(problem.accuracy[fits].max() - best)
