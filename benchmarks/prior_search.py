"""How much sooner does a search find good networks that knows what to expect from other data sets?

On the networks of prior_table.py, one data set at a time: the prior knows the others, and no network that was trained
on this one. The share of the true front's hypervolume, and the regret (see search_efficiency.py) within all of each
cost's range in logarithms, half and a quarter of it. `with` and `without` are the project's sampler with and without
the prior; `random prior` and `reversed prior` are what a useless and an inverted one cost. Optuna's samplers propose
the parameters of a network, of whom the nearest in the table that was not tried is taken.

    python benchmarks/prior_search.py --save
"""

import argparse
import multiprocessing
import warnings
from functools import cache
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import BaseSampler
from optuna.trial import TrialState, create_trial
from prior_tables import COSTS, Scatter, data_sets, scatter
from record import report, table
from threadpoolctl import threadpool_limits

from runners.samplers import POPULATION
from runners.samplers.front import FrontSampler

MARKS = (3, 5, 8, 10, 15, 20, 30, 50)
SHARES = (1.0, 0.5, 0.25)
COST_SETS = (*((cost,) for cost in COSTS), ("latency_ms@rpi4", "file_bytes"))
OURS = ("with", "without", "random prior", "reversed prior")
KINDS = (*OURS, "tpe", "gp", "nsga2", "random")
T_95 = {5: 2.776, 10: 2.262}
Array = NDArray[np.float64]
Job = tuple[str, tuple[str, ...], str, int]


@cache
def problem_of(data: str, costs: tuple[str, ...]) -> Scatter:
    return scatter(data, costs)


def run(job: Job) -> list[int]:
    """Positions of the networks in the order in which they were tried, without repetitions."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    data, costs, kind, seed = job
    problem = problem_of(data, costs)
    trials = min(MARKS[-1], len(problem.accuracy))
    with threadpool_limits(1):
        if kind == "random":
            return np.random.default_rng(seed).permutation(len(problem.accuracy))[:trials].tolist()  # type: ignore[no-any-return]
        return ours(problem, kind, seed, trials) if kind in OURS else others(problem, kind, seed, trials)


def ours(problem: Scatter, kind: str, seed: int, trials: int) -> list[int]:
    expected = {
        "with": problem.expected,
        "reversed prior": -problem.expected,
        "random prior": np.random.default_rng(seed).standard_normal(len(problem.expected)),
    }.get(kind)
    prior = None if expected is None else lambda params: float(expected[problem.position(params)])
    sampler = FrontSampler(problem.space, problem.known, features=problem.features, prior=prior, seed=seed)
    study = optuna.create_study(directions=problem.directions, sampler=sampler)
    tried: dict[int, None] = {}
    while len(tried) < trials:
        trial = study.ask(problem.space)
        study.tell(trial, problem.values(trial.params))
        tried[problem.position(trial.params)] = None
    return list(tried)


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


def summary(found: dict[Job, list[int]], kinds: list[str], seeds: int) -> str:
    """Means over data sets and costs; intervals of the differences from `without`, over seeds, paired."""
    problems = [(data, costs) for data in data_sets() for costs in COST_SETS]
    rows = []
    for mark in MARKS:
        figures: dict[str, Array] = {}
        for kind in kinds:
            by_seed = []
            for seed in range(seeds):
                cells = [
                    (100 * p.share(tried), *(p.regret(tried, share) for share in SHARES))
                    for p, tried in ((problem_of(*problem), found[*problem, kind, seed][:mark]) for problem in problems)
                ]
                by_seed.append(np.nanmean(cells, axis=0))
            figures[kind] = np.array(by_seed)
        for kind in kinds:
            mean, differences = figures[kind].mean(axis=0), figures[kind] - figures["without"]
            half = T_95.get(seeds, 2.0) * differences.std(axis=0, ddof=1) / np.sqrt(seeds)
            interval = f"{differences[:, 0].mean() - half[0]:+.1f} to {differences[:, 0].mean() + half[0]:+.1f}"
            cells = [f"{mean[0]:.1f}", "" if kind == "without" else interval, *(f"{x:.2f}" for x in mean[1:])]
            rows.append([str(mark), kind, *cells])
    budgets = [f"regret at {100 * share:g} %" for share in SHARES]
    return table(["trainings", "search", "hypervolume, %", "difference from `without`", *budgets], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default=",".join(KINDS), help="`without` must be among them")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--save", action="store_true")
    args = parser.parse_args()
    kinds = args.kinds.split(",")
    jobs = [
        (data, costs, kind, seed)
        for data in data_sets()
        for costs in COST_SETS
        for kind in kinds
        for seed in range(args.seeds)
    ]
    with multiprocessing.get_context("spawn").Pool(args.workers) as pool:
        found = dict(zip(jobs, pool.imap(run, jobs), strict=True))
    sizes = ", ".join(f"{data} {len(problem_of(data, COST_SETS[0]).accuracy)}" for data in data_sets())
    text = f"Networks at 8 bits or in float: {sizes}. Means over {len(COST_SETS)} sets of costs and the data sets.\n\n"
    text += summary(found, kinds, args.seeds)
    report("prior-search", "python benchmarks/prior_search.py --save", text, save=args.save)


if __name__ == "__main__":
    main()
