"""A study that was made up against one that the coordinator ran: what reads the one reads the other."""

import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from objectives.limits import violated
from runners.candidate import Candidate, Epoch, Evaluation
from runners.engines.base import Failure
from runners.search.coordinator import Coordinator
from runners.search.pricing.latency_meter import LatencyMeter
from runners.search.proposals.opening import reference_spec
from runners.storage.study_files import open_study
from runners.trial_record import TrialRecord
from search_space.spec import ArchSpec
from studies.launch.create import create_study
from studies.launch.resume import resume_study
from studies.results.reading import load_results
from studies.study.record import StudyRecord, open_study_record
from tests.runners.engines.fake_engine import Answer, FakeEngine, fake_evaluation
from tests.studies.synthetic import REFERENCE, append_trials, study_config, write_study

TRIALS, RUNNING = 120, 2
STAGES = (1, 2, 3)
WIDEST = {"depth": 38, "base_width": 24, "width_multiplier2": 1.25, "width_multiplier3": 1.25, "resolution": 28}
TOO_LARGE = WIDEST | {f"block{i}": "basic" for i in STAGES} | {f"bits{i}": 32 for i in STAGES}


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("runs") / "made-up"
    write_study(directory, trials=TRIALS, running=RUNNING)
    return directory


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By a coordinator that died: the reference, the same again, one too large, one that fails, others."""
    directory = tmp_path_factory.mktemp("runs") / "genuine"
    record = create_study(directory, study_config(trials=20))
    seen: list[Candidate] = []

    def answer(candidate: Candidate) -> Answer:
        seen.append(candidate)
        if len(seen) == 10:
            return RuntimeError("power cut")
        return Failure(kind="diverged", reason="nan") if len(seen) == 3 else with_curve(fake_evaluation(candidate))

    coordinator = coordinate(record, answer)
    coordinator.study.enqueue_trial(record.config.space.params_of(reference_spec(record.config.space, REFERENCE)))
    coordinator.study.enqueue_trial(TOO_LARGE)
    with pytest.raises(RuntimeError, match="power cut"):
        coordinator.run()
    return directory


def coordinate(record: StudyRecord, answer: Callable[[Candidate], Answer]) -> Coordinator:
    return Coordinator(
        study=open_study(record.directory, record.config.optimised),
        directory=record.directory,
        config=record.config,
        box=record.box,
        commonest_share=record.commonest_share,
        engine=FakeEngine(answer=answer),
        meter=LatencyMeter({}),
    )


def with_curve(evaluation: Evaluation) -> Evaluation:
    """What the fake engine found with the parts that it leaves empty."""
    found = evaluation.observation
    curve = (Epoch(step="train", epoch=1, train_loss=2.0, metric=found.accuracy, seconds=1.0),)
    versions = {"python": "3", "torch": "2", "resfront": "0"}
    return replace(evaluation, observation=replace(found, curve=curve, versions=versions))


def trials_of(directory: Path) -> list[FrozenTrial]:
    study = optuna.load_study(study_name="resfront", storage=f"sqlite:///{directory / 'study.db'}")
    return study.get_trials()


def shape(value: Any) -> Any:
    """Keys and types, without the values."""
    if isinstance(value, dict):
        return {key: shape(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [shape(entry) for entry in value[:1]]
    return type(value).__name__


def shapes(directory: Path) -> dict[str, set[str]]:
    """Status -> how its trials are written down, but for what was enqueued."""
    found: dict[str, set[str]] = {}
    for trial in trials_of(directory):
        attrs = {key: value for key, value in trial.user_attrs.items() if key != "label"}
        parts = (
            trial.state,
            shape(attrs),
            shape(trial.values),
            shape(trial.constraints),
            list(trial.params),
            trial.system_attrs.keys() - {"fixed_params"},
            [trial.datetime_start is None, trial.datetime_complete is None],
        )
        found.setdefault(TrialRecord.of(trial).status, set()).add(repr(parts))
    return found


def rows(directory: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(directory / "study.db")) as connection:
        return connection.execute(query).fetchall()


def test_every_status_is_written_as_the_coordinator_writes_it(made_up: Path, genuine: Path) -> None:
    expected, found = shapes(genuine), shapes(made_up)
    assert expected.keys() == {"completed", "rejected", "duplicate", "failed", "running"}
    assert found == expected
    assert all(len(ways) == 1 for ways in found.values())


def test_the_tables_hold_what_optuna_would_write(made_up: Path, genuine: Path) -> None:
    for query in (
        "SELECT DISTINCT param_name, distribution_json FROM trial_params ORDER BY 1",
        "SELECT DISTINCT value_type FROM trial_values",
        "SELECT DISTINCT key FROM trial_user_attributes ORDER BY 1",
        "SELECT DISTINCT key FROM trial_system_attributes ORDER BY 1",
        "SELECT user_attributes.value_json, attributes.value_json FROM trial_user_attributes user_attributes"
        " JOIN trial_system_attributes attributes USING (trial_id)"
        " WHERE user_attributes.key = 'label' AND attributes.key = 'fixed_params'",
        "SELECT DISTINCT typeof(trial_id - number), trial_id - number, study_id, typeof(datetime_start),"
        " length(datetime_start), length(datetime_complete) FROM trials WHERE state != 'RUNNING'",
        "PRAGMA journal_mode",
    ):
        assert rows(made_up, query) == rows(genuine, query) != [], query


def test_what_it_says_of_itself_is_true(made_up: Path) -> None:
    """Params mean the spec, limits are really broken, duplicates are really known, and times only increase."""
    config = open_study_record(made_up).config
    first: dict[str, FrozenTrial] = {}
    moments = []
    for trial in trials_of(made_up):
        facts = TrialRecord.of(trial)
        spec = ArchSpec.from_dict(facts.spec)
        assert config.space.sample(optuna.trial.FixedTrial(trial.params)) == spec and spec.key == facts.key
        broken = violated(config.limits.as_limits(), facts.costs)
        assert facts.reason == "; ".join(broken) if broken else facts.status != "rejected"
        if facts.status == "duplicate":
            original = first[spec.key]
            assert facts.reason == f"the network of trial {original.number}" and trial.values == original.values
            assert trial.constraints == original.constraints
        elif facts.status == "completed":
            assert first.setdefault(spec.key, trial) is trial
            observation = facts.observation
            assert observation is not None
            assert [e.epoch for e in observation.curve] == [1, 2, 3, 4, 5, 6]
            assert trial.values is not None and observation.accuracy == trial.values[0]
            assert 0 < observation.float_accuracy < 1 and observation.spec_key == spec.key
        moments += [trial.datetime_start, trial.datetime_complete]
    known = [moment for moment in moments if moment is not None]
    assert known == sorted(known) and len(set(known)) == len(known) == 2 * TRIALS - RUNNING


def test_shares_of_the_statuses(made_up: Path) -> None:
    trials = trials_of(made_up)
    statuses = Counter(TrialRecord.of(trial).status for trial in trials)
    assert [trial.number for trial in trials] == list(range(TRIALS))
    assert [trial.state for trial in trials[-RUNNING - 1 :]].count(TrialState.RUNNING) == statuses["running"] == RUNNING
    assert 0.7 < statuses["completed"] / TRIALS < 0.9 and 0.05 < statuses["rejected"] / TRIALS < 0.25
    assert statuses["duplicate"] > 0 and statuses["failed"] > 0


def test_the_front_is_optunas(made_up: Path) -> None:
    study = optuna.load_study(study_name="resfront", storage=f"sqlite:///{made_up / 'study.db'}")
    results = load_results(made_up)
    assert set(results.front["key"]) == {TrialRecord.of(trial).key for trial in study.best_trials}
    assert 5 < len(results.front) < TRIALS / 2
    assert results.trials["label"].dropna().tolist() == [REFERENCE]


def test_the_coordinator_goes_on_with_it(tmp_path: Path) -> None:
    """It ends the running trials and runs one more."""
    write_study(tmp_path / "left", trials=30, running=RUNNING, objectives=("accuracy", "params"))
    before = load_results(tmp_path / "left")
    evaluated = before.count("completed") + before.count("failed")
    config = open_study_record(tmp_path / "left").config
    config = replace(config, search=replace(config.search, trials=evaluated + RUNNING + 1))
    assert coordinate(resume_study(tmp_path / "left", config), fake_evaluation).run() == "done"
    after = load_results(tmp_path / "left")
    assert after.count("completed") == before.count("completed") + RUNNING + 1
    assert after.count("running") == 0 and len(after.trials) == 31 + after.count("rejected") - before.count("rejected")
    ended = before.trials["status"] != "running"
    assert after.trials["key"][:30].tolist() == before.trials["key"].tolist()
    assert after.trials["finished"][:30][ended].tolist() == before.trials["finished"][ended].tolist()


def test_trials_appended_continue_the_study(tmp_path: Path) -> None:
    """Also with the seed that it was made with."""
    write_study(tmp_path / "growing", trials=40, seed=3, running=1)
    before = trials_of(tmp_path / "growing")
    for _ in range(2):
        append_trials(tmp_path / "growing", count=10, seed=3)
    after = trials_of(tmp_path / "growing")
    assert after[:40] == before and [trial.number for trial in after] == list(range(60))
    moments = [moment for trial in after[39:] for moment in (trial.datetime_start, trial.datetime_complete) if moment]
    assert len(moments) == 41 and moments == sorted(moments)
    statuses = Counter(TrialRecord.of(trial).status for trial in after[40:])
    assert statuses["completed"] > 10
    completed = [TrialRecord.of(trial).key for trial in after if TrialRecord.of(trial).status == "completed"]
    assert len(set(completed)) == len(completed)


def test_a_seed_means_the_same_trials(made_up: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        write_study(tmp_path / str(seed), trials=8, seed=seed)
    same, other = trials_of(tmp_path / "0"), trials_of(tmp_path / "1")
    assert same == trials_of(made_up)[:8]
    assert [trial.params for trial in same[1:]] != [trial.params for trial in other[1:]]
