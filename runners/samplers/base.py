"""What a study asks of a sampler, and the registry of all of them."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import optuna
from optuna.samplers import BaseSampler

from search_space.named_registry import Registry

from .priced_networks import Networks


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Description of a study for its sampler."""

    seed: int
    """Seed of the study."""
    finished: int = 0
    """Trials that the study has already; Optuna's samplers would draw after `--resume` what they drew before it."""
    networks: Networks
    """The networks of the space, with their parameters and costs."""
    budget: Sequence[float | None] | None = None
    """An entry for each objective, in its unit: what is allowed of a cost, the accuracy that counts as nothing."""


MakeSampler = Callable[[Task], BaseSampler]
"""Function from a task to an Optuna sampler."""


@dataclass(frozen=True, slots=True)
class Sampler:
    """One way to propose networks."""

    make: MakeSampler
    judges_anew: bool
    """Whether limits may change while a study runs.

    Optuna's samplers with constraints go by those that were stored with each trial when it ended.
    """


SAMPLERS: Registry[Sampler] = Registry("sampler", "runners.samplers.builtin", plugins="samplers")


def sampler(name: str, *, judges_anew: bool = False) -> Callable[[MakeSampler], MakeSampler]:
    """Register the decorated function, from a task to an Optuna sampler, as a sampler.

    Parameters
    ----------
    name
        Name of the sampler for ``--sampler``.
    judges_anew
        Whether limits may change while a study runs. They may not if the sampler uses the constraints that were stored
        with each trial when it ended.

    Returns
    -------
    Callable
        Decorator of a `MakeSampler`.
    """

    def register(make: MakeSampler) -> MakeSampler:
        SAMPLERS.add(name, Sampler(make, judges_anew))
        return make

    return register


def check_sampler(name: str) -> None:
    """Raise UserError, with the closest known name, where there is no sampler of this name."""
    _ = SAMPLERS[name]


def make_sampler(name: str, task: Task) -> BaseSampler:
    """Return the sampler called `name`; raises UserError as `check_sampler`."""
    with warnings.catch_warnings():
        # Experimental to Optuna means that its interface may change; we pin the major version.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return SAMPLERS[name].make(task)


def judges_anew() -> list[str]:
    """Return the names of the samplers for which limits may change while a study runs."""
    return [name for name in SAMPLERS if SAMPLERS[name].judges_anew]
