"""How much training does early stopping save, and what does it cost the front?

Searches with FrontSampler over the table of search_table.py, ten seeds each: all trained to the end, stopped within the
schedule, and with rungs. Training is counted in images and stated in complete trainings; the truth is the accuracy of
the last rung. `Lost` are stopped networks that would have been on the final front.

    python benchmarks/early_stopping.py --top 2 --save
"""

import argparse
import csv
import math
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import optuna
from record import report, table
from search_table import RUNGS
from search_tables import FOLDER, Table, resnets
from threadpoolctl import threadpool_limits

from objectives.pareto import pareto_mask
from runners.config import SearchConfig
from runners.ladder import Ladder, Rung
from runners.ledger import Hurdle
from runners.samplers.front import FrontSampler
from runners.samplers.history import Hint

TRIALS, SEEDS = 60, 10
MARKS = (5, 10, 15, 20, 30, 40)
"""Budgets, in complete trainings."""
COST = "macs"


@dataclass
class Search:
    """What one search found."""

    spent: list[float]
    """Complete trainings, after each trial."""
    shares: list[float]
    """Of the true front's hypervolume, after each trial."""
    stopped: int
    lost: int


def curves() -> dict[tuple[str, int], list[float]]:
    """(network, rung) -> accuracy after each epoch, of the last one as it would be deployed."""
    found: dict[tuple[str, int], list[float]] = defaultdict(list)
    final = {}
    with (FOLDER / "resnets-curves.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            found[row["key"], int(row["rung"])].append(float(row["accuracy"]))
            final[row["key"], int(row["rung"])] = float(row["final_accuracy"])
    return {place: [*accuracies[:-1], final[place]] for place, accuracies in found.items()}


def search(problem: Table, keys: list[str], ladder: Ladder, rungs: list[int], seed: int) -> Search:
    """Sixty trials; `rungs` are those of the table that the ladder's trainings stand for."""
    seen = curves()
    whole = RUNGS[rungs[-1]].images * RUNGS[rungs[-1]].epochs
    hints: dict[int, Hint] = {}
    sampler = FrontSampler(problem.space, problem.known, hints=lambda trial: hints.get(trial.number), seed=seed)
    study = optuna.create_study(directions=problem.directions, sampler=sampler)
    done: list[int] = []
    stopped: list[int] = []
    spent, shares, images = [], [], 0.0
    for _ in range(TRIALS):
        trial = study.ask(problem.space)
        position = problem.position(trial.params)
        cost = float(problem.costs[position, 0])
        beaten = [float(problem.accuracy[i]) for i in done if problem.costs[i, 0] <= cost]
        hurdle, climbed, stop = Hurdle(max(beaten), "") if beaten else None, list[Rung](), None
        for number, rung in enumerate(rungs):
            accuracies = seen[keys[position], rung]
            watch = ladder.watch(number, hurdle, cost)
            below = [epoch for epoch, floor in enumerate(watch.floors) if accuracies[epoch] < floor]
            reached = accuracies[: below[0] + 1] if below else accuracies
            images += RUNGS[rung].images * len(reached)
            found = Rung(accuracies=tuple(reached), images=RUNGS[rung].images * len(reached), seconds=0.0)
            stop = watch.verdict(found)
            climbed.append(found)
            if stop is not None:
                break
        if stop is None:
            done.append(position)
            ladder.learn(climbed, cost)
            study.tell(trial, problem.values(trial.params))
        else:
            stopped.append(position)
            hints[trial.number] = Hint(
                params=trial.params, values=[stop.forecast.mean, math.nan], deviations=[stop.forecast.deviation, 0.0]
            )
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        spent.append(images / whole)
        shares.append(problem.share(done) if done else 0.0)
    both = np.array([*done, *stopped])
    front = pareto_mask(np.column_stack([-problem.accuracy[both], np.log10(problem.costs[both, 0])]))
    return Search(spent, shares, len(stopped), int(front[len(done) :].sum()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--top", type=int, default=2, help="the rung of the table that counts as the whole training")
    parser.add_argument("--save", action="store_true", help="write the table to benchmarks/results")
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    problem = resnets(args.top, COST)
    with (FOLDER / "resnets-networks.csv").open(newline="") as file:
        keys = [row["key"] for row in csv.DictReader(file)]
    ways = {"to the end": ([args.top], 0.0)}
    for confidence in (0.8, 0.9, 0.95):
        ways[f"within the schedule, {100 * confidence:g} % sure"] = ([args.top], confidence)
        for first in range(args.top - 1, -1, -1):
            below = list(range(first, args.top + 1))
            ways[f"{len(below)} rungs, {100 * confidence:g} % sure"] = (below, confidence)
    rows = []
    for name, (rungs, confidence) in ways.items():
        config = SearchConfig(stop_confidence=confidence)
        with threadpool_limits(1):
            runs = []
            for seed in range(SEEDS):
                ladder = Ladder(RUNGS[args.top], config)
                ladder.trainings = tuple(RUNGS[rung] for rung in rungs)
                runs.append(search(problem, keys, ladder, rungs, seed))
        cells = []
        for mark in MARKS:
            reached = [
                max((s for s, spent in zip(r.shares, r.spent, strict=True) if spent <= mark), default=0.0) for r in runs
            ]
            cells.append(f"{100 * np.mean(reached):.1f} ± {100 * np.std(reached):.1f}")
        spent = np.mean([run.spent[-1] for run in runs]) / TRIALS
        ends = np.mean([run.shares[-1] for run in runs])
        rows.append(
            [
                name,
                f"{100 * (1 - spent):.0f} %",
                f"{np.mean([run.stopped for run in runs]):.1f}",
                f"{np.mean([run.lost for run in runs]):.1f}",
                f"{100 * ends:.1f} %",
                *cells,
            ]
        )
    heads = [f"trained ({TRIALS} trials)", "training saved", "stopped", "of them lost", "hypervolume in the end"]
    heads += [f"after {mark} trainings, %" for mark in MARKS]
    report("early-stopping", "python benchmarks/early_stopping.py --save", table(heads, rows), save=args.save)


if __name__ == "__main__":
    main()
