"""Reading by SQL against Optuna's own view, little by little against all at once, and beside a search that writes."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.trial import FrozenTrial

from runners.candidate import Candidate
from runners.config import DataConfig, SearchConfig, StudyConfig, WorkersConfig
from runners.engines.base import Failure
from runners.search.coordinator import Coordinator
from runners.search.events import TrialEvent
from runners.search.pricing.latency_meter import LatencyMeter
from runners.storage.study_files import open_study, study_lock
from runners.storage.study_heartbeat import HEARTBEAT, SILENCE_S, is_running
from runners.trial_record import Status, TrialRecord
from search_space import SearchSpace
from studies.launch.create import create_study
from studies.results.reading import StudyReader, load_results
from studies.results.study_results import StudyResults
from studies.study.database import StudyDatabase
from studies.study.record import StudyRecord, open_study_record, write_record
from tests.runners.engines.fake_engine import Answer, FakeEngine, fake_evaluation
from tests.studies.synthetic import FIRST, append_trials, study_config, write_study

RUNNING = 3
CONFIG = StudyConfig(
    objectives=("accuracy", "macs"),
    data=DataConfig(name="digits"),
    space=SearchSpace(depth=(18, 38), base_width=(8, 16), resolution=(8, 16), bits=(32, 8, 4), bits_scope="stage"),
    search=SearchConfig(trials=20, sampler="random", references=("resnet20",), stop_confidence=0.0, block_starts=False),
)


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """150 trials, the last ones running."""
    directory = tmp_path_factory.mktemp("runs") / "made-up"
    write_study(directory, trials=150, running=RUNNING)
    return directory


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """By a coordinator that died in its twelfth evaluation; one of three has failed, two still run."""
    directory = tmp_path_factory.mktemp("runs") / "genuine"
    seen: list[Candidate] = []

    def answer(candidate: Candidate) -> Answer:
        seen.append(candidate)
        if len(seen) == 12:
            return RuntimeError("power cut")
        return Failure(kind="diverged", reason="nan") if len(seen) % 3 == 0 else fake_evaluation(candidate)

    with pytest.raises(RuntimeError, match="power cut"):
        coordinator_of(create_study(directory, CONFIG), answer, slots=2).run()
    return directory


@pytest.fixture
def growing(tmp_path: Path) -> Path:
    """A study of 30 trials that a test may change."""
    write_study(tmp_path / "growing", trials=30)
    return tmp_path / "growing"


def coordinator_of(
    record: StudyRecord,
    answer: Callable[[Candidate], Answer] = fake_evaluation,
    on_event: Callable[[TrialEvent], None] = lambda event: None,
    slots: int = 1,
) -> Coordinator:
    return Coordinator(
        study=open_study(record.directory, record.config.optimised),
        directory=record.directory,
        config=record.config,
        box=record.box,
        commonest_share=record.commonest_share,
        engine=FakeEngine(slots=slots, answer=answer),
        meter=LatencyMeter({}),
        on_event=on_event,
    )


def optunas_trials(directory: Path) -> list[FrozenTrial]:
    return optuna.load_study(study_name="resfront", storage=f"sqlite:///{directory / 'study.db'}").get_trials()


def utc(local: datetime | None) -> datetime | None:
    """Optuna gives out local time without a zone."""
    return None if local is None else local.astimezone(UTC)


def assert_same(found: StudyResults, expected: StudyResults) -> None:
    """Every column, the front and the hypervolume among them."""
    pd.testing.assert_frame_equal(found.trials, expected.trials, check_exact=True)
    pd.testing.assert_frame_equal(found.references, expected.references)
    assert replace(found, trials=expected.trials, references=expected.references) == expected


# --- against Optuna -------------------------------------------------------------------------------


def test_tables_of_another_layout_are_read_by_optuna(growing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = optuna.load_study(study_name="resfront", storage=f"sqlite:///{growing / 'study.db'}")
    theirs = StudyDatabase(growing / "study.db")
    ours = StudyDatabase(growing / "study.db")

    def both() -> tuple[list[TrialRecord], list[TrialRecord]]:
        with monkeypatch.context() as patch:
            patch.setattr("studies.study.database.SCHEMA", "v2")
            patch.setattr(StudyDatabase, "_read", lambda *_: pytest.fail("read by SQL"))
            found = theirs.read_new()
        return found, ours.read_new()

    by_optuna, by_sql = both()
    assert by_optuna == by_sql != []
    trial = study.ask()
    by_optuna, by_sql = both()
    assert by_optuna == by_sql and [found.number for found in by_sql] == [trial.number]
    study.tell(trial, state=optuna.trial.TrialState.FAIL)
    study.set_user_attr("exhausted", True)
    by_optuna, by_sql = both()
    assert by_optuna == by_sql and [found.is_told for found in by_sql] == [True]
    assert both() == ([], []) and theirs.is_exhausted and ours.is_exhausted


@pytest.mark.parametrize("which", ["made_up", "genuine"])
def test_stored_trials_are_optunas(which: str, request: pytest.FixtureRequest) -> None:
    directory: Path = request.getfixturevalue(which)
    found, expected = StudyDatabase(directory / "study.db").read_new(), optunas_trials(directory)
    assert [trial.number for trial in found] == [trial.number for trial in expected] != []
    assert {trial.state.name for trial in expected} == {"RUNNING", "COMPLETE", "FAIL"} | (
        {"PRUNED"} if which == "made_up" else set()
    )
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.is_told == theirs.state.is_finished()
        assert ours.params == theirs.params and list(ours.params) == list(theirs.params)
        assert {name: type(value) for name, value in ours.params.items()} == {
            name: type(value) for name, value in theirs.params.items()
        }
        assert replace(ours, started=None, finished=None) == TrialRecord.of(theirs)
        assert ours.started == utc(theirs.datetime_start) is not None
        assert ours.finished == utc(theirs.datetime_complete)


@pytest.mark.parametrize("which", ["made_up", "genuine"])
def test_rows_have_optunas_values(which: str, request: pytest.FixtureRequest) -> None:
    directory: Path = request.getfixturevalue(which)
    results, trials = load_results(directory), optunas_trials(directory)
    names = [objective.name for objective in results.objectives]
    assert results.count("running") == (RUNNING if which == "made_up" else 2)
    assert {kind: str(results.trials[kind].dtype) for kind in ("started", "finished", "feasible", "accuracy")} == {
        "started": "datetime64[us, UTC]",
        "finished": "datetime64[us, UTC]",
        "feasible": "bool",
        "accuracy": "float64",
    }
    for (_, row), trial in zip(results.trials.iterrows(), trials, strict=True):
        if trial.values is not None:
            assert row[names].tolist() == trial.values
            assert row["status"] in ("completed", "duplicate")
        assert row["record"].params == trial.params
        assert row["started"].to_pydatetime() == utc(trial.datetime_start)
        assert pd.isna(row["finished"]) == (trial.datetime_complete is None)


IN_TOKYO = f"""
import sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
import optuna
from studies.study.database import StudyDatabase
assert time.timezone == -9 * 3600
stored = StudyDatabase(Path(sys.argv[1])).read_new()
trials = optuna.load_study(study_name="resfront", storage="sqlite:///" + sys.argv[1]).get_trials()
assert len(stored) == len(trials) > 0
for ours, theirs in zip(stored, trials):
    for moment, local in ((ours.started, theirs.datetime_start), (ours.finished, theirs.datetime_complete)):
        assert moment == (local and local.astimezone(UTC)), (moment, local)
assert stored[0].started == datetime.fromisoformat("{(FIRST + timedelta(milliseconds=10)).isoformat()}")
study = optuna.create_study(study_name="resfront", storage="sqlite:///" + sys.argv[2])
study.tell(study.ask(), 1.0)
(written,) = StudyDatabase(Path(sys.argv[2])).read_new()
assert timedelta() <= datetime.now(UTC) - written.finished < timedelta(minutes=2), written
"""


def test_moments_are_utc_wherever_they_are_written_and_read(made_up: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", IN_TOKYO, str(made_up / "study.db"), str(tmp_path / "study.db")]
    environment = {**os.environ, "TZ": "Asia/Tokyo"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr


def test_nan_in_what_optuna_has_stored(growing: Path) -> None:
    """The loss of an epoch may be NaN, which Optuna writes as no JSON has it."""
    point = {"step": "train", "epoch": 1, "train_loss": float("nan"), "metric": 0.1, "seconds": 1.0}
    study = optuna.load_study(study_name="resfront", storage=f"sqlite:///{growing / 'study.db'}")
    trial = study.ask()
    whole = next(found for known in study.trials if (found := TrialRecord.of(known).observation))
    observation = {**whole.to_dict(), "curve": [point], "duration_s": float("inf")}
    facts = {"status": "failed", "reason": "nan", "observation": observation}
    trial.set_user_attr("outcome", facts)
    study.tell(trial, state=optuna.trial.TrialState.FAIL)
    row = load_results(growing).trials.iloc[-1]
    assert row["trial"] == 30 and row["status"] == "failed" and row["duration_s"] == float("inf")
    assert np.isnan(row["record"].curve[0].train_loss)


# --- little by little -----------------------------------------------------------------------------


def test_reading_what_is_new_gives_what_reading_all_gives(tmp_path: Path) -> None:
    directory = tmp_path / "study"
    write_study(directory, trials=1)
    reader = StudyReader(directory)
    sizes = []
    for seed, count in enumerate([0, 1, 1, 2, 1, 25, 1, 3, 40, 1]):
        append_trials(directory, count, seed)
        found = reader.read()
        assert_same(found, load_results(directory))
        assert reader.read() is found
        sizes.append((len(found.trials), len(found.front)))
    assert [trials for trials, _ in sizes] == [1, 2, 3, 5, 6, 31, 32, 35, 75, 76]
    assert len({front for _, front in sizes}) > 4


def test_only_what_is_new_is_read(growing: Path) -> None:
    database = StudyDatabase(growing / "study.db")
    assert len(database.read_new()) == 30
    assert database.read_new() == []
    append_trials(growing, 2, seed=1)
    assert [trial.number for trial in database.read_new()] == [30, 31]
    assert database.read_new() == []


def test_a_study_before_its_first_trial(tmp_path: Path) -> None:
    record = create_study(tmp_path / "new", study_config(10))
    reader = StudyReader(record.directory)
    before = reader.read()
    assert before.trials.empty and before.front.empty and reader.read() is before
    study = open_study(record.directory, record.config.optimised)
    assert reader.read().trials.empty
    study.enqueue_trial({})
    assert reader.read().trials.empty, "it waits, and has not begun"
    study.ask()
    assert reader.read().trials["status"].tolist() == ["running"]
    assert_same(reader.read(), load_results(record.directory))


def test_a_reader_that_follows_a_search_sees_what_has_happened(tmp_path: Path) -> None:
    """At each event of a search on three slots, killed once: trials start, run, end in another order, are resumed."""
    record = create_study(tmp_path / "study", CONFIG)
    reader, other = StudyReader(record.directory), StudyReader(record.directory)
    ended: list[Candidate] = []
    seen: list[tuple[int, str]] = []

    def answer(candidate: Candidate) -> Answer:
        ended.append(candidate)
        if len(ended) == 8:
            return RuntimeError("power cut")
        return Failure(kind="diverged", reason="nan") if len(ended) % 6 == 0 else fake_evaluation(candidate)

    def look(event: TrialEvent) -> None:
        found = reader.read()
        assert_same(found, load_results(record.directory))
        row = found.trials.set_index("trial").loc[event.trial.number]
        assert row["status"] == event.trial.status
        assert found.count(Status.RUNNING) >= event.running, "more only where some wait to be resumed"
        assert len(found.front) == event.front_size and bool(row["front"]) == event.on_front
        assert found.trials["hypervolume"].max() == pytest.approx(event.hypervolume) or not event.evaluated
        seen.append((event.trial.number, event.trial.status))
        if len(seen) % 5 == 0:  # one that looks now and then
            assert_same(other.read(), found)

    with pytest.raises(RuntimeError, match="power cut"):
        coordinator_of(record, answer, look, slots=3).run()
    at_death = reader.read()
    assert at_death.count("running") == 3
    coordinator_of(record, answer, look, slots=3).run()
    assert reader.read().count("running") == 0
    assert reader.read().count("completed") + reader.read().count("failed") == CONFIG.search.trials
    assert_same(other.read(), reader.read())
    numbers = [trial for trial, status in seen if status in ("completed", "failed")]
    assert numbers != sorted(numbers), "they ended as they began; the test means less than it says"


def test_another_study_in_its_place(growing: Path) -> None:
    reader = StudyReader(growing)
    before = reader.read()
    shutil.rmtree(growing)
    write_study(growing, trials=20, seed=5, objectives=("accuracy", "params"))
    after = reader.read()
    assert len(after.trials) == 20 and after.objectives != before.objectives
    assert_same(after, load_results(growing))
    append_trials(growing, 3, seed=1)
    assert_same(reader.read(), load_results(growing))


def test_another_database_in_its_place(growing: Path, tmp_path: Path) -> None:
    reader = StudyReader(growing)
    before = reader.read()
    write_study(tmp_path / "other", trials=31, seed=5)
    for path in growing.glob("study.db*"):
        path.unlink()
    assert reader.read().trials.empty
    shutil.copy(tmp_path / "other" / "study.db", growing)
    after = reader.read()
    assert len(after.trials) == 31
    assert after.trials["key"].tolist()[1:30] != before.trials["key"].tolist()[1:30]
    assert_same(after, load_results(growing))


def test_settings_that_a_resumed_search_has_changed(growing: Path) -> None:
    reader = StudyReader(growing)
    before = reader.read()
    assert before.config["search"]["trials"] == 30
    record = open_study_record(growing)
    search = replace(record.config.search, trials=99)
    write_record(replace(record, config=replace(record.config, search=search, workers=WorkersConfig(workers=7))))
    after = reader.read()
    assert (after.config["search"]["trials"], after.config["workers"]["workers"]) == (99, 7)
    pd.testing.assert_frame_equal(after.trials, before.trials)
    assert reader.read() is after


# --- beside a search ------------------------------------------------------------------------------


class Watching:
    """A thread that reads without a pause."""

    def __init__(self, directory: Path, over: threading.Event) -> None:
        self.reads, self.counts, self.error = 0, [0], ""
        self._thread = threading.Thread(target=self._watch, args=(directory, over), daemon=True)
        self._thread.start()

    def join(self) -> None:
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _watch(self, directory: Path, over: threading.Event) -> None:
        reader = StudyReader(directory)
        try:
            while not over.is_set():
                found = reader.read()
                self.reads += 1
                time.sleep(0.002)
                count = found.count("completed")
                if count != self.counts[-1]:
                    self.counts.append(count)
        except BaseException as error:
            self.error = repr(error)


@pytest.mark.slow
def test_two_that_read_hard_disturb_no_search(tmp_path: Path) -> None:
    record = create_study(tmp_path / "study", replace(CONFIG, search=replace(CONFIG.search, trials=30)))
    sizes: list[int] = []
    wal = record.directory / "study.db-wal"
    coordinator = coordinator_of(record, on_event=lambda event: sizes.append(wal.stat().st_size), slots=2)
    over = threading.Event()
    watching = [Watching(record.directory, over) for _ in range(2)]
    try:
        assert coordinator.run() == "done"
        time.sleep(0.1)  # the last look
    finally:
        over.set()
        for watcher in watching:
            watcher.join()
    assert [watcher.error for watcher in watching] == ["", ""]
    assert coordinator.state.counts[Status.COMPLETED] == 30
    assert all(watcher.counts == sorted(watcher.counts) and watcher.counts[-1] == 30 for watcher in watching)
    assert all(len(watcher.counts) > 5 and watcher.reads > 20 for watcher in watching)
    # SQLite starts the log over at 1,000 pages of 4 KiB, unless somebody still reads what is before them.
    assert max(sizes) < 1.4 * 1000 * 4096
    results, trials = load_results(record.directory), optunas_trials(record.directory)
    assert results.trials["trial"].tolist() == [trial.number for trial in trials]
    told = [[row["accuracy"], row["macs"]] for _, row in results.trials.iterrows() if row["status"] == "completed"]
    assert told == [trial.values for trial in trials if trial.user_attrs["outcome"]["status"] == "completed"]


# --- nothing is written ---------------------------------------------------------------------------


def contents(directory: Path) -> dict[str, bytes]:
    """What a study says; SQLite's shared memory only says who reads."""
    return {path.name: path.read_bytes() for path in directory.iterdir() if not path.name.endswith("-shm")}


@pytest.fixture(params=["closed", "open"])
def public(request: pytest.FixtureRequest, growing: Path) -> Iterator[Path]:
    """A study that others may read, with nobody at its database, or while somebody writes to it."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        directory = Path(folder) / "study"
        directory.mkdir()
        for name in ("study.db", "study.toml"):
            shutil.copy(growing / name, directory)
        with closing(sqlite3.connect(directory / "study.db")) as writer:
            if request.param == "open":
                writer.execute("UPDATE trials SET state = 'RUNNING' WHERE number = 11")
                writer.commit()
            else:
                writer.close()
            assert is_open(directory) == (request.param == "open")
            yield directory
        directory.chmod(0o755)


def is_open(directory: Path) -> bool:
    return (directory / "study.db-wal").exists()


def test_reading_changes_no_file(public: Path) -> None:
    (public / "lock").touch()
    before = contents(public)
    times = {path.name: path.stat().st_mtime_ns for path in public.glob("[!.]*") if not path.name.endswith("-shm")}
    reader = StudyReader(public)
    assert len(reader.read().trials) == len(reader.read().trials) == 30
    assert {name: content for name, content in contents(public).items() if content or name in before} == before
    assert {name: (public / name).stat().st_mtime_ns for name in times} == times
    assert not (public / HEARTBEAT).exists()
    assert len(optunas_trials(public)) == 30


READ_ONLY = """
import os, sys
from pathlib import Path
from studies.results.reading import StudyReader
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
directory = Path(sys.argv[1])
try:
    (directory / "written").touch()
except PermissionError:
    pass
else:
    sys.exit("the directory can be written")
reader = StudyReader(directory)
print(len(reader.read().trials), reader.read().count("running"), len(reader.read().front))
"""


def test_a_directory_that_may_only_be_read(public: Path) -> None:
    expected = load_results(public)
    for path in public.glob("study.db-*"):
        if expected.count("running") == 0:
            path.unlink()  # of our own reading
    names = {path.name for path in public.iterdir()}
    public.chmod(0o555)
    command = [sys.executable, "-c", READ_ONLY, str(public)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["30", str(expected.count("running")), str(len(expected.front))]
    assert {path.name for path in public.iterdir()} == names


# --- is it running? -------------------------------------------------------------------------------


def test_a_study_runs_while_somebody_holds_its_lock(growing: Path) -> None:
    assert not is_running(growing)
    with study_lock(growing):
        deadline = time.monotonic() + 20
        while not is_running(growing):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        load_results(growing)
        assert is_running(growing)
        silent = time.time() - SILENCE_S - 5
        os.utime(growing / HEARTBEAT, (silent, silent))
    assert not is_running(growing) and not (growing / HEARTBEAT).exists()


def test_a_heartbeat_that_is_old_is_that_of_a_dead_process(growing: Path) -> None:
    (growing / HEARTBEAT).touch()
    assert is_running(growing)
    silent = time.time() - SILENCE_S - 1
    os.utime(growing / HEARTBEAT, (silent, silent))
    assert not is_running(growing)


def test_a_stored_trial_says_whether_it_has_ended() -> None:
    stored = {"candidate": {"key": "a"}, "outcome": {"status": "failed", "reason": "no memory"}}
    for is_told, attributes, status in (
        (False, {}, Status.RUNNING),
        (False, {"candidate": {"key": "a"}, "outcome": {"status": "completed"}}, Status.RUNNING),
        (False, stored, Status.FAILED),
        (True, stored, Status.FAILED),
        (True, {}, Status.FAILED),
    ):
        trial = TrialRecord.read(0, attributes, is_told=is_told, params={})
        assert (trial.status, trial.is_told) == (status, is_told)
