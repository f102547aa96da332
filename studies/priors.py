"""What a new study takes from earlier ones: the trainings that the project ships, and studies of the user's own."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import kendalltau

from runners.config import SHIPPED
from runners.prior import FEWEST, Prior, Trainings, shipped_prior
from runners.prior.features import features_of
from search_space.architectures import architecture_from_dict
from search_space.counting import count_of
from search_space.errors import UserError

from .reading import load_results
from .results import StudyResults
from .study import study_directory


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
    )


def left_out_agreements(prior: Prior) -> list[float]:
    """Return for each of the prior's data sets Kendall's tau of what the others expect with what was found.

    NaN where there are no others.
    """
    found = []
    for left_out in prior.trainings:
        others = [each for each in prior.trainings if each is not left_out]
        expected = prior.with_trainings(others).expectations(left_out.features) if others else None
        found.append(math.nan if expected is None else float(kendalltau(expected, left_out.accuracy).statistic))
    return found


def agreement_of(prior: Prior, name: str, runs: Path) -> tuple[int, float]:
    """Return how many networks a study has trained, and Kendall's tau of what was expected with what it found."""
    results = load_results(study_directory(name, runs))
    done = completed(results)
    if len(done) < 2:
        return len(done), math.nan
    expected = prior.expectations(_features(done))
    return len(done), float(kendalltau(expected, done["accuracy"]).statistic)


def completed(results: StudyResults) -> pd.DataFrame:
    """Return the trials that were trained to their end."""
    return results.trials[(results.trials["status"] == "completed") & results.trials["accuracy"].notna()]


def _features(trials: pd.DataFrame) -> NDArray[np.float64]:
    return np.array([features_of(architecture_from_dict(dict(spec)).build_graph()) for spec in trials["spec"]])
