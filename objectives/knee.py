"""The knee of a front: where the metric and savings are in balance."""

from collections.abc import Sequence

import numpy as np

from search_space.errors import UserError

from .base import Objective
from .metrics import metric_of
from .pareto import Matrix, losses

GIVEN_UP = 0.025
"""Share of the best metric, counted from a worthless one, that halving all costs is worth at the knee."""
MOST_SAVED = 10.0
"""Factor beyond which saving more of a cost counts no further at the knee."""


def knee(values: Sequence[Sequence[float]] | Matrix, objectives: Sequence[Objective], worthless: float) -> int:
    """Row of the front `values` (points, objectives) where the metric, such as accuracy, and savings are in balance.

    Against the best network by the metric another may lose a share of GIVEN_UP for each halving of its costs, counted
    over what that one has above the value `worthless`; the knee is where the gain by this rule is the largest. The mean
    of the costs' logarithms counts, each saved up to a factor of MOST_SAVED. Raises UserError for an empty front.
    """
    if len(values) == 0:
        raise UserError("knee: the front is empty")
    metric = metric_of(objectives)
    loss = losses(values, objectives)
    of_metric = loss[:, objectives.index(metric)]
    best = int(np.argmin(of_metric))
    lost = (of_metric - of_metric[best]) / max(metric.loss(worthless) - of_metric[best], 1e-12)
    loss = loss[:, [each != metric for each in objectives]]
    halvings = (np.minimum(loss[best] - loss, np.log10(MOST_SAVED)) / np.log10(2.0)).mean(axis=1)
    return int(np.argmax(GIVEN_UP * halvings - lost))
