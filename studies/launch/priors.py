"""What a new study takes from earlier ones: the trainings that the project ships, and studies of the user's own."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import kendalltau

from runners.config import SHIPPED
from runners.prior import FEWEST, Prior, Trainings, shipped_prior
from runners.prior.features import NAMES, features_of
from search_space.architectures import architecture_from_dict
from search_space.errors import UserError
from search_space.texts.counting import count_of

from ..results.reading import load_results
from ..results.tables import StudyResults
from ..study.record import study_directory

OWN_WEIGHT = 4.0
"""Weight of a training of a study that the user has named, beside 1 for one that the project ships.

The user expects such a study to be more alike (benchmarks/prior_own.py).
"""


class Agreement(NamedTuple):
    """How far accuracies agree with what was expected of the networks; NaN where too little is there to tell."""

    networks: int
    kendall_tau: float
    """1 where they are ranked as expected, 0 where the expectation says nothing, -1 where it is reversed."""
    error: float
    """Root mean square of accuracy minus expectation, as fractions, once the best slope and offset are known."""
    deviation: float
    """Standard deviation of the accuracies: the error of who expects the mean of all."""


def prior_from(names: Sequence[str], runs: Path) -> Prior | None:
    """Return the prior of these studies in `runs` (and of what the project ships: SHIPPED), None without any.

    Raises UserError where there is no such study, or it has too few trainings to compare networks.
    """
    if not names:
        return None
    shipped, trainings = shipped_prior(), list[Trainings]()
    for name in dict.fromkeys(names):
        trainings += shipped.trainings if name == SHIPPED else [trainings_of(load_results(study_directory(name, runs)))]
    return shipped.with_trainings(trainings)


def trainings_of(results: StudyResults) -> Trainings:
    """Return a study's completed trials; raises UserError where they are fewer than FEWEST, or all equally accurate."""
    done = completed(results)
    if len(done) < FEWEST or done["accuracy"].nunique() < 2:
        raise UserError(
            f"--like {results.name}: has {count_of(len(done), 'completed trial')}; to learn from it takes {FEWEST} "
            "of different accuracy"
        )
    return Trainings(
        name=results.name,
        features=_features(done),
        accuracy=done["accuracy"].to_numpy(dtype=float),
        images=results.validation_images,
        weight=OWN_WEIGHT,
    )


def left_out_agreements(prior: Prior) -> list[Agreement]:
    """Return how far what was found on each of the prior's data sets agrees with what the others expect."""
    found = []
    for left_out in prior.trainings:
        others = prior.with_trainings([each for each in prior.trainings if each is not left_out])
        found.append(_agreement(others, left_out))
    return found


def agreement_of(prior: Prior, name: str, runs: Path) -> Agreement:
    """Return how far what a study has found so far agrees with what it expected."""
    results = load_results(study_directory(name, runs))
    done = completed(results)
    features = _features(done) if len(done) else np.empty((0, len(NAMES)))
    accuracy = done["accuracy"].to_numpy(dtype=float)
    found = Trainings(name=name, features=features, accuracy=accuracy, images=results.validation_images)
    return _agreement(prior, found)


def _agreement(prior: Prior, found: Trainings) -> Agreement:
    count, tau, error = len(found.accuracy), math.nan, math.nan
    if count > 1 and prior.trainings:
        expected = prior.expectations(found.features)
        tau = float(kendalltau(expected, found.accuracy).statistic)
        if count >= FEWEST and np.ptp(expected) > 0:
            line = np.polynomial.Polynomial.fit(expected, found.logits, 1)
            error = float(np.sqrt(np.mean((expit(line(expected)) - found.accuracy) ** 2)))
    return Agreement(count, tau, error, float(np.std(found.accuracy)) if count else math.nan)


def completed(results: StudyResults) -> pd.DataFrame:
    """Return the trials that were trained to their end."""
    return results.trials[(results.trials["status"] == "completed") & results.trials["accuracy"].notna()]


def _features(trials: pd.DataFrame) -> NDArray[np.float64]:
    return np.array([features_of(architecture_from_dict(dict(spec)).build_graph()) for spec in trials["spec"]])
