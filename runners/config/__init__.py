"""What can be set about a study: frozen values, checked when they are made.

No torch here: the command line reads these before it knows whether it needs any. May import `search_space` and
`objectives`.
"""

from .conventions import CONVENTIONS
from .data import DataConfig
from .ranges import MOST_EPOCHS, MOST_IMAGES, MOST_THREADS, MOST_TRIALS
from .search import CONFIRMED, LEARNING_SAMPLER, NO_STUDY, SHIPPED, TRIALS_TO_CONFIRM, SearchConfig
from .study import LimitsConfig, StudyConfig
from .training import MOST_REPEATED, TrainingConfig
from .workers import LatencyConfig, WorkersConfig

__all__ = [
    "CONFIRMED",
    "CONVENTIONS",
    "LEARNING_SAMPLER",
    "MOST_EPOCHS",
    "MOST_IMAGES",
    "MOST_REPEATED",
    "MOST_THREADS",
    "MOST_TRIALS",
    "NO_STUDY",
    "SHIPPED",
    "TRIALS_TO_CONFIRM",
    "DataConfig",
    "LatencyConfig",
    "LimitsConfig",
    "SearchConfig",
    "StudyConfig",
    "TrainingConfig",
    "WorkersConfig",
]
