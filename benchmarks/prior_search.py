"""How much sooner does a search find good networks that knows what to expect from other data sets?

On the networks of prior_table.py and search_table.py, one data set at a time. The prior is made of the other data
sets, without the networks that were trained on this one, and for each seed without another tenth of all. The share of
the true front's hypervolume, and the regret (see search_efficiency.py) within all of each cost's range in logarithms,
half and a quarter of it; then the regret of studies with limits. `with` and `without` are the project's sampler with
and without the prior; `without spread` has no prior and asks its surrogate from the second trial on, as it does with a
prior; `random prior` and `reversed prior` are what a useless and an inverted one cost. Optuna's samplers propose the
parameters of a network, and the nearest in the table that was not tried is taken.

    python benchmarks/prior_search.py --save
"""

import argparse
import multiprocessing
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from prior_runs import OPTUNA, Array, Search, problem_of, regret_within, run
from prior_tables import COSTS, OLDER, data_sets
from record import report, table, write_picture

from studies.figures.theme import TEMPLATE

MARKS = (3, 5, 8, 10, 15, 20, 30, 50)
SHARES = (1.0, 0.5, 0.25)
COST_SETS = (*((cost,) for cost in COSTS), ("latency_ms@rpi4", "file_bytes"))
PROBLEMS = (*data_sets(), OLDER)
OURS = ("with", "without", "without spread", "random prior", "reversed prior")
KINDS = (*OURS, *OPTUNA, "random")
LIMITS = ({"file_bytes": 300e3}, {"macs": 15e6}, {"file_bytes": 350e3, "latency_ms@rpi4": 8.0})
LIMIT_MARKS = (3, 5, 8, 12, 16)
LIMIT_SHARES = (1.0, 0.75, 0.5, 0.25)
"""Of the first limit."""
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
Found = dict[Search, list[int]]


def figures_of(
    found: Found, problems: Sequence[tuple[str, tuple[str, ...]]], kind: str, seeds: int, mark: int
) -> Array:
    """Means over problems after `mark` trainings, (seeds, 1 + SHARES): hypervolume in percent, regrets in points."""
    by_seed = []
    for seed in range(seeds):
        cells = []
        for problem in problems:
            table, tried = problem_of(*problem), found[Search(*problem, kind, seed)][:mark]
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
                        problem, tried = problem_of(data, costs), found[Search(data, costs, kind, seed)]
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


def within_limits(found: Found, kinds: list[str], seeds: int) -> str:
    """Regrets of studies with limits, in points of accuracy, means over limits, data sets and seeds."""
    rows = []
    for mark in LIMIT_MARKS:
        for kind in kinds:
            regrets = [
                [
                    regret_within(problem_of(data, tuple(limits)), np.array([*limits.values()]), tried[:mark], share)
                    for share in LIMIT_SHARES
                ]
                for data in PROBLEMS
                for limits in LIMITS
                for seed in range(seeds)
                for tried in [found[Search(data, tuple(limits), kind, seed, tuple(limits.values()))]]
            ]
            rows.append([mark, kind, *(f"{x:.2f}" for x in np.nanmean(regrets, axis=0))])
    return table(["trainings", "search", *(f"regret at {100 * share:g} %" for share in LIMIT_SHARES)], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default=",".join(KINDS), help="`without` must be among them")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--save", action="store_true")
    parser.add_argument("--picture", type=Path, help="where to draw the shares of the hypervolume")
    args = parser.parse_args()
    kinds = args.kinds.split(",")
    own = [kind for kind in kinds if kind in OURS]
    problems = [(data, costs) for data in PROBLEMS for costs in COST_SETS]
    free = [Search(*problem, kind, seed) for problem in problems for kind in kinds for seed in range(args.seeds)]
    limited = [
        Search(data, tuple(limits), kind, seed, tuple(limits.values()))
        for data in PROBLEMS
        for limits in LIMITS
        for kind in own
        for seed in range(args.seeds)
    ]
    with multiprocessing.get_context("spawn").Pool(args.workers) as pool:
        found = dict(zip(free, pool.imap(partial(run, trials=MARKS[-1]), free), strict=True))
        found |= zip(limited, pool.imap(partial(run, trials=LIMIT_MARKS[-1]), limited), strict=True)
    sizes = ", ".join(f"{data} {len(problem_of(data, COST_SETS[0]).accuracy)}" for data in PROBLEMS)
    text = f"Networks at 8 bits or in float: {sizes}. Means over {len(COST_SETS)} sets of costs and the data sets.\n\n"
    text += by_trainings(found, problems, kinds, args.seeds)
    text += f"\n\nHypervolume by data set, %, after so many trainings:\n\n{by_data(found, kinds, args.seeds)}"
    text += f"\n\n{until_reached(found, kinds, args.seeds)}"
    named = "; ".join(" and ".join(f"{name} <= {limit:g}" for name, limit in limits.items()) for limits in LIMITS)
    text += f"\n\nRegret within limits ({named}), points, at shares of the first limit:\n\n"
    text += within_limits(found, own, args.seeds)
    if args.picture:
        write_picture(draw(found, kinds, args.seeds), args.picture)
    report("prior-search", "python benchmarks/prior_search.py --save", text, save=args.save)


if __name__ == "__main__":
    main()
