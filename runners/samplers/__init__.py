"""Who proposes the next candidate? Optuna's samplers by name."""

import warnings
from collections.abc import Callable

import optuna
from optuna.samplers import BaseSampler

from search_space.errors import UserError, unknown_name

POPULATION = 20
"""Of the evolutionary samplers; Optuna's 50 would spend a whole study on the first generation."""

SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed, multivariate=True),
    "nsga2": lambda seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=POPULATION),
    "nsga3": lambda seed: optuna.samplers.NSGAIIISampler(seed=seed, population_size=POPULATION),
    "gp": lambda seed: optuna.samplers.GPSampler(seed=seed),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "qmc": lambda seed: optuna.samplers.QMCSampler(seed=seed, scramble=True, warn_independent_sampling=False),
}


def make_sampler(name: str, seed: int) -> BaseSampler:
    """The sampler called `name`; raises UserError with the closest known name."""
    if name not in SAMPLERS:
        raise UserError(unknown_name("sampler", name, SAMPLERS))
    with warnings.catch_warnings():
        # Experimental to Optuna means that its interface may change; we pin the major version.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return SAMPLERS[name](seed)
