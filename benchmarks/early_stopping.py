"""How much training does early stopping save, and what does it cost the front?

Searches with FrontSampler over the 8-bit networks of search_table.py (float ones are the same trainings), ten seeds
each: all trained to the end, and stopped within the schedule by the curves of the averaged weights, as in a study.
Training is counted in images and stated in complete trainings; the truth is the accuracy in the end. `Lost` are stopped
networks that would have been on the front of what the search looked at; `missed` are networks on the front of the
search of the same seed that trains all, which this one has not.

    python benchmarks/early_stopping.py --workers 2 --save
"""

import csv
import math
import multiprocessing
from collections import defaultdict
from dataclasses import dataclass
from functools import cache

import numpy as np
import optuna
from record import arguments, report, table
from search_table import CURVES, RUNGS, networks
from search_tables import Table, resnet_rows, resnets
from threadpoolctl import threadpool_limits

from objectives.pareto import pareto_mask
from runners.config import SearchConfig
from runners.early_stopping.rungs import Hurdle, Ladder
from runners.samplers.front import FrontSampler
from runners.samplers.history import Hint
from runners.trial_record import Rung

SEEDS = 10
SHARES = (0.9, 0.95, 0.98)
"""Of the true front's hypervolume; told is the training until a search has them."""
TRIALS = 60
COSTS = ("macs", "packed_bytes")
WAYS = {"to the end": 0.0, **{f"{100 * confidence:g} % sure": confidence for confidence in (0.5, 0.8, 0.9, 0.95)}}
"""Confidence of each."""


@dataclass
class Search:
    """What one search found."""

    spent: list[float]
    """Complete trainings, after each trial."""
    shares: list[float]
    """Of the true front's hypervolume, after each trial."""
    stopped: int
    lost: int
    front: set[int]
    """Positions in the table of its front."""

    def until(self, share: float) -> float:
        """Complete trainings until the search had it; NaN where it never did."""
        return next((spent for spent, s in zip(self.spent, self.shares, strict=True) if s >= share), math.nan)


@cache
def curves() -> dict[str, list[float]]:
    """Network -> accuracy after each epoch, of the last one as it would be deployed."""
    found: dict[str, list[float]] = defaultdict(list)
    final = {}
    with CURVES.open(newline="") as file:
        for row in csv.DictReader(file):
            if int(row["rung"]) == len(RUNGS) - 1:
                found[row["key"]].append(float(row["accuracy"]))
                final[row["key"]] = float(row["final_accuracy"])
    return {key: [*accuracies[:-1], final[key]] for key, accuracies in found.items()}


def search(job: tuple[str, str, int]) -> Search:
    """One search."""
    cost, way, seed = job
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    problem, rows = resnets(cost, bits=(8,)), resnet_rows((8,))
    specs = {spec.key: spec for _, spec in networks()}
    seen, training = curves(), RUNGS[-1]
    ladder = Ladder(training, SearchConfig(stop_confidence=WAYS[way]))
    hints: dict[int, Hint] = {}
    sampler = FrontSampler(
        problem.space,
        problem.known,
        features=problem.features,
        hints=lambda trial: hints.get(trial.number),
        seed=seed,
    )
    study = optuna.create_study(directions=problem.directions, sampler=sampler)
    done: list[int] = []
    stopped: list[int] = []
    spent, shares, epochs = [], [], 0
    for _ in range(TRIALS):
        with threadpool_limits(1):
            trial = study.ask(problem.space)
        position = problem.position(trial.params)
        key, macs = rows[position]["key"], float(rows[position]["macs"])
        accuracies = seen[key]
        beaten = [float(problem.accuracy[i]) for i in done if problem.costs[i, 0] <= problem.costs[position, 0]]
        watch = ladder.watch(0, Hurdle(max(beaten), "") if beaten else None, specs[key], macs)
        below = [epoch for epoch, floor in enumerate(watch.floors) if accuracies[epoch] < floor]
        reached = accuracies[: below[0] + 1] if below else accuracies
        epochs += len(reached)
        found = Rung(accuracies=tuple(reached), images=training.images * len(reached), seconds=0.0)
        if (stop := watch.verdict(found)) is None:
            done.append(position)
            ladder.learn([found], specs[key], macs)
            study.tell(trial, problem.values(trial.params))
        else:
            stopped.append(position)
            hints[trial.number] = Hint(
                params=trial.params, values=[stop.forecast.mean, math.nan], deviations=[stop.forecast.deviation, 0.0]
            )
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        spent.append(epochs / training.epochs)
        shares.append(problem.share(done))
    lost = front_of(problem, [*done, *stopped]) & set(stopped)
    return Search(spent, shares, len(stopped), len(lost), front_of(problem, done))


def front_of(problem: Table, positions: list[int]) -> set[int]:
    costs = np.log10(problem.costs[positions, 0])
    mask = pareto_mask(np.column_stack([-problem.accuracy[positions], costs]))
    return {position for position, is_on in zip(positions, mask.tolist(), strict=True) if is_on}


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    jobs = [(cost, way, seed) for cost in COSTS for way in WAYS for seed in range(SEEDS)]
    with multiprocessing.get_context("spawn").Pool(args.workers) as pool:
        runs = dict(zip(jobs, pool.imap(search, jobs), strict=True))
    parts = []
    for cost in COSTS:
        rows = []
        for way in WAYS:
            here = [runs[cost, way, seed] for seed in range(SEEDS)]
            whole = [runs[cost, "to the end", seed] for seed in range(SEEDS)]
            missed = [len(all_trained.front - run.front) for all_trained, run in zip(whole, here, strict=True)]
            rows.append(
                [
                    way,
                    f"{100 * (1 - np.mean([run.spent[-1] for run in here]) / TRIALS):.0f} %",
                    f"{np.mean([run.stopped for run in here]):.1f}",
                    f"{np.mean([run.lost for run in here]):.1f}",
                    f"{np.mean(missed):.1f} of {np.mean([len(run.front) for run in whole]):.1f}",
                    f"{100 * np.mean([run.shares[-1] for run in here]):.1f} %",
                    *(trainings_until(share, here) for share in SHARES),
                ]
            )
        heads = ["stopped when", "training saved", "stopped", "lost", "missed", "hypervolume in the end"]
        heads += [f"trainings until {100 * share:g} %" for share in SHARES]
        title = f"## Accuracy and {cost}: {TRIALS} trials of {len(resnet_rows((8,)))} networks of 8 bits"
        parts.append(f"{title}\n\n{table(heads, rows)}")
    report("early-stopping", "python benchmarks/early_stopping.py --save", "\n\n".join(parts), save=args.save)


def trainings_until(share: float, runs: list[Search]) -> str:
    """The mean, where all searches had it."""
    found = [run.until(share) for run in runs]
    late = sum(map(math.isnan, found))
    return f"{late} of {len(runs)} never" if late else f"{np.mean(found):.1f} ± {np.std(found):.1f}"


if __name__ == "__main__":
    main()
