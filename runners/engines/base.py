"""Engines: the small interface between the coordinator and its workers, and the registry of all of them.

Candidates and evaluations are plain values and weights are bytes, so nothing here needs a shared disk, a shared memory
or a fork.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from search_space.named_registry import Registry

from ..candidate import Candidate, Evaluation
from ..config import WorkersConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an attempt brought no evaluation."""

    kind: Literal["died", "resources", "timeout", "diverged", "error"]
    """`resources`: no memory was left, or a file could not be read or written."""
    reason: str

    @property
    def is_of_surroundings(self) -> bool:
        """Whether the candidate may succeed elsewhere or later, so that it is worth another try."""
        return self.kind in ("died", "resources")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one submitted candidate."""

    ticket: int
    outcome: Evaluation | Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochReport:
    """How far a submitted candidate is; for display only, so that any of them may be lost."""

    ticket: int
    epoch: int
    """Epochs that it has finished."""
    epochs: int
    """Epochs of its training in all."""
    metric: float
    """The study's metric on the validation images, after that epoch."""


class Engine(Protocol):
    """Evaluates candidates somewhere else."""

    @property
    def slots(self) -> int:
        """How many candidates it evaluates at a time."""
        ...

    def submit(self, ticket: int, candidate: Candidate) -> None:
        """Start evaluating; the result comes back under `ticket`."""
        ...

    def collect(self, timeout_s: float) -> list[Result]:
        """Return results that have come in, after waiting at most `timeout_s` for the first.

        Raises UserError where a worker cannot have the images of the study, for no candidate would fare better.
        """
        ...

    def reports(self) -> list[EpochReport]:
        """What candidates in training have reported since the last call, without waiting; may always be empty."""
        ...

    def quiet(self) -> AbstractContextManager[None]:
        """Hold still whatever runs on this machine, so that something can be timed; it goes on afterwards."""
        ...

    def close(self) -> None:
        """End the workers at once; what they were doing is lost."""
        ...


MakeEngine = Callable[[WorkersConfig], Engine]
ENGINES: Registry[MakeEngine] = Registry("engine", "runners.engines", plugins="engines")


def make_engine(config: WorkersConfig) -> Engine:
    """Return the engine that the configuration names; raises UserError for an unknown one."""
    return ENGINES[config.engine](config)


def engine(name: str) -> Callable[[type[Engine]], type[Engine]]:
    """Register the decorated class, which is made of a `WorkersConfig`, as the engine `name`."""

    def register(made: type[Engine]) -> type[Engine]:
        ENGINES.add(name, made)
        return made

    return register
