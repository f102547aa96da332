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
    """Reason for which an attempt brought no evaluation."""

    kind: Literal["died", "resources", "timeout", "diverged", "error"]
    """`resources`: no memory was left, or a file could not be read or written."""
    reason: str
    """The reason in one line."""

    @property
    def is_of_surroundings(self) -> bool:
        """Whether the candidate may succeed elsewhere or later, so that it is worth another try."""
        return self.kind in ("died", "resources")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Outcome of one submitted candidate."""

    ticket: int
    """Ticket under which it was submitted."""
    outcome: Evaluation | Failure
    """Its evaluation, or why there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochReport:
    """Progress of a submitted candidate; for display only, so that any report may be lost."""

    ticket: int
    """Ticket under which it was submitted."""
    epoch: int
    """Epochs that it has finished."""
    epochs: int
    """Epochs of its training in all."""
    metric: float
    """The study's metric on the validation images, after that epoch."""


class Engine(Protocol):
    """Evaluates candidates somewhere else: the interface of the coordinator to its workers."""

    @property
    def slots(self) -> int:
        """Number of candidates that it evaluates at a time."""
        ...

    def submit(self, ticket: int, candidate: Candidate) -> None:
        """Start to evaluate a candidate.

        Parameters
        ----------
        ticket
            Number under which `collect` returns the result.
        candidate
            What is to be evaluated.
        """
        ...

    def collect(self, timeout_s: float) -> list[Result]:
        """Return the results that have come in.

        Parameters
        ----------
        timeout_s
            Longest time to wait for the first one, in seconds.

        Returns
        -------
        list of Result
            Those that have come in since the last call; empty if none has.

        Raises
        ------
        UserError
            If a worker cannot have the images of the study, for no candidate would fare better.
        """
        ...

    def reports(self) -> list[EpochReport]:
        """Return what candidates in training have reported, without waiting.

        Returns
        -------
        list of EpochReport
            Those since the last call; possibly none.
        """
        ...

    def quiet(self) -> AbstractContextManager[None]:
        """Pause what runs on this machine, so that a latency can be measured.

        Returns
        -------
        AbstractContextManager
            Context while which nothing of the engine runs on this machine.
        """
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
    """Register the decorated class, which is made from a `WorkersConfig`, as an engine.

    Parameters
    ----------
    name
        Name of the engine for ``--engine``.

    Returns
    -------
    Callable
        Decorator of a class that implements `Engine`.
    """

    def register(made: type[Engine]) -> type[Engine]:
        ENGINES.add(name, made)
        return made

    return register
