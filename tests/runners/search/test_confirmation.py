"""The best networks are trained once more: which, with which seeds, how often, and what is stored."""

import signal
from dataclasses import replace
from pathlib import Path

import pytest

from runners.candidate import Candidate, candidate_seed
from runners.config import CONFIRMED, TRIALS_TO_CONFIRM, LimitsConfig, SearchConfig
from runners.engines.base import Failure
from runners.search.confirmation import confirmations_of
from runners.search.events import TrialEvent
from runners.trial_record import TrialRecord
from tests.runners.engines.fake_engine import Answer, FakeEngine, fake_evaluation
from tests.runners.search.test_coordinator import coordinator, with_search


def best_trials(subject: object, count: int, most_macs: float = 30e6) -> list[int]:
    trials = [t for t in subject.study.get_trials() if TrialRecord.of(t).status == "completed"]  # type: ignore[attr-defined]
    kept = [t for t in trials if TrialRecord.of(t).values["macs"] <= most_macs]
    return [t.number for t in sorted(kept, key=lambda t: -TrialRecord.of(t).values["accuracy"])[:count]]


def test_the_best_within_the_limits_are_trained_once_more_with_another_seed(tmp_path: Path) -> None:
    config = replace(with_search(confirm=2), limits=LimitsConfig(max={"macs": 30e6}))
    engine, events = FakeEngine(slots=2), list[TrialEvent]()
    subject = coordinator(tmp_path, config, engine, on_event=events.append)
    assert subject.run() == "done"
    best = best_trials(subject, 2)
    assert len(engine.submitted) == 12 + 2
    keys = [TrialRecord.of(subject.study.get_trials()[number]).key for number in best]
    assert {c.seed for c in engine.submitted[12:]} == {candidate_seed(0, key, 1) for key in keys}
    assert not {c.seed for c in engine.submitted[12:]} & {c.seed for c in engine.submitted[:12]}
    assert sorted(confirmations_of(subject.study.user_attrs)) == sorted(best)
    assert sorted(event.trial.number for event in events if event.is_again and event.has_ended) == sorted(best)
    assert subject.state.evaluated == 12, "they are no trials"


def test_of_equally_accurate_networks_the_cheaper_are_trained_again(tmp_path: Path) -> None:
    """They are what is recommended in the end."""

    def answer(candidate: Candidate) -> Answer:
        found = fake_evaluation(candidate)
        return replace(found, observation=replace(found.observation, metrics={"accuracy": 0.5}))

    subject = coordinator(tmp_path, with_search(confirm=2), FakeEngine(answer=answer))
    subject.run()
    macs = {trial.number: trial.values["macs"] for trial in subject.state.completed}
    assert sorted(confirmations_of(subject.study.user_attrs)) == sorted(sorted(macs, key=macs.__getitem__)[:2])


def test_what_is_confirmed_is_not_trained_a_third_time(tmp_path: Path) -> None:
    coordinator(tmp_path, with_search(confirm=2)).run()
    engine = FakeEngine()
    coordinator(tmp_path, with_search(confirm=2), engine).run()
    assert engine.submitted == []


def test_a_training_that_fails_confirms_nothing(tmp_path: Path) -> None:
    seen = list[int]()

    def answer(candidate: Candidate) -> Answer:
        seen.append(candidate.seed)
        return Failure(kind="diverged", reason="nan") if len(seen) == 13 else fake_evaluation(candidate)

    subject = coordinator(tmp_path, with_search(confirm=2), FakeEngine(answer=answer))
    assert subject.run() == "done"
    assert len(seen) == 14 and len(confirmations_of(subject.study.user_attrs)) == 1


def test_an_interrupt_ends_the_confirming(tmp_path: Path) -> None:
    seen = list[int]()

    def answer(candidate: Candidate) -> Answer:
        seen.append(candidate.seed)
        if len(seen) == 13:
            signal.raise_signal(signal.SIGINT)
        return fake_evaluation(candidate)

    subject = coordinator(tmp_path, with_search(confirm=5), FakeEngine(answer=answer))
    heard = list[int]()
    subject.stops._on_stop = heard.append
    assert subject.run() == "interrupted"
    assert len(heard) == 1, "the request is answered"
    assert len(seen) == 13 and len(confirmations_of(subject.study.user_attrs)) == 1


def test_an_interrupt_is_answered_when_all_that_is_confirmed_is_in_training(tmp_path: Path) -> None:
    heard, seen = list[int](), list[int]()

    def answer(candidate: Candidate) -> Answer:
        seen.append(candidate.seed)
        if len(seen) == 13:
            signal.raise_signal(signal.SIGINT)
        return fake_evaluation(candidate)

    subject = coordinator(tmp_path, with_search(confirm=5), FakeEngine(slots=5, answer=answer))
    subject.stops._on_stop = heard.append
    assert subject.run() == "interrupted"
    assert len(heard) == 1 and heard[0] > 0


def test_a_worker_that_the_signal_reaches_has_not_failed(tmp_path: Path) -> None:
    seen, events = list[int](), list[TrialEvent]()

    def answer(candidate: Candidate) -> Answer:
        seen.append(candidate.seed)
        if len(seen) < 13:
            return fake_evaluation(candidate)
        signal.raise_signal(signal.SIGTERM)
        return Failure(kind="died", reason="the worker died (exit code -15)")

    subject = coordinator(tmp_path, with_search(confirm=2), FakeEngine(answer=answer), on_event=events.append)
    assert subject.run() == "interrupted"
    assert events[-1].is_again and not events[-1].has_ended


@pytest.mark.parametrize(("trials", "expected"), [(TRIALS_TO_CONFIRM - 1, 0), (TRIALS_TO_CONFIRM, CONFIRMED)])
def test_by_default_studies_of_some_length_confirm(trials: int, expected: int) -> None:
    assert SearchConfig(trials=trials).confirmations == expected
    assert SearchConfig(trials=trials, confirm=0).confirmations == 0
    assert SearchConfig(trials=trials, confirm=3).confirmations == 3


def test_it_goes_on_until_the_best_by_the_mean_has_been_trained_again(tmp_path: Path) -> None:
    """Whatever is trained again is far worse then, so that the next one is the best; four trainings are the most."""
    seen = list[int]()

    def answer(candidate: Candidate) -> Answer:
        seen.append(candidate.seed)
        found = fake_evaluation(candidate)
        if len(seen) <= 12:
            return found
        return replace(found, observation=replace(found.observation, metrics={"accuracy": 0.1}))

    subject = coordinator(tmp_path, with_search(confirm=2), FakeEngine(answer=answer))
    assert subject.run() == "done"
    assert len(seen) == 12 + 4
    assert sorted(confirmations_of(subject.study.user_attrs)) == sorted(best_trials(subject, 4, most_macs=1e12))
