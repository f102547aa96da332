"""How much sooner does a search find good networks that knows what to expect from other data sets?

On the networks of prior_table.py and search_table.py, one data set at a time. The prior is made of the other data
sets, without the networks that were trained on this one, and for each seed without another tenth of all. The share of
the true front's hypervolume, and the regret (see search_efficiency.py) within all of each cost's range in logarithms,
half and a quarter of it. `with` and `without` are the project's sampler with and without the prior; `random prior` and
`reversed prior` are what a useless and an inverted one cost. Optuna's samplers propose the parameters of a network, and
the nearest in the table that was not tried is taken.

    python benchmarks/prior_search.py --save
"""

import argparse
import multiprocessing
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import plotly.graph_objects as go
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import BaseSampler
from optuna.trial import TrialState, create_trial
from prior_tables import COSTS, OLDER, Scatter, data_sets, prior_without, scatter
from record import report, table, write_picture
from threadpoolctl import threadpool_limits

from runners.samplers import POPULATION
from runners.samplers.front import FrontSampler
from studies.figures.theme import TEMPLATE

MARKS = (3, 5, 8, 10, 15, 20, 30, 50)
SHARES = (1.0, 0.5, 0.25)
COST_SETS = (*((cost,) for cost in COSTS), ("latency_ms@rpi4", "file_bytes"))
PROBLEMS = (*data_sets(), OLDER)
OURS = ("with", "without", "random prior", "reversed prior")
KINDS = (*OURS, "tpe", "gp", "nsga2", "random")
SHOWN = {
    "with": ("with a prior from other images", "solid"),
    "without": ("without a prior", "solid"),
    "tpe": ("TPE", "dash"),
    "gp": ("Gaussian process", "dash"),
    "nsga2": ("NSGA-II", "dot"),
    "random": ("chance", "dot"),
}
"""Searches of the picture, with their labels and dashes."""
GOALS = (0.8, 0.9, 0.95)
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
        return ours(problem, data, kind, seed, trials) if kind in OURS else others(problem, kind, seed, trials)


def ours(problem: Scatter, data: str, kind: str, seed: int, trials: int) -> list[int]:
    """The project's sampler; what its prior is made of is drawn with the seed."""
    told = prior_without(data, seed).expectations(problem.graphs)
    expected = {
        "with": told,
        "reversed prior": -told,
        "random prior": np.random.default_rng(seed).standard_normal(len(told)),
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


Found = dict[Job, list[int]]


def figures_of(
    found: Found, problems: Sequence[tuple[str, tuple[str, ...]]], kind: str, seeds: int, mark: int
) -> Array:
    """Means over problems after `mark` trainings, (seeds, 1 + SHARES): hypervolume in percent, regrets in points."""
    by_seed = []
    for seed in range(seeds):
        cells = []
        for problem in problems:
            table, tried = problem_of(*problem), found[*problem, kind, seed][:mark]
            cells.append((100 * table.share(tried), *(table.regret(tried, share) for share in SHARES)))
        by_seed.append(np.nanmean(cells, axis=0))
    return np.array(by_seed)


def by_trainings(found: Found, problems: Sequence[tuple[str, tuple[str, ...]]], kinds: list[str], seeds: int) -> str:
    """A row for each number of trainings and search; intervals are of paired differences from `without`."""
    rows = []
    for mark in MARKS:
        figures = {kind: figures_of(found, problems, kind, seeds, mark) for kind in kinds}
        for kind in kinds:
            mean, difference = figures[kind].mean(axis=0), figures[kind][:, 0] - figures["without"][:, 0]
            half = T_95.get(seeds, 2.0) * difference.std(ddof=1) / np.sqrt(seeds)
            interval = f"{difference.mean() - half:+.1f} to {difference.mean() + half:+.1f}"
            cells = [f"{mean[0]:.1f}", "" if kind == "without" else interval, *(f"{x:.2f}" for x in mean[1:])]
            rows.append([str(mark), kind, *cells])
    budgets = [f"regret at {100 * share:g} %" for share in SHARES]
    return table(["trainings", "search", "hypervolume, %", "difference from `without`", *budgets], rows)


def by_data(found: Found, kinds: list[str], seeds: int) -> str:
    """The share of the hypervolume on each data set."""
    rows = []
    for data in PROBLEMS:
        problems = [(data, costs) for costs in COST_SETS]
        for kind in kinds:
            shares = [figures_of(found, problems, kind, seeds, mark)[:, 0].mean() for mark in MARKS]
            rows.append([data, kind, *(f"{share:.1f}" for share in shares)])
    return table(["images", "search", *map(str, MARKS)], rows)


def until_reached(found: Found, kinds: list[str], seeds: int) -> str:
    """Trainings until a share of the hypervolume is reached, at most those that were tried; means over all runs."""
    rows = []
    for kind in kinds:
        needed = []
        for goal in GOALS:
            counts = []
            for data in PROBLEMS:
                for costs in COST_SETS:
                    for seed in range(seeds):
                        problem, tried = problem_of(data, costs), found[data, costs, kind, seed]
                        reached = (n for n in range(1, len(tried) + 1) if problem.share(tried[:n]) >= goal)
                        counts.append(next(reached, len(tried)))
            needed.append(float(np.mean(counts)))
        rows.append([kind, *(f"{count:.1f}" for count in needed)])
    return table(["search", *(f"trainings to {100 * goal:g} %" for goal in GOALS)], rows)


def draw(found: Found, kinds: list[str], seeds: int) -> go.Figure:
    """The share of the hypervolume against the number of trainings."""
    problems = [(data, costs) for data in PROBLEMS for costs in COST_SETS]
    figure = go.Figure()
    for kind in kinds:
        if kind in SHOWN:
            shares = [figures_of(found, problems, kind, seeds, mark)[:, 0].mean() for mark in MARKS]
            label, dash = SHOWN[kind]
            figure.add_scatter(x=MARKS, y=shares, name=label, line={"dash": dash}, mode="lines+markers")
    figure.update_layout(template=TEMPLATE, width=820, height=460, margin={"l": 60, "r": 20, "t": 20, "b": 90})
    figure.update_xaxes(title="trainings", type="log", tickvals=MARKS)
    figure.update_yaxes(title="share of the front's hypervolume, %", range=[40, 100])
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default=",".join(KINDS), help="`without` must be among them")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--save", action="store_true")
    parser.add_argument("--picture", type=Path, help="where to draw the shares of the hypervolume")
    args = parser.parse_args()
    kinds = args.kinds.split(",")
    jobs = [
        (data, costs, kind, seed)
        for data in PROBLEMS
        for costs in COST_SETS
        for kind in kinds
        for seed in range(args.seeds)
    ]
    with multiprocessing.get_context("spawn").Pool(args.workers) as pool:
        found = dict(zip(jobs, pool.imap(run, jobs), strict=True))
    sizes = ", ".join(f"{data} {len(problem_of(data, COST_SETS[0]).accuracy)}" for data in PROBLEMS)
    text = f"Networks at 8 bits or in float: {sizes}. Means over {len(COST_SETS)} sets of costs and the data sets.\n\n"
    problems = [(data, costs) for data in PROBLEMS for costs in COST_SETS]
    text += by_trainings(found, problems, kinds, args.seeds)
    text += f"\n\nHypervolume by data set, %, after so many trainings:\n\n{by_data(found, kinds, args.seeds)}"
    text += f"\n\n{until_reached(found, kinds, args.seeds)}"
    if args.picture:
        write_picture(draw(found, kinds, args.seeds), args.picture)
    report("prior-search", "python benchmarks/prior_search.py --save", text, save=args.save)


if __name__ == "__main__":
    main()
