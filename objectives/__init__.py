"""What does a network cost, and what is it worth? One file per objective; constraints; Pareto front and hypervolume.

May import `search_space`; never `runners` or `studies`. No torch.
"""

from .base import OBJECTIVES, Objective, known_costs
from .knee import knee
from .limits import Limit
from .metrics import metric, metric_of
from .pareto import GrowingFront, hypervolume, pareto_mask

__all__ = [
    "OBJECTIVES",
    "GrowingFront",
    "Limit",
    "Objective",
    "hypervolume",
    "knee",
    "known_costs",
    "metric",
    "metric_of",
    "pareto_mask",
]
