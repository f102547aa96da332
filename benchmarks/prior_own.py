"""How much should the trainings of a study count that its user names with --like?

A study of 8, 20 or 40 networks on the same images, drawn at random from the table of prior_table.py, and the trainings
on other images. Kendall's tau of what both expect of further networks with their accuracies, for weights of the
study's trainings beside a weight of 1 for the others; 0 is the others alone, "alone" the study alone. Means of eight
draws for each data set. The same images are the best case: the weight that ships is below the best one here.

    python benchmarks/prior_own.py --save
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from prior_tables import data_sets, prior_without, trainings_of
from record import arguments, report, table
from scipy.stats import kendalltau

from runners.prior import Trainings

COUNTS = (8, 20, 40)
WEIGHTS = (0.0, 1.0, 2.0, 4.0, 8.0)
DRAWS = 8


def some(trainings: Trainings, rows: NDArray[np.intp]) -> Trainings:
    return replace(trainings, features=trainings.features[rows], accuracy=trainings.accuracy[rows])


def taus(data: str, count: int, draw: int) -> list[float]:
    """For each of the weights, and for the study alone."""
    trainings, prior = trainings_of(data), prior_without(data)
    networks = np.random.default_rng(draw).permutation(
        len(trainings.accuracy) // 2
    )  # each is there at 8 bits, in float
    own, others = some(trainings, 2 * networks[:count]), 2 * networks[max(COUNTS) :]
    held_out = some(trainings, np.concatenate([others, others + 1]))
    priors = [prior.with_trainings([*prior.trainings, replace(own, weight=weight)]) for weight in WEIGHTS]
    return [
        float(kendalltau(each.expectations(held_out.features), held_out.accuracy)[0])
        for each in (*priors, prior.with_trainings([own]))
    ]


def main() -> None:
    args = arguments(__doc__ or "").parse_args()
    rows = []
    for count in COUNTS:
        found = {data: np.mean([taus(data, count, draw) for draw in range(DRAWS)], axis=0) for data in data_sets()}
        found["mean"] = np.mean(list(found.values()), axis=0)
        rows += [[str(count), data, *(f"{tau:.3f}" for tau in means)] for data, means in found.items()]
    heads = ["networks of the study", "images", *(f"weight {weight:g}" for weight in WEIGHTS), "alone"]
    report("prior-own", "python benchmarks/prior_own.py --save", table(heads, rows), save=args.save)


if __name__ == "__main__":
    main()
