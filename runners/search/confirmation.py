"""A second training of a study's best networks, with another seed.

The best of many noisy accuracies is overrated: it is the best partly because its training was lucky. The second figure
owes nothing to the choice, so that the mean of both is nearer to the truth.
"""

from collections.abc import Callable, Mapping

from optuna.study import Study

from ..candidate import Candidate, Evaluation
from ..engines.base import Engine, EpochReport

ATTRIBUTE = "confirmations"
"""Attribute of the study in its database: trial (as text) -> the study's metric in its further trainings."""


def confirmations_of(attributes: Mapping[str, object]) -> dict[int, list[float]]:
    """Return the study's metric in further trainings by trial, from a study's attributes."""
    found = attributes.get(ATTRIBUTE, {})
    assert isinstance(found, dict)
    return {int(trial): [float(value) for value in values] for trial, values in found.items()}


def train_again(
    study: Study,
    engine: Engine,
    candidates: Mapping[int, Candidate],
    metric: str,
    *,
    is_stopped: Callable[[int], bool],
    is_given_up: Callable[[], bool],
    on_start: Callable[[int], None],
    on_epoch: Callable[[EpochReport], None],
    on_end: Callable[[int, float | None], None],
) -> None:
    """Train candidates, by trial, and store their `metric` with the study; a training that fails changes nothing.

    `is_stopped` is told how many are in training; after it no further one starts, after `is_given_up` none is waited
    for. `on_end` is told the trial and the new value, None where the training failed.
    """
    waiting, running = list(candidates), set[int]()
    while (waiting and not is_stopped(len(running))) or (running and not is_given_up()):
        while waiting and len(running) < engine.slots and not is_stopped(len(running)):
            trial = waiting.pop(0)
            engine.submit(trial, candidates[trial])
            running.add(trial)
            on_start(trial)
        is_stopped(len(running))  # answered while nothing waits any more, too
        results = engine.collect(timeout_s=0.2)
        for report in engine.reports():
            on_epoch(report)
        for result in results:
            running.remove(result.ticket)
            outcome = result.outcome
            if not isinstance(outcome, Evaluation) and is_given_up():
                continue  # the signal that ends the study has reached the worker too; it is done on resume
            value = outcome.observation.metrics[metric] if isinstance(outcome, Evaluation) else None
            if value is not None:
                _store(study, result.ticket, value)
            on_end(result.ticket, value)


def _store(study: Study, trial: int, value: float) -> None:
    known = confirmations_of(study.user_attrs)
    known[trial] = [*known.get(trial, []), value]
    study.set_user_attr(ATTRIBUTE, {str(number): values for number, values in known.items()})
