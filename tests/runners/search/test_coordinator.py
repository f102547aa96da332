"""The coordinator over an engine that answers at once: budget, limits, duplicates, failures, references, resuming."""

import gc
import math
import signal
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import optuna
import pytest
from optuna.study import Study
from optuna.trial import TrialState

from objectives import known_costs, pareto_mask
from objectives.base import objectives_named
from objectives.hypervolume_box import cost_ranges, hypervolume_box, sample_costs
from objectives.latency.device import DeviceUnavailable
from objectives.pareto import losses
from runners.candidate import Candidate, candidate_seed
from runners.config import LimitsConfig, SearchConfig, StudyConfig, TrainingConfig
from runners.engines.base import Failure
from runners.samplers import SAMPLERS
from runners.search.coordinator import Coordinator
from runners.search.events import EpochEvent, TrialEvent
from runners.search.lifecycle import TooManyFailures
from runners.search.pricing.cost_check import NoFeasibleCandidate, Pricer, budget_of
from runners.search.pricing.latency_meter import LatencyMeter
from runners.storage.study_files import StorageError, open_study, study_lock, weights_path
from runners.trial_record import Status, TrialRecord
from search_space import ArchSpec, SearchSpace, UserError
from tests.runners.engines.fake_engine import Answer, FakeEngine, fake_accuracy, fake_evaluation
from tests.runners.fake_device import FakeDevice

SPACE = SearchSpace(depth=(18, 32), base_width=(8, 24), width_multipliers=(0.5, 1.0), bits=(32, 8, 4))
CONFIG = StudyConfig(
    space=SPACE, search=SearchConfig(trials=12, sampler="random", stop_confidence=0.0, block_starts=False)
)


def with_search(config: StudyConfig = CONFIG, **changes: object) -> StudyConfig:
    return replace(config, search=replace(config.search, **changes))  # type: ignore[arg-type]


@cache
def costs_in(space: SearchSpace, figures: tuple[str, ...]) -> list[dict[str, float]]:
    return sample_costs(space, objectives_named(figures), lambda *_: {})


STUDIES: dict[Path, Study] = {}


def study_in(directory: Path, config: StudyConfig = CONFIG) -> Study:
    """The same for a directory, as `open_study`'s; in memory, for a database makes these tests three times slower."""
    if directory not in STUDIES:
        STUDIES[directory] = optuna.create_study(directions=[o.direction for o in config.optimised])
    return STUDIES[directory]


def coordinator(
    directory: Path,
    config: StudyConfig = CONFIG,
    engine: FakeEngine | None = None,
    on_event: Callable[[TrialEvent], None] = lambda event: None,
    device: FakeDevice | None = None,
    on_epoch: Callable[[EpochEvent], None] = lambda event: None,
    on_note: Callable[[str], None] = lambda note: None,
) -> Coordinator:
    samples = costs_in(config.space, tuple(o.name for o in config.figures if o.source != "measured"))
    samples = [{"latency_ms": 1 + 9 * i, **sample} for i, sample in enumerate(samples[:2])] + samples
    return Coordinator(
        study=study_in(directory, config),
        directory=directory,
        config=config,
        box=hypervolume_box(
            cost_ranges(samples, config.optimised), config.optimised, config.limits.as_limits(), commonest_share=0.1
        ),
        commonest_share=0.1,
        engine=engine or FakeEngine(),
        meter=LatencyMeter({"latency_ms": device} if device else {}),
        on_event=on_event,
        on_epoch=on_epoch,
        on_note=on_note,
        takes_signals=True,
    )


def statuses(study: Study) -> Counter[str]:
    return Counter(TrialRecord.of(trial).status for trial in study.get_trials())


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_every_sampler_finishes_a_study(tmp_path: Path, sampler: str) -> None:
    trials = 12  # ten of them before a model-based sampler takes over
    config = with_search(sampler=sampler, trials=trials)
    config = replace(config, limits=LimitsConfig(max={"macs": 30e6}))
    subject = coordinator(tmp_path, config, FakeEngine(slots=2))
    assert subject.run() == "done"
    assert statuses(subject.study)["completed"] == trials
    for trial in subject.study.get_trials():
        spec = ArchSpec.from_dict(TrialRecord.of(trial).spec)
        costs = known_costs(spec.build_graph())
        assert TrialRecord.of(trial).costs == costs
        assert (TrialRecord.of(trial).status == "rejected") == (costs["macs"] > 30e6)
        assert (trial.state == TrialState.COMPLETE) == (bool(TrialRecord.of(trial).values))


def test_what_is_told_is_what_was_found(tmp_path: Path) -> None:
    engine = FakeEngine(slots=3)
    subject = coordinator(tmp_path, engine=engine)
    subject.run()
    told = {TrialRecord.of(t).key: t.values for t in subject.study.get_trials() if t.state == TrialState.COMPLETE}
    assert len(engine.submitted) == 12
    for candidate in engine.submitted:
        spec = ArchSpec.from_dict(candidate.spec)
        assert told[spec.key] == [fake_accuracy(candidate), known_costs(spec.build_graph())["macs"]]
        assert candidate.seed == candidate_seed(0, spec.key)


def test_epochs_are_passed_on_while_a_trial_runs(tmp_path: Path) -> None:
    """On each rung from the first, and the share of the images seen that they make of the whole training."""
    seen: list[EpochEvent | TrialEvent] = []
    config = replace(CONFIG, training=TrainingConfig(images=1000, epochs=4))
    config = with_search(config, trials=3, rungs=(0.25,), stop_confidence=0.95)
    subject = coordinator(tmp_path, config, FakeEngine(slots=2, tells=True), seen.append, on_epoch=seen.append)
    subject.run()
    for trial in range(3):
        mine = [
            event for event in seen if trial == (event.trial.number if isinstance(event, TrialEvent) else event.trial)
        ]
        assert isinstance(mine[0], TrialEvent) and mine[0].trial.status == "running"
        assert isinstance(mine[-1], TrialEvent) and mine[-1].trial.status == "completed"
        epochs = [event for event in mine if isinstance(event, EpochEvent)]
        # A quarter of 4 epochs of 1000 images is 2 epochs of 500; then all of them: 5000 images in all.
        assert [(e.rung, e.epoch, e.epochs) for e in epochs] == [
            *((1, n, 2) for n in (1, 2)),
            *((2, n, 4) for n in (1, 2, 3, 4)),
        ]
        assert [e.done for e in epochs] == pytest.approx([0.1, 0.2, 0.4, 0.6, 0.8, 1.0])
        assert {e.rungs for e in epochs} == {2} and epochs[1].metric == 0.002


def test_a_network_is_trained_once(tmp_path: Path) -> None:
    """Nine networks, so twelve trials must repeat some; the study ends when all of them are known."""
    space = replace(SPACE, blocks=("basic",), depth=(20, 20), base_width=(8, 24), width_multipliers=(1.0,))
    assert space.size == 9
    engine = FakeEngine(slots=2)
    subject = coordinator(tmp_path, replace(CONFIG, space=space), engine)
    assert subject.run() == "done"
    keys = [ArchSpec.from_dict(candidate.spec).key for candidate in engine.submitted]
    assert len(keys) == len(set(keys)) == 9
    originals = {
        TrialRecord.of(t).key: t.values for t in subject.study.get_trials() if TrialRecord.of(t).status == "completed"
    }
    for trial in subject.study.get_trials():
        if TrialRecord.of(trial).status == "duplicate" and trial.values is not None:
            assert trial.values == originals[TrialRecord.of(trial).key]


def test_front_members_and_only_they_have_weights(tmp_path: Path) -> None:
    subject = coordinator(tmp_path, with_search(trials=30))
    subject.run()
    completed = [t for t in subject.study.get_trials() if TrialRecord.of(t).status == "completed"]
    mask = pareto_mask(losses([t.values for t in completed], CONFIG.optimised))
    front = {t.number for t, on_front in zip(completed, mask, strict=True) if on_front}
    assert 1 < len(front) < 30
    kept = {t.number for t in completed if weights_path(tmp_path, t.number).exists()}
    assert kept == front
    for trial in completed:
        if trial.number in front:
            assert weights_path(tmp_path, trial.number).read_bytes() == TrialRecord.of(trial).key.encode()


def test_an_accuracy_limit_makes_trials_infeasible_and_keeps_them_off_the_front(tmp_path: Path) -> None:
    events: list[TrialEvent] = []
    config = replace(CONFIG, limits=LimitsConfig(min={"accuracy": 0.835}))
    subject = coordinator(tmp_path, config, on_event=events.append)
    subject.run()
    for trial in subject.study.get_trials():
        if TrialRecord.of(trial).status == "completed":
            assert (max(trial.constraints.values()) > 0) == (trial.values[0] < 0.835)
    below = [e for e in events if e.trial.status == "completed" and e.trial.values["accuracy"] < 0.835]
    assert below and not any(event.on_front for event in below)


def test_limits_that_nothing_keeps_are_said_with_the_nearest_miss(tmp_path: Path) -> None:
    config = replace(CONFIG, limits=LimitsConfig(max={"file_bytes": 10}))
    engine = FakeEngine()
    with pytest.raises(NoFeasibleCandidate, match=r"nearest of \d+: file_bytes <= 10 \(is \d+") as caught:
        coordinator(tmp_path, config, engine).run()
    assert caught.value.exit_code == 5
    assert engine.submitted == []


def test_tight_limits_are_met_by_drawing(tmp_path: Path) -> None:
    """The random sampler alone would need hundreds of trials for each feasible network."""
    config = replace(CONFIG, limits=LimitsConfig(max={"packed_bytes": 6_000}))
    subject = coordinator(tmp_path, config)
    assert subject.run() == "done"
    assert statuses(subject.study)["completed"] == 12
    assert statuses(subject.study)["rejected"] < 200


def test_a_dead_worker_costs_an_attempt_and_two_cost_the_trial(tmp_path: Path) -> None:
    deaths: Counter[int] = Counter()

    def answer(candidate: Candidate) -> Answer:
        deaths[candidate.seed] += 1
        fatal = candidate.seed == first_seed(answer)
        if deaths[candidate.seed] == 1 or fatal:
            return Failure(kind="died", reason="the worker died (exit code -9)")
        return fake_evaluation(candidate)

    def first_seed(_: object) -> int:
        return next(iter(deaths))

    subject = coordinator(tmp_path, engine=FakeEngine(answer=answer))
    assert subject.run() == "done"
    counts = statuses(subject.study)
    assert counts["failed"] == 1
    assert counts["completed"] == 11
    assert set(deaths.values()) == {2}
    failed = next(t for t in subject.study.get_trials() if TrialRecord.of(t).status == "failed")
    assert failed.state == TrialState.RUNNING, "not told, for --resume runs it again"
    assert "died" in TrialRecord.of(failed).reason


def test_divergence_fails_at_once_with_its_reason(tmp_path: Path) -> None:
    seen: list[int] = []

    def answer(candidate: Candidate) -> Answer:
        seen.append(candidate.seed)
        return Failure(kind="diverged", reason="the loss became nan") if len(seen) == 3 else fake_evaluation(candidate)

    subject = coordinator(tmp_path, engine=FakeEngine(answer=answer))
    subject.run()
    assert len(seen) == len(set(seen)) == 12
    failed = [t for t in subject.study.get_trials() if TrialRecord.of(t).status == "failed"]
    assert [TrialRecord.of(t).reason for t in failed] == ["the loss became nan"]


def test_five_failures_in_a_row_end_the_study(tmp_path: Path) -> None:
    engine = FakeEngine(answer=lambda candidate: Failure(kind="error", reason="RuntimeError: no memory"))
    with pytest.raises(TooManyFailures, match="no memory"):
        coordinator(tmp_path, engine=engine).run()
    assert len(engine.submitted) == 5


def test_references_are_evaluated_first_and_labelled(tmp_path: Path) -> None:
    config = with_search(references=("resnet20", "resnet32"))
    engine = FakeEngine()
    subject = coordinator(tmp_path, config, engine)
    subject.run()
    assert [ArchSpec.from_dict(c.spec).depth for c in engine.submitted[:2]] == [20, 32]
    assert [TrialRecord.of(t).label for t in subject.study.get_trials()[:3]] == ["resnet20", "resnet32", None]


@pytest.mark.parametrize("name", ["resnet56", "mobilenetv2", "resnet18", "resnet21"])
def test_a_reference_outside_the_space_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=name):
        coordinator(tmp_path, with_search(references=(name,)))


def test_trials_is_a_total_over_resumed_runs(tmp_path: Path) -> None:
    coordinator(tmp_path, with_search(trials=5)).run()
    before = study_in(tmp_path).get_trials()
    engine = FakeEngine()
    subject = coordinator(tmp_path, with_search(trials=12), engine)
    assert subject.state.counts[Status.COMPLETED] == 5
    assert subject.run() == "done"
    assert len(engine.submitted) == 7
    after = subject.study.get_trials()
    assert after[: len(before)] == before


def test_a_timeout_starts_nothing_new(tmp_path: Path) -> None:
    engine = FakeEngine()
    assert coordinator(tmp_path, with_search(timeout_s=1e-9), engine).run() == "timeout"
    assert engine.submitted == []


def test_one_interrupt_finishes_what_runs_and_two_stop_at_once(tmp_path: Path) -> None:
    def interrupt(times: int) -> Callable[[Candidate], Answer]:
        interrupts = iter(range(times))

        def answer(candidate: Candidate) -> Answer:
            for _ in interrupts:
                signal.raise_signal(signal.SIGINT)
            return fake_evaluation(candidate)

        return answer

    once = coordinator(tmp_path, engine=FakeEngine(slots=3, answer=interrupt(1)))
    assert once.run() == "interrupted"
    assert [t.state for t in once.study.get_trials() if TrialRecord.of(t).status == "completed"] == [
        TrialState.COMPLETE
    ] * 3

    twice = coordinator(tmp_path, engine=FakeEngine(slots=3, answer=interrupt(2)))
    assert twice.run() == "interrupted"
    running = [t for t in twice.study.get_trials() if t.state == TrialState.RUNNING]
    assert len(running) == 2

    engine = FakeEngine(slots=3)
    resumed = coordinator(tmp_path, engine=engine)
    assert resumed.run() == "done"
    assert {c.seed for c in engine.submitted[:2]} == {candidate_seed(0, TrialRecord.of(t).key) for t in running}
    for trial in running:
        again = resumed.study.get_trials()[trial.number]
        assert again.state == TrialState.COMPLETE
        assert again.params == trial.params
    assert statuses(resumed.study)["completed"] == 12


def test_what_was_to_begin_anew_and_breaks_a_new_limit_is_said(tmp_path: Path) -> None:
    def answer(candidate: Candidate) -> Answer:
        signal.raise_signal(signal.SIGTERM)
        return fake_evaluation(candidate)

    subject = coordinator(tmp_path, engine=FakeEngine(slots=3, answer=answer))
    assert subject.run() == "interrupted"
    running = [t for t in subject.study.get_trials() if t.state == TrialState.RUNNING]
    costs = {t.number: TrialRecord.of(t).costs["macs"] for t in running}
    highest = max(costs, key=lambda number: costs[number])
    most = sorted(costs.values())[-2]
    assert most < costs[highest], "one of them breaks the new limit alone"
    notes = list[str]()
    config = replace(CONFIG, limits=LimitsConfig(max={"macs": most}))
    assert coordinator(tmp_path, config, on_note=notes.append).run() == "done"
    (note,) = [note for note in notes if "begin anew" in note]
    assert note.startswith(f"trial {highest}, which was to begin anew, is left out: macs <= ")


def test_who_dies_of_the_signal_that_ends_the_study_is_resumed(tmp_path: Path) -> None:
    """In the first attempt and in the last one."""

    def answer(candidate: Candidate) -> Answer:
        if deaths[candidate.seed] == deaths_before:
            signal.raise_signal(signal.SIGTERM)
        deaths[candidate.seed] += 1
        return Failure(kind="died", reason="the worker died (exit code -15)")

    for deaths_before in (0, 1):
        deaths: Counter[int] = Counter()
        engine = FakeEngine(answer=answer)
        subject = coordinator(tmp_path / str(deaths_before), engine=engine)
        assert subject.run() == "interrupted"
        assert len(engine.submitted) == 1 + deaths_before
        assert [trial.state for trial in subject.study.get_trials()] == [TrialState.RUNNING]


def test_what_was_begun_is_finished_even_beyond_the_total(tmp_path: Path) -> None:
    coordinator(tmp_path, with_search(trials=3)).run()
    left = study_in(tmp_path).ask()
    subject = coordinator(tmp_path, with_search(trials=3))
    assert subject.run() == "done"
    assert subject.study.get_trials()[left.number].state.is_finished()


def test_the_study_says_whether_its_space_is_exhausted(tmp_path: Path) -> None:
    space = SearchSpace(depth=(18, 26), base_width=(8, 8), blocks=("basic",), resolution=(16,), bits=(8,))
    subject = coordinator(tmp_path, replace(with_search(trials=12), space=space))
    assert subject.run() == "done"
    assert subject.state.evaluated < 12
    assert subject.study.user_attrs == {"exhausted": True}


def test_requests_to_stop_are_announced(tmp_path: Path) -> None:
    heard: list[int] = []

    def answer(candidate: Candidate) -> Answer:
        if not heard:
            signal.raise_signal(signal.SIGINT)
        return fake_evaluation(candidate)

    subject = coordinator(tmp_path, engine=FakeEngine(slots=3, answer=answer))
    subject.stops._on_stop = heard.append
    assert subject.run() == "interrupted"
    assert heard == [2]


def test_a_trial_killed_between_two_suggestions_is_completed_on_resume(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    trial = study.ask()
    depth = trial.suggest_int("depth", *SPACE.depth)
    subject = coordinator(tmp_path)
    assert subject.run() == "done"
    first = subject.study.get_trials()[0]
    assert first.params["depth"] == depth
    assert first.state.is_finished()


def test_one_process_owns_a_study(tmp_path: Path) -> None:
    with study_lock(tmp_path), pytest.raises(StorageError, match="another process") as caught, study_lock(tmp_path):
        pass
    assert caught.value.exit_code == 4
    with study_lock(tmp_path):
        pass


def test_a_broken_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(StorageError, match=r"study\.db: cannot be opened"):
        open_study(tmp_path, CONFIG.optimised)


def test_an_unknown_sampler_is_named_with_the_closest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'nsga3'"):
        coordinator(tmp_path, with_search(sampler="nsga"))


LATENCY = replace(CONFIG, objectives=("accuracy", "latency_ms"))


def test_every_candidate_is_timed_once_before_it_is_trained_and_while_all_is_quiet(tmp_path: Path) -> None:
    engine = FakeEngine(slots=2)
    device = FakeDevice(engine)
    subject = coordinator(tmp_path, LATENCY, engine, device=device)
    assert subject.run() == "done"
    assert len(device.timed) == len(engine.submitted) == 12
    assert device.was_quiet == [True] * 12
    for trial in subject.study.get_trials():
        facts = TrialRecord.of(trial)
        if facts.status == "completed":
            measured = facts.latency["latency_ms"]
            assert trial.values[1] == measured["latency_ms"] == facts.values["latency_ms"]
            assert (measured["kind"], measured["device"], measured["threads"]) == ("measured", "cpu", 1)
            bits = min(ArchSpec.from_dict(facts.spec).bits)
            assert measured["precision"] == ("float32" if bits == 32 else "int8")


def test_a_latency_limit_rejects_after_timing_and_without_training(tmp_path: Path) -> None:
    config = replace(LATENCY, limits=LimitsConfig(max={"latency_ms": 2.0, "macs": 30e6}))
    engine = FakeEngine()
    device = FakeDevice(engine)
    subject = coordinator(tmp_path, config, engine, device=device)
    assert subject.run() == "done"
    rejected = [TrialRecord.of(t) for t in subject.study.get_trials() if TrialRecord.of(t).status == "rejected"]
    slow = [facts for facts in rejected if facts.reason.startswith("latency_ms <= 2 (is ")]
    large = [facts for facts in rejected if facts.reason.startswith("macs <= 30,000,000")]
    assert slow and large
    assert all(facts.latency == {} for facts in large), "what is over a known limit is not timed"
    assert len(device.timed) == len(engine.submitted) + len({facts.key for facts in slow})
    assert all(TrialRecord.of(t).values["latency_ms"] <= 2 for t in subject.study.get_trials() if t.values)


def test_a_sampler_that_finds_nothing_ends_the_study_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runners.samplers.front.FrontSampler._untried", lambda *_: {})
    with pytest.raises(NoFeasibleCandidate, match="sampler 'front': found no network that keeps the limits"):
        coordinator(tmp_path, with_search(sampler="front")).run()


def test_a_latency_for_which_a_network_was_rejected_is_learned_from(tmp_path: Path) -> None:
    config = replace(LATENCY, limits=LimitsConfig(max={"latency_ms": 2}))
    engine = FakeEngine()
    coordinator(tmp_path, config, engine, device=FakeDevice(engine)).run()
    subject = coordinator(tmp_path, with_search(config, sampler="front"), engine, device=FakeDevice(engine))
    rejected = [t for t in subject.study.get_trials() if TrialRecord.of(t).status == "rejected"]
    hints = subject.study.sampler._history([(trial, trial.params) for trial in rejected], 2).hints  # type: ignore[attr-defined]
    assert len(hints) == len(rejected) > 0
    assert [hint.values[1] for hint in hints] == [TrialRecord.of(trial).costs["latency_ms"] for trial in rejected]
    assert all(math.isnan(hint.values[0]) and hint.values[1] > 2 for hint in hints)


def test_a_latency_that_no_network_reaches_ends_the_study_with_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runners.search.pricing.cost_check.MAX_MISSES", 40)
    config = replace(LATENCY, limits=LimitsConfig(max={"latency_ms": 1e-6}))
    engine = FakeEngine()
    with pytest.raises(NoFeasibleCandidate, match=r"none of 40 measured networks .* nearest: latency_ms <= 1e-06"):
        coordinator(tmp_path, config, engine, device=FakeDevice(engine)).run()
    assert engine.submitted == []


def test_networks_that_were_too_slow_are_tried_once_a_looser_limit_lets_them(tmp_path: Path) -> None:
    """Nine networks: with a limit that a few keep the study ends early, with one that all keep it tries the others."""
    space = replace(SPACE, blocks=("basic",), depth=(20, 20), base_width=(8, 24), width_multipliers=(1.0,))
    tight = replace(LATENCY, space=space, limits=LimitsConfig(max={"latency_ms": 2}))
    engine = FakeEngine()
    coordinator(tmp_path, tight, engine, device=FakeDevice(engine)).run()
    assert 0 < len(engine.submitted) < 9
    loose = replace(tight, limits=LimitsConfig(max={"latency_ms": 1000}))
    again = FakeEngine()
    coordinator(tmp_path, loose, again, device=FakeDevice(again)).run()
    assert len(engine.submitted) + len(again.submitted) == 9


def test_timings_of_the_opening_do_not_count_as_misses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of the opening have the largest resolution; the limit is kept at the smaller one alone."""
    monkeypatch.setattr("runners.search.pricing.cost_check.MAX_MISSES", 10)
    space = replace(SPACE, bits=(8, 32), resolution=(8, 32))
    search = replace(CONFIG.search, sampler="front", block_starts=True, trials=16)
    engine = FakeEngine()
    config = replace(LATENCY, space=space, search=search, limits=LimitsConfig(max={"latency_ms": 0.35}))
    subject = coordinator(tmp_path, config, engine, device=FakeDevice(engine))
    assert subject.run() == "done"


def test_what_was_timed_is_not_timed_again_on_resume(tmp_path: Path) -> None:
    def answer(candidate: Candidate) -> Answer:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        return fake_evaluation(candidate)

    first_engine = FakeEngine(slots=3, answer=answer)
    first = FakeDevice(first_engine)
    assert coordinator(tmp_path, LATENCY, first_engine, device=first).run() == "interrupted"
    assert len(first.timed) == 3
    engine = FakeEngine(slots=3)
    device = FakeDevice(engine)
    subject = coordinator(tmp_path, LATENCY, engine, device=device)
    assert subject.run() == "done"
    assert len(device.timed) == 12 - 3


def test_a_device_that_cannot_run_a_network_makes_it_infeasible_with_the_reason(tmp_path: Path) -> None:
    config = replace(CONFIG, objectives=("accuracy", "latency_ms@edgetpu"))
    engine = FakeEngine()
    subject = coordinator(tmp_path, config, engine)
    assert subject.run() == "done"
    assert all(min(ArchSpec.from_dict(candidate.spec).bits) <= 8 for candidate in engine.submitted)
    rejected = [TrialRecord.of(t) for t in subject.study.get_trials() if TrialRecord.of(t).status == "rejected"]
    assert rejected and all("edgetpu runs int8 alone" in facts.reason for facts in rejected)


def test_a_device_that_is_lost_stops_the_study_and_leaves_the_trial_to_be_resumed(tmp_path: Path) -> None:
    engine = FakeEngine()
    device = FakeDevice(engine, fails_after=4)
    with pytest.raises(DeviceUnavailable, match="unplugged"):
        coordinator(tmp_path, LATENCY, engine, device=device).run()
    left = [t for t in study_in(tmp_path).get_trials() if t.state == TrialState.RUNNING]
    assert len(left) == 1
    engine = FakeEngine()
    subject = coordinator(tmp_path, LATENCY, engine, device=FakeDevice(engine))
    assert subject.run() == "done"
    assert subject.study.get_trials()[left[0].number].params.items() >= left[0].params.items()


@pytest.mark.parametrize(
    ("limits", "allowed"),
    [
        (LimitsConfig(), [0.1, None]),
        (LimitsConfig(max={"macs": 30e6}, min={"accuracy": 0.7}), [0.7, 30e6]),
        (LimitsConfig(min={"macs": 5e6}), [0.1, None]),
        (LimitsConfig(max={"macs": 30e6}, min={"macs": 5e6}), [0.1, 30e6]),
    ],
)
def test_budgets_go_by_the_most_of_a_cost_and_the_least_accuracy(
    limits: LimitsConfig, allowed: list[float | None]
) -> None:
    assert budget_of(CONFIG.optimised, limits.as_limits(), 0.1) == allowed


def test_a_coordinator_that_has_run_leaves_its_database_at_once(tmp_path: Path) -> None:
    """Nothing holds it in a circle: a connection that is closed later, whenever that is, would still change files."""
    gc.disable()
    try:
        subject = coordinator(tmp_path, CONFIG)
        subject.run()
        left = weakref.ref(subject)
        del subject
        assert left() is None
    finally:
        gc.enable()


def test_what_an_attempt_left_untold_is_not_taken_for_the_next_ones(tmp_path: Path) -> None:
    """Killed between what it wrote of a trial and telling Optuna; then a limit rejects the network."""
    subject = coordinator(tmp_path, CONFIG)
    trial = subject.study.ask()
    spec = CONFIG.space.sample(trial)
    trial.set_user_attr("outcome", {"status": "completed", "values": {"accuracy": 0.9, "macs": 1.0, "params": 1.0}})
    tight = replace(CONFIG, limits=LimitsConfig(max={"macs": 1.0}))
    pricer = Pricer(tight.figures, tight.limits.as_limits(), subject.meter, subject.engine.quiet)
    subject._lifecycle._pricer = pricer
    assert not subject._lifecycle.start(trial, spec)
    (record,) = [TrialRecord.of(each) for each in subject.study.get_trials() if each.number == trial.number]
    assert (record.status, record.values) == (Status.REJECTED, {}) and record.is_told
    assert subject.study.get_trials()[trial.number].state == TrialState.PRUNED
