"""Who proposes the next candidate? This project's sampler, and Optuna's, by name."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import optuna
from optuna.samplers import BaseSampler

from search_space.errors import UserError, unknown_name

from .priced_networks import Networks

POPULATION = 20
"""Of the evolutionary samplers; Optuna's 50 would spend a whole study on the first generation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a study wants proposals for."""

    seed: int
    finished: int = 0
    """Trials that the study has already; Optuna's samplers would draw after `--resume` what they drew before it."""
    networks: Networks
    budget: Sequence[float | None] | None = None
    """An entry for each objective, in its unit: what is allowed of a cost, the accuracy that counts as nothing."""


def _front(task: Task) -> BaseSampler:
    from .front import FrontSampler  # with scipy, which commands that only read a study need not wait for

    networks = task.networks
    return FrontSampler(
        networks.distributions,
        networks.known,
        constraints=networks.constraints,
        features=networks.features,
        key=networks.key,
        hints=networks.hint,
        is_feasible=networks.is_feasible,
        is_in_reach=networks.is_in_reach,
        budget=task.budget,
        prior=networks.expectation if networks.has_prior else None,
        seed=task.seed,
    )


SAMPLERS: dict[str, Callable[[Task], BaseSampler]] = {
    "front": _front,
    "tpe": lambda task: optuna.samplers.TPESampler(seed=task.seed + task.finished, multivariate=True),
    "nsga2": lambda task: optuna.samplers.NSGAIISampler(seed=task.seed + task.finished, population_size=POPULATION),
    "nsga3": lambda task: optuna.samplers.NSGAIIISampler(seed=task.seed + task.finished, population_size=POPULATION),
    "gp": lambda task: optuna.samplers.GPSampler(seed=task.seed + task.finished),
    "random": lambda task: optuna.samplers.RandomSampler(seed=task.seed + task.finished),
    "qmc": lambda task: optuna.samplers.QMCSampler(
        seed=task.seed + task.finished, scramble=True, warn_independent_sampling=False
    ),
}


JUDGES_ANEW = ("front", "random", "qmc")
"""Samplers for which limits may change while a study runs.

Optuna's others go by the constraints that were stored with each trial when it ended.
"""


def check_sampler(name: str) -> None:
    """Raises UserError, with the closest known name, where there is no sampler of this name."""
    if name not in SAMPLERS:
        raise UserError(unknown_name("sampler", name, SAMPLERS))


def make_sampler(name: str, task: Task) -> BaseSampler:
    """The sampler called `name`; raises UserError as `check_sampler`."""
    check_sampler(name)
    with warnings.catch_warnings():
        # Experimental to Optuna means that its interface may change; we pin the major version.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return SAMPLERS[name](task)
