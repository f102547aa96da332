"""What a new study takes from earlier ones: the trainings that the project ships, and studies of the user's own."""

import hashlib
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
from runners.storage.errors import StorageError, stored_in
from runners.storage.study_files import PRIOR
from runners.trial_record import Status
from search_space.architectures import architecture_from_dict
from search_space.errors import UserError
from search_space.texts.counting import count_of

from ..results.reading import load_results
from ..results.study_results import StudyResults
from ..study.record import StudyRecord, study_directory

OWN_WEIGHT = 4.0
"""Weight of a training of a study that the user has named, beside 1 for one that the project ships.

The user expects such a study to be more alike (benchmarks/prior_own.py).
"""


class Agreement(NamedTuple):
    """How far accuracies agree with what was expected of the networks; NaN where too few are there to tell."""

    networks: int
    trainings: int
    """More where a network counts at several bits."""
    kendall_tau: float
    """1 where they are ranked as expected, 0 where the expectation says nothing, -1 where it is reversed."""
    p_value: float
    """Probability of a tau that is as far from 0, were the expectation unrelated to the accuracies."""
    kendall_tau_of_macs: float
    """The tau of who expects the network of more MACs to be more accurate."""
    error: float
    """Root mean square error of expectations as accuracies, as a fraction.

    Each one is predicted by the line that fits the others best and does not fall.
    """
    error_of_mean: float
    """The same of who expects the mean of the others."""

    @property
    def may_be_chance(self) -> bool:
        """Whether an expectation unrelated to the accuracies would often agree as well, or nothing is known."""
        return not self.p_value < 0.05


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
    """Return a study's completed trials.

    Raises UserError where they are fewer than FEWEST, or differ no more than the number of validation images explains.
    """
    if results.metrics:
        raise UserError(f"--like {results.name}: its own training measures something else than accuracy")
    done = completed(results)
    if len(done) < FEWEST:
        raise UserError(
            f"--like {results.name}: has {count_of(len(done), 'completed trial')}; to learn from it takes {FEWEST}"
        )
    found = Trainings(
        name=results.name,
        features=_features(done),
        accuracy=done["accuracy"].to_numpy(dtype=float),
        images=results.validation_images,
        weight=OWN_WEIGHT,
    )
    if not found.reliability:
        raise UserError(
            f"--like {results.name}: its accuracies differ no more than by chance on "
            f"{count_of(found.images, 'validation image')}; there is nothing to learn from it"
        )
    return found


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
    count, networks = len(found.accuracy), found.networks if len(found.accuracy) else 0
    nothing = Agreement(networks, count, *[math.nan] * 5)
    if count < 2 or not prior.trainings:
        return nothing
    expected = prior.expectations(found.features)
    tau = kendalltau(expected, found.accuracy)
    of_macs = kendalltau(found.features[:, NAMES.index("log_macs")], found.accuracy).statistic
    nothing = nothing._replace(kendall_tau=tau.statistic, p_value=tau.pvalue, kendall_tau_of_macs=of_macs)
    if count < FEWEST:
        return nothing
    return nothing._replace(
        error=_left_out_error(expected, found), error_of_mean=_left_out_error(np.zeros(count), found)
    )


def _left_out_error(expected: NDArray[np.float64], found: Trainings) -> float:
    """Root mean square error of accuracies, each predicted by a line in `expected` that is fitted to the others."""
    errors = []
    for i, (own, accuracy) in enumerate(zip(expected, found.accuracy, strict=True)):
        x, y = np.delete(expected, i), np.delete(found.logits, i)
        spread = float(((x - x.mean()) ** 2).sum())
        slope = max(0.0, float(((x - x.mean()) * y).sum()) / spread) if spread > 0 else 0.0
        errors.append(float(expit(y.mean() + slope * (own - x.mean()))) - float(accuracy))
    return float(np.sqrt(np.mean(np.square(errors))))


def completed(results: StudyResults) -> pd.DataFrame:
    """Return the trials that were trained to their end."""
    return results.trials[(results.trials["status"] == Status.COMPLETED) & results.trials["accuracy"].notna()]


def _features(trials: pd.DataFrame) -> NDArray[np.float64]:
    architectures = [architecture_from_dict(dict(record.spec)) for record in trials["record"]]
    return np.array([features_of(architecture.build_graph()) for architecture in architectures])


def digest_of(content: bytes) -> str:
    """Return the first 12 hex digits of the sha256; nothing for nothing."""
    return hashlib.sha256(content).hexdigest()[:12] if content else ""


def study_prior(record: StudyRecord) -> Prior | None:
    """Return what the study knows from earlier ones; raises StorageError where its file is not what it was."""
    if not record.prior:
        return None
    path = record.directory / PRIOR
    with stored_in(path, "cannot be read"):
        content = path.read_bytes() if path.exists() else b""
    if digest_of(content) != record.prior:
        what = "is not what the study was made with" if content else "is missing"
        raise StorageError(f"{path}: {what}; put it back, or start a new study")
    return Prior.from_bytes(content, path)
