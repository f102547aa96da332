"""Which settings of the sampler suit a prior? One at a time is changed, the others stay as they are.

On the networks and with the priors of prior_search.py: the share of the hypervolume without limits, and the regret
within limits. `perfect prior` expects the accuracies of the table: what it misses, the rest of the sampler loses.

    python benchmarks/prior_settings.py --save
"""

import argparse
import multiprocessing
from typing import Any

import numpy as np
from prior_runs import Search, problem_of, regret_within
from prior_runs import run as search
from prior_search import COST_SETS, LIMIT_MARKS, LIMIT_SHARES, LIMITS, PROBLEMS, figures_of
from record import report, table

from runners.samplers.acquisition import gain_over_budgets, outlook
from runners.samplers.models import gaussian_process, surrogate

FINE = ({1: 8, 2: 8}, {1: 16, 2: 12}, {1: 64, 2: 24})
WITHOUT_LIMITS: dict[str, tuple[Any, str, tuple[Any, ...]]] = {
    "budgets of one cost, of each of two": (outlook, "FINE_BUDGETS", FINE),
    "weight of the prior": (surrogate, "PRIOR_WEIGHT", (0.5, 0.65, 0.8, 0.95)),
    "variance of the slope": (gaussian_process, "SLOPE_VARIANCE", (0.1, 0.3, 1.0)),
    "share of the weight on the whole budget": (gain_over_budgets, "FULL_WEIGHT", (0.1, 0.3, 0.5)),
}
WITHIN_LIMITS: dict[str, tuple[Any, str, tuple[Any, ...]]] = {
    "budgets of each cost": (outlook, "BUDGETS", (8, 16, 32)),
    "share of the weight on the limits": (gain_over_budgets, "LIMIT_WEIGHT", (0.5, 0.7, 0.9)),
}
KINDS = ("with", "random prior", "reversed prior", "perfect prior")
KINDS_WITHIN_LIMITS = ("with", "without")
MARKS = (3, 5, 8, 10, 15, 20)
Job = tuple[str, int, Search]
"""Setting, the place of its value, and the search."""


def run(job: Job) -> list[int]:
    """Positions of the networks in the order in which they were tried."""
    setting, value, what = job
    module, name, values = (WITHOUT_LIMITS | WITHIN_LIMITS)[setting]
    before = getattr(module, name)
    setattr(module, name, values[value])
    try:
        return search(what, LIMIT_MARKS[-1] if what.limits else MARKS[-1])
    finally:
        setattr(module, name, before)


def without_limits(setting: str, seeds: int, workers: int) -> str:
    """The share of the hypervolume for each value and prior."""
    values = WITHOUT_LIMITS[setting][2]
    problems = [(data, costs) for data in PROBLEMS for costs in COST_SETS]
    searches = [Search(*problem, kind, seed) for problem in problems for kind in KINDS for seed in range(seeds)]
    found = everything([(setting, value, each) for value in range(len(values)) for each in searches], workers)
    rows = []
    for place, value in enumerate(values):
        own = {each: tried for (_, at, each), tried in found.items() if at == place}
        for kind in KINDS:
            shares = [figures_of(own, problems, kind, seeds, mark)[:, 0].mean() for mark in MARKS]
            rows.append([shown(value), kind, *(f"{share:.1f}" for share in shares)])
    return table([setting, "prior", *map(str, MARKS)], rows)


def within_limits(setting: str, seeds: int, workers: int) -> str:
    """The regret for each value, with a prior and without."""
    values = WITHIN_LIMITS[setting][2]
    searches = [
        Search(data, tuple(limits), kind, seed, tuple(limits.values()))
        for data in PROBLEMS
        for limits in LIMITS
        for kind in KINDS_WITHIN_LIMITS
        for seed in range(seeds)
    ]
    found = everything([(setting, value, each) for value in range(len(values)) for each in searches], workers)
    rows = []
    for place, value in enumerate(values):
        for kind in KINDS_WITHIN_LIMITS:
            for mark in LIMIT_MARKS:
                regrets = [
                    [
                        regret_within(problem_of(each.data, each.costs), np.array(each.limits), tried[:mark], share)
                        for share in LIMIT_SHARES
                    ]
                    for (_, at, each), tried in found.items()
                    if (at, each.kind) == (place, kind)
                ]
                points = np.nanmean(regrets, axis=0)
                rows.append([shown(value), kind, mark, *(f"{x:.2f}" for x in points), f"{points.mean():.2f}"])
    return table([setting, "prior", "trainings", *(f"at {100 * x:g} %" for x in LIMIT_SHARES), "mean"], rows)


def everything(jobs: list[Job], workers: int) -> dict[Job, list[int]]:
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        return dict(zip(jobs, pool.imap(run, jobs), strict=True))


def shown(value: Any) -> str:
    return ", ".join(map(str, value.values())) if isinstance(value, dict) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--save", action="store_true")
    args = parser.parse_args()
    named = "; ".join(" and ".join(f"{name} <= {limit:g}" for name, limit in limits.items()) for limits in LIMITS)
    parts = [
        "Share of the hypervolume, %, after so many trainings:",
        *(without_limits(setting, args.seeds, args.workers) for setting in WITHOUT_LIMITS),
        f"Regret within limits ({named}), points of accuracy, at shares of the first limit:",
        *(within_limits(setting, args.seeds, args.workers) for setting in WITHIN_LIMITS),
    ]
    report("prior-settings", "python benchmarks/prior_settings.py --save", "\n\n".join(parts), save=args.save)


if __name__ == "__main__":
    main()
