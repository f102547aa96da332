"""The knee of a front: where accuracy and savings are in balance."""

from collections.abc import Sequence

import numpy as np

from search_space.errors import UserError

from .base import Objective
from .pareto import Matrix, losses

GIVEN_UP = 0.025
"""Share of the best accuracy, counted from a worthless one, that halving all costs is worth at the knee."""
MOST_SAVED = 10.0
"""Factor beyond which saving more of a cost counts no further at the knee."""


def knee(values: Sequence[Sequence[float]] | Matrix, objectives: Sequence[Objective], worthless: float) -> int:
    """Row of the front `values` (points, objectives) where accuracy and savings are in balance.

    Against the most accurate network another may lose a share of GIVEN_UP for each halving of its costs, counted over
    what that one has above the accuracy `worthless`; the knee is where the gain by this rule is the largest. The mean
    of the costs' logarithms counts, each saved up to a factor of MOST_SAVED. Raises UserError for an empty front.
    """
    if len(values) == 0:
        raise UserError("knee: the front is empty")
    table = np.asarray(values, dtype=float)
    gained = next(position for position, objective in enumerate(objectives) if objective.maximize)
    costs = [position for position in range(len(objectives)) if position != gained]
    best = int(np.argmax(table[:, gained]))
    lost = (table[best, gained] - table[:, gained]) / max(table[best, gained] - worthless, 1e-12)
    loss = losses(table, objectives)[:, costs]
    halvings = (np.minimum(loss[best] - loss, np.log10(MOST_SAVED)) / np.log10(2.0)).mean(axis=1)
    return int(np.argmax(GIVEN_UP * halvings - lost))
