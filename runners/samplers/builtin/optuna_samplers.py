"""Optuna's samplers, with what a study of networks asks of them."""

from optuna import samplers
from optuna.samplers import BaseSampler

from ..base import Task, sampler

POPULATION = 20
"""Of the evolutionary samplers; Optuna's 50 would spend a whole study on the first generation."""


@sampler("tpe")
def tpe(task: Task) -> BaseSampler:
    return samplers.TPESampler(seed=task.seed + task.finished, multivariate=True)


@sampler("nsga2")
def nsga2(task: Task) -> BaseSampler:
    return samplers.NSGAIISampler(seed=task.seed + task.finished, population_size=POPULATION)


@sampler("nsga3")
def nsga3(task: Task) -> BaseSampler:
    return samplers.NSGAIIISampler(seed=task.seed + task.finished, population_size=POPULATION)


@sampler("gp")
def gp(task: Task) -> BaseSampler:
    return samplers.GPSampler(seed=task.seed + task.finished)


@sampler("random", judges_anew=True)
def random(task: Task) -> BaseSampler:
    return samplers.RandomSampler(seed=task.seed + task.finished)


@sampler("qmc", judges_anew=True)
def qmc(task: Task) -> BaseSampler:
    return samplers.QMCSampler(seed=task.seed + task.finished, scramble=True, warn_independent_sampling=False)
