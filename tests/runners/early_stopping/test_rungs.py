"""A study whose trials climb rungs: who stops, what is told, what is saved, and how a killed one goes on."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from objectives.base import objectives_named
from runners.candidate import Candidate, Epoch, Evaluation
from runners.config import LimitsConfig, SearchConfig, StudyConfig, TrainingConfig
from runners.evaluate import evaluate
from runners.search.study_state import StudyState
from runners.storage.study_files import open_study
from runners.trial_record import Rung, Status, TrialRecord
from search_space import ArchSpec, SearchSpace, UserError
from search_space.space import FixedTrial
from tests.runners.engines.fake_engine import FakeEngine, fake_accuracy, fake_evaluation
from tests.runners.search import test_coordinator
from tests.runners.search.test_coordinator import coordinator

SPACE = SearchSpace(depth=(18, 32), base_width=(8, 24), width_multipliers=(0.5, 1.0), bits=(32, 8))
CONFIG = StudyConfig(
    space=SPACE,
    training=TrainingConfig(images=1600, epochs=4),
    search=SearchConfig(
        trials=40, sampler="random", rungs=(0.25,), stop_confidence=0.95, block_starts=False, confirm=0
    ),
)
WHOLE = 4


def schedule(candidate: Candidate) -> list[float]:
    """A cheap rung is half as good and ranks alike; the start of a schedule is worse still."""
    epochs = candidate.training.epochs
    end = fake_accuracy(candidate) * (0.5 + 0.5 * epochs / WHOLE)
    return [end * (0.6 + 0.4 * epoch / epochs) for epoch in range(1, epochs + 1)]


def trained(candidate: Candidate) -> Evaluation:
    """As a worker does: epoch by epoch, until one is below its floor."""
    curve: list[Epoch] = []
    for number, accuracy in enumerate(schedule(candidate)):
        curve.append(Epoch(step="train", epoch=number + 1, train_loss=1.0, metric=accuracy, seconds=1.0))
        if number < len(candidate.floors) and accuracy < candidate.floors[number]:
            break
    evaluation = fake_evaluation(candidate)
    observation = replace(
        evaluation.observation,
        metrics={"accuracy": curve[-1].metric},
        curve=tuple(curve),
        training_images=candidate.training.images,
        stopped=len(curve) < candidate.training.epochs,
        duration_s=float(len(curve)),
    )
    return Evaluation(observation, b"" if observation.stopped else evaluation.weights)


def search(directory: Path, config: StudyConfig = CONFIG, **engine: Any) -> Any:
    directory.mkdir(exist_ok=True)
    subject = coordinator(directory, config, FakeEngine(answer=trained, **engine))
    assert subject.run() == "done"
    return subject


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Studies in a database, opened anew by each coordinator, as where the first one was killed."""
    monkeypatch.setattr(test_coordinator, "study_in", lambda directory, config: open_study(directory, config.optimised))


def completed(number: int, values: dict[str, float]) -> TrialRecord:
    return TrialRecord(number=number, status=Status.COMPLETED, key=f"key {number}", values=values)


def images(subject: Any) -> int:
    return sum(rung.images for trial in subject.study.get_trials() for rung in TrialRecord.of(trial).rungs)


def front(subject: Any) -> set[str]:
    trials = {trial.number: TrialRecord.of(trial).key for trial in subject.study.get_trials()}
    return {trials[number] for number in subject.state.front}


def test_it_saves_training_and_loses_nothing_of_the_front(tmp_path: Path) -> None:
    """The same forty networks with and without; here the rungs rank without noise."""
    stopping = search(tmp_path / "stopping", slots=2)
    whole = search(tmp_path / "whole", replace(CONFIG, search=replace(CONFIG.search, rungs=(), stop_confidence=0.0)))
    assert stopping.state.counts[Status.STOPPED] > 10 and whole.state.counts[Status.STOPPED] == 0
    assert stopping.state.evaluated == whole.state.evaluated == 40
    assert front(stopping) == front(whole)
    assert images(stopping) < 0.9 * images(whole)
    assert images(whole) == 40 * 1600 * 4


def test_what_is_told_of_a_trial_that_was_stopped(tmp_path: Path) -> None:
    events = []
    subject = coordinator(tmp_path, CONFIG, FakeEngine(answer=trained), on_event=events.append)
    subject.run()
    stopped = [trial for trial in subject.study.get_trials() if TrialRecord.of(trial).status == "stopped"]
    assert (
        len(stopped) == subject.state.counts[Status.STOPPED] == sum(event.trial.status == "stopped" for event in events)
    )
    for trial in stopped:
        facts = TrialRecord.of(trial)
        assert trial.state == TrialState.PRUNED
        assert "sure), and the front has" in facts.reason
        spec = ArchSpec.from_dict(facts.spec)
        truth = fake_accuracy(Candidate(spec=spec.to_dict(), seed=0, data=CONFIG.data, training=CONFIG.training))
        forecast = facts.forecast
        assert abs(forecast.mean - truth) < 4 * forecast.deviation + 0.02
        assert forecast.mean < forecast.optimistic
        assert facts.observation.stopped == (len(facts.observation.curve) < 2 * len(facts.rungs))


def test_stopped_in_the_middle_of_the_only_rung(tmp_path: Path) -> None:
    subject = search(tmp_path, replace(CONFIG, search=replace(CONFIG.search, rungs=())))
    assert subject.state.counts[Status.STOPPED] > 10
    trials = map(TrialRecord.of, subject.study.get_trials())
    lengths = {len(trial.rungs[0].accuracies) for trial in trials if trial.rungs}
    assert WHOLE in lengths and min(lengths) < WHOLE


def test_what_a_worker_stopped_for_is_what_is_told(tmp_path: Path) -> None:
    """While it trains, others finish that would make it hopeful."""
    config = replace(CONFIG, search=replace(CONFIG.search, rungs=(), trials=30))
    stopped: list[Evaluation] = []

    def answer(candidate: Candidate) -> Evaluation:
        found = trained(candidate)
        if found.observation.stopped:
            stopped.append(found)
            for number in range(20):
                rung = Rung(accuracies=(0.1, 0.1, 0.1, 0.9 + 0.001 * number), images=1, seconds=1.0)
                subject._lifecycle.ladder.learn([rung], ArchSpec.from_dict(candidate.spec), 1e7 + number)
        return found

    subject = coordinator(tmp_path, config, FakeEngine(answer=answer))
    subject.run()
    assert stopped
    first = next(t for t in subject.study.get_trials() if TrialRecord.of(t).status == "stopped")
    bound, hurdle = re.findall(r"([\d.]+) %", TrialRecord.of(first).reason)[1::2]
    assert float(bound) < float(hurdle)


def test_at_the_end_of_a_rung_the_newest_front_counts(tmp_path: Path) -> None:
    """While a trial is on its first rung, a network that costs nothing and is always right joins the front."""

    def answer(candidate: Candidate) -> Evaluation:
        if candidate.training.epochs < WHOLE and subject.state.counts[Status.COMPLETED] == 12:
            subject.state.add(completed(999, {"accuracy": 1.0, "macs": 1.0, "params": 1.0}))
        return trained(candidate)

    subject = coordinator(tmp_path, CONFIG, FakeEngine(answer=answer))
    subject.run()
    first = next(t for t in subject.study.get_trials() if "100.0 %" in (TrialRecord.of(t).reason or ""))
    assert "after epoch 2 of 2, rung 1 of 2: " in TrialRecord.of(first).reason
    assert sum(TrialRecord.of(t).status == "completed" for t in subject.study.get_trials()[: first.number]) == 12


def test_networks_that_were_stopped_are_not_trained_again(tmp_path: Path) -> None:
    space = replace(SPACE, blocks=("basic",), width_multipliers=(1.0,))
    subject = search(tmp_path, replace(CONFIG, space=space))
    keys = [(c.spec["stages"][0]["bits"], ArchSpec.from_dict(c.spec).key, c.training) for c in subject.engine.submitted]
    assert len(keys) == len(set(keys))
    assert subject.state.counts[Status.STOPPED] and subject.state.counts[Status.DUPLICATE]


@pytest.mark.usefixtures("on_disk")
def test_a_killed_coordinator_goes_on_with_the_next_rung(tmp_path: Path) -> None:
    asked: list[Candidate] = []

    def killed(candidate: Candidate) -> Evaluation | BaseException:
        asked.append(candidate)
        return RuntimeError("killed") if len(asked) == 4 else trained(candidate)

    with pytest.raises(RuntimeError, match="killed"):
        coordinator(tmp_path, CONFIG, FakeEngine(answer=killed)).run()
    assert [c.training.epochs for c in asked] == [2, 4, 2, 4]
    resumed = search(tmp_path)
    assert resumed.engine.submitted[0].spec == asked[-1].spec
    assert resumed.engine.submitted[0].training.epochs == 4
    assert resumed.state.evaluated == 40


@pytest.mark.usefixtures("on_disk")
@pytest.mark.parametrize("rungs", [(), (0.25,)])
def test_killed_after_the_outcome_was_written_and_before_it_was_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rungs: tuple[float, ...]
) -> None:
    """Then the last rung is climbed again, and counts once."""
    config = replace(CONFIG, search=replace(CONFIG.search, rungs=rungs, trials=12))
    subject = coordinator(tmp_path, config, FakeEngine(answer=trained))
    tell, told = subject.study.tell, list[int]()

    def killed(trial: Any, *args: Any, **kwargs: Any) -> Any:
        told.append(trial.number)
        if len(told) == 10:
            raise RuntimeError("killed")
        return tell(trial, *args, **kwargs)

    monkeypatch.setattr(subject.study, "tell", killed)
    with pytest.raises(RuntimeError, match="killed"):
        subject.run()
    resumed = search(tmp_path, config)
    assert resumed.state.evaluated == 12
    completed = [t for t in resumed.study.get_trials() if TrialRecord.of(t).status == "completed"]
    assert len(resumed._lifecycle.ladder._finished[False]) == len(completed) == resumed.state.counts[Status.COMPLETED]


@pytest.mark.usefixtures("on_disk")
def test_a_resumed_study_has_learned_from_its_first_part(tmp_path: Path) -> None:
    search(tmp_path, replace(CONFIG, search=replace(CONFIG.search, trials=20)))
    resumed = search(tmp_path)
    first = [t for t in resumed.study.get_trials() if TrialRecord.of(t).status in ("completed", "stopped")][20:28]
    assert any(TrialRecord.of(trial).status == "stopped" for trial in first)


def test_the_front_sampler_learns_from_those_that_were_stopped(tmp_path: Path) -> None:
    search(tmp_path)
    subject = coordinator(tmp_path, replace(CONFIG, search=replace(CONFIG.search, sampler="front", trials=42)))
    trial = next(t for t in subject.study.get_trials() if TrialRecord.of(t).status == "stopped")
    history = subject.study.sampler._history([(trial, trial.params)], 2)
    assert [hint.values[0] for hint in history.hints] == [TrialRecord.of(trial).forecast.mean]
    subject.engine.answer = trained
    assert subject.run() == "done"


def test_a_limit_on_the_accuracy_stops_too(tmp_path: Path) -> None:
    """Nothing is on the front that does not keep it, so what cannot reach it need not be trained."""
    config = replace(CONFIG, limits=LimitsConfig(min={"accuracy": 0.83}))
    with_limit, without = search(tmp_path / "a", config), search(tmp_path / "b")
    assert with_limit.state.counts[Status.STOPPED] > without.state.counts[Status.STOPPED]
    reasons = [(TrialRecord.of(trial).reason or "") for trial in with_limit.study.get_trials()]
    assert any(reason.endswith("sure), and the limit is accuracy >= 0.83") for reason in reasons)


@pytest.mark.parametrize(
    ("limits", "hurdle"),
    [
        (LimitsConfig(), 0.8),
        (LimitsConfig(min={"accuracy": 0.85}), 0.85),
        (LimitsConfig(min={"accuracy": 0.75}), 0.8),
        (LimitsConfig(max={"macs": 1.5e6}), 0.7),
    ],
)
def test_what_a_network_must_reach(limits: LimitsConfig, hurdle: float) -> None:
    """The best at no higher cost in any objective that keeps the limits, or the limit."""
    state = StudyState(objectives_named(["accuracy", "macs", "params"]), limits.as_limits(), ((0, 9e9, 9e9), (1, 1, 1)))
    for number, (accuracy, macs, params) in enumerate([(0.7, 1e6, 1e4), (0.8, 2e6, 1e4), (0.9, 2e6, 3e4)]):
        state.add(completed(number, {"accuracy": accuracy, "macs": macs, "params": params}))
    found = state.hurdle({"macs": 2e6, "params": 2e4})
    assert found is not None and found.accuracy == hurdle
    nothing = state.hurdle({"macs": 2e6, "params": 9e3})
    assert (nothing is None) == (not limits.min)


def test_rungs_need_a_confidence() -> None:
    with pytest.raises(UserError, match="rungs: need a stop_confidence"):
        replace(CONFIG.search, stop_confidence=0.0)


def test_a_confidence_below_a_half_is_refused() -> None:
    with pytest.raises(UserError, match=r"stop_confidence: must be 0 \(nobody stops\) or from 0.5 to 0.999, not 0.4"):
        replace(CONFIG.search, stop_confidence=0.4)


def test_a_study_without_accuracy_is_refused() -> None:
    with pytest.raises(UserError, match="objectives: accuracy must be among them"):
        replace(CONFIG, objectives=("macs", "params"))


def test_rungs_need_a_number_of_images() -> None:
    with pytest.raises(UserError, match=r"search.rungs: needs training.images"):
        replace(CONFIG, training=replace(CONFIG.training, images=0))


@pytest.mark.parametrize("bits", [32, 4])
def test_a_worker_stops_below_a_floor(bits: int) -> None:
    space = SearchSpace(
        depth=(18, 18), blocks=("basic",), base_width=(8, 8), in_channels=1, resolution=(8,), bits=(bits,)
    )
    spec = space.sample(FixedTrial({name: choices[0] for name, choices in space.choices.items()}))
    candidate = Candidate(
        spec=spec.to_dict(),
        seed=0,
        data=replace(CONFIG.data, name="digits"),
        training=TrainingConfig(images=200, epochs=3, batch_size=32, validation_images=100),
    )
    whole = evaluate(candidate)
    assert not whole.observation.stopped and len(whole.observation.curve) == 3 and whole.weights
    floors = (0.0, 1.1) if bits == 32 else (0.0, 0.0, 1.1)
    stopped = evaluate(replace(candidate, floors=floors))
    epochs = len(floors)
    assert stopped.observation.stopped and stopped.weights == b""
    seen = [point.metric for point in stopped.observation.curve]
    assert seen == [point.metric for point in whole.observation.curve][:epochs]
    assert stopped.observation.accuracy == seen[-1]
