"""What a new study takes from earlier ones: the trainings that the project ships, and studies of the user's own."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from runners.prior import FEWEST, Prior, Trainings, shipped_prior
from runners.prior.features import features_of
from search_space.architectures import architecture_from_dict
from search_space.counting import count_of
from search_space.errors import UserError

from .reading import load_results
from .results import StudyResults

SHIPPED = "shipped"
"""Stands for the trainings that the project ships, among names of studies."""


def prior_from(names: Sequence[str], runs: Path) -> Prior | None:
    """Return the prior of these studies in `runs` (and of SHIPPED), None without any.

    Raises UserError where there is no such study, or it has too few trainings to compare networks.
    """
    if not names:
        return None
    shipped, trainings = shipped_prior(), list[Trainings]()
    for name in dict.fromkeys(names):
        trainings += shipped.trainings if name == SHIPPED else [trainings_of(load_results(runs / name))]
    return shipped.with_trainings(trainings)


def trainings_of(results: StudyResults) -> Trainings:
    """Return a study's completed trials; raises UserError where they are fewer than FEWEST, or all equally accurate."""
    done = results.trials[(results.trials["status"] == "completed") & results.trials["accuracy"].notna()]
    if len(done) < FEWEST or done["accuracy"].nunique() < 2:
        raise UserError(
            f"--like {results.name}: has {count_of(len(done), 'completed trial')}; to learn from it takes {FEWEST} "
            "of different accuracy"
        )
    graphs = [architecture_from_dict(dict(spec)).build_graph() for spec in done["spec"]]
    return Trainings(
        name=results.name,
        features=np.array([features_of(graph) for graph in graphs]),
        accuracy=done["accuracy"].to_numpy(dtype=float),
        images=results.validation_images,
    )
