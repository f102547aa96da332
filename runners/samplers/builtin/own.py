"""This project's sampler, which spreads the study's accuracy over budgets."""

from optuna.samplers import BaseSampler

from ..base import Task, sampler


@sampler("front", judges_anew=True)
def front(task: Task) -> BaseSampler:
    from ..front import FrontSampler  # with scipy, which commands that only read a study need not wait for

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
