"""The search space of a study: its choices, and the bridge between specs and a sampler's parameters.

May import `spec`, `graph`, `blocks`, `stems` and `errors`.
"""

from .block_choices import BLOCK_CHOICES
from .choices import SearchSpace
from .trials import FixedTrial, RandomTrial, RecordingTrial, Trial

__all__ = ["BLOCK_CHOICES", "FixedTrial", "RandomTrial", "RecordingTrial", "SearchSpace", "Trial"]
