"""How much training does early stopping save, and what does it cost the front?

Searches with FrontSampler over the table of search_table.py at 8 bits, ten seeds each: all trained to the end, stopped
within the schedule, and with rungs. Training is counted in images and stated in complete trainings; the truth is the
accuracy of the last rung. `Lost` are stopped networks that would have been on the front of what the search looked at;
`missed` are networks on the front of the search of the same seed that trains all, which this one has not.

    python benchmarks/early_stopping.py --save
"""

import csv
import math
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import optuna
from record import arguments, report, table
from search_table import RUNGS
from search_tables import FOLDER, Table, resnet_rows, resnets
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
    front: set[int]
    """Positions in the table of its front."""


def curves() -> dict[tuple[str, int], list[float]]:
    """(network, rung) -> accuracy after each epoch, of the last one as it would be deployed."""
    found: dict[tuple[str, int], list[float]] = defaultdict(list)
    final = {}
    with (FOLDER / "resnets-curves.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            found[row["key"], int(row["rung"])].append(float(row["accuracy"]))
            final[row["key"], int(row["rung"])] = float(row["final_accuracy"])
    return {place: [*accuracies[:-1], final[place]] for place, accuracies in found.items()}


def search(problem: Table, keys: list[str], config: SearchConfig, seed: int) -> Search:
    """Sixty trials."""
    seen, ladder = curves(), Ladder(RUNGS[-1], config)
    rungs = range(len(RUNGS) - len(ladder.trainings), len(RUNGS))
    whole = RUNGS[-1].images * RUNGS[-1].epochs
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
    return Search(
        spent,
        shares,
        len(stopped),
        lost=len(front_of(problem, [*done, *stopped]) & set(stopped)),
        front=front_of(problem, done),
    )


def front_of(problem: Table, positions: list[int]) -> set[int]:
    costs = np.log10(problem.costs[positions, 0])
    mask = pareto_mask(np.column_stack([-problem.accuracy[positions], costs]))
    return {position for position, is_on in zip(positions, mask.tolist(), strict=True) if is_on}


def main() -> None:
    args = arguments(__doc__ or "").parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    problem = resnets(COST, bits=(8,))
    keys = [row["key"] for row in resnet_rows((8,))]
    ways = {"to the end": SearchConfig()}
    for confidence in (0.5, 0.8, 0.9, 0.95):
        for shares in ((), (0.25,), (0.0625, 0.25)):
            how = f"{len(shares) + 1} rungs" if shares else "within the schedule"
            config = SearchConfig(stop_confidence=confidence, rungs=shares)
            ways[f"{how}, {100 * confidence:g} % sure"] = config
    rows, whole = [], list[Search]()
    for name, config in ways.items():
        with threadpool_limits(1):
            runs = [search(problem, keys, config, seed) for seed in range(SEEDS)]
        whole = whole or runs
        cells = []
        for mark in MARKS:
            reached = [
                max((s for s, spent in zip(r.shares, r.spent, strict=True) if spent <= mark), default=0.0) for r in runs
            ]
            cells.append(f"{100 * np.mean(reached):.1f} ± {100 * np.std(reached):.1f}")
        missed = [len(all_trained.front - run.front) for all_trained, run in zip(whole, runs, strict=True)]
        rows.append(
            [
                name,
                f"{100 * (1 - np.mean([run.spent[-1] for run in runs]) / TRIALS):.0f} %",
                f"{np.mean([run.stopped for run in runs]):.1f}",
                f"{np.mean([run.lost for run in runs]):.1f}",
                f"{np.mean(missed):.1f} of {np.mean([len(run.front) for run in whole]):.1f}",
                f"{100 * np.mean([run.shares[-1] for run in runs]):.1f} %",
                *cells,
            ]
        )
    heads = [f"trained ({TRIALS} trials)", "training saved", "stopped", "lost", "missed", "hypervolume in the end"]
    heads += [f"after {mark} trainings, %" for mark in MARKS]
    report("early-stopping", "python benchmarks/early_stopping.py --save", table(heads, rows), save=args.save)


if __name__ == "__main__":
    main()
