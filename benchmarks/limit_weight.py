"""How much should the limits themselves weigh in what a search maximises?

On the project's own table of 420 trained ResNets (search_tables.py), with a limit on the packed size alone and with one
on the latency too. A run begins, as a study does, with six networks of different blocks near the limits or half of
them, drawn anew for each seed; the sampler proposes the rest. Regret, in points of accuracy, within the limits and
within smaller budgets of bytes, for shares of the weight on the limits; means of 30 seeds.

    python benchmarks/limit_weight.py --save
"""

import warnings

import numpy as np
import optuna
from record import arguments, report, table
from search_tables import Table, resnets
from threadpoolctl import threadpool_limits

from runners.samplers.acquisition import gain_over_budgets as improvement
from runners.samplers.front import FrontSampler

LIMITS = {"packed_bytes": 300e3, "latency_ms@rpi4": 8.0}
WEIGHTS = (0.3, 0.5, 0.7, 0.9)
MARKS = (12, 16, 20)
SHARES = (1.0, 0.75, 0.5, 0.25, 0.125)
"""Budgets of bytes, as shares of their limit."""
SEEDS = 30
BEGINNING = 6
CHANCE = 0.1


def begin(problem: Table, limits: np.ndarray, seed: int) -> list[int]:
    """Positions of one network at 8 bits for each of six blocks, among the four that use most of their budget."""
    generator = np.random.default_rng(seed)
    found = []
    for number, block in enumerate(generator.permutation(problem.choices["block"])[:BEGINNING]):
        budget = limits * np.array([1.0 if number % 2 == 0 else 0.5] + [1.0] * (len(limits) - 1))
        fitting = [
            position
            for position, params in enumerate(problem.points)
            if params["block"] == block and params["bits"] == 8 and (problem.costs[position] <= budget).all()
        ]
        fitting.sort(key=lambda position: -problem.costs[position, 0])
        found.append(fitting[int(generator.integers(4))])
    return found


def run(problem: Table, limits: np.ndarray, seed: int) -> list[int]:
    """Positions of what is tried, in order."""
    sampler = FrontSampler(
        problem.space,
        problem.known,
        features=problem.features,
        constraints=lambda params: (np.array(problem.values(params)[1:]) / limits - 1.0).tolist(),
        budget=[CHANCE, *limits.tolist()],
        seed=seed,
    )
    study = optuna.create_study(directions=problem.directions, sampler=sampler)
    for position in begin(problem, limits, seed):
        study.enqueue_trial(problem.points[position])
    tried = []
    while len(tried) < max(MARKS):
        trial = study.ask(problem.space)
        study.tell(trial, problem.values(trial.params))
        tried.append(problem.position(trial.params))
    return tried


def regret(problem: Table, limits: np.ndarray, tried: list[int], share: float) -> float:
    """Points of accuracy, within `share` of the first limit and all of the others."""
    fits = (problem.costs <= limits * np.array([share] + [1.0] * (len(limits) - 1))).all(axis=1)
    is_tried = np.isin(np.arange(len(fits)), tried)
    return 100 * float(problem.accuracy[fits].max() - problem.accuracy[fits & is_tried].max(initial=CHANCE))


def main() -> None:
    args = arguments(__doc__ or "").parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    rows = []
    for costs in (("packed_bytes",), tuple(LIMITS)):
        problem, limits = resnets(*costs), np.array([LIMITS[cost] for cost in costs])
        for weight in WEIGHTS:
            improvement.LIMIT_WEIGHT = weight
            with threadpool_limits(1):
                runs = [run(problem, limits, seed) for seed in range(SEEDS)]
            for mark in MARKS:
                means = [np.mean([regret(problem, limits, tried[:mark], share) for tried in runs]) for share in SHARES]
                rows.append([", ".join(costs), f"{weight:g}", mark, *(f"{mean:.2f}" for mean in means)])
    heads = ["limits", "weight", "trials", *(f"at {100 * share:g} %" for share in SHARES)]
    report("limit-weight", "python benchmarks/limit_weight.py --save", table(heads, rows), save=args.save)


if __name__ == "__main__":
    main()
