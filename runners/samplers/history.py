"""What does a sampler go by? Values of finished trials, and what is thought of running and of stopped ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .candidates import Params

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Hint:
    """What is thought of a trial that ended without values: one stopped early, or rejected for a measured latency."""

    params: Params
    values: Sequence[float]
    """An entry an objective, NaN where nothing is foreseen; those that are known anyway are not looked at."""
    deviations: Sequence[float]
    """Standard deviations of the values, 0 where one has been measured."""


@dataclass(frozen=True, slots=True)
class History:
    """What trials have brought so far."""

    params: list[Params]
    values: Array
    """(trials, objectives)"""
    feasible: NDArray[np.bool_]
    running: list[Params]
    """Candidates whose values are still to come."""
    hints: list[Hint]
