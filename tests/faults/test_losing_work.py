"""What a study has found or kept must survive databases, folders and processes that are not what they should be."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from runners.candidate import Candidate
from runners.config import LimitsConfig
from runners.engines.base import Failure
from runners.engines.local import _outcome
from runners.engines.processes.pool import WorkerDied
from runners.evaluate import evaluate
from runners.search.pricing.cost_check import NoFeasibleCandidate
from runners.storage.study_files import StorageError, study_lock, weights_path
from runners.training.load_images import _dataset as images_of_workers
from studies.launch import create
from studies.launch.create import create_study
from studies.launch.resume import resume_study
from studies.launch.run import run_search
from studies.results.reading import StudyReader, load_results
from studies.study.database import StudyDatabase
from studies.study.record import StudyExists, open_study_record
from tests.runners.engines.fake_engine import Answer, fake_evaluation
from tests.runners.search.test_coordinator import coordinator
from tests.studies.command import Resfront
from tests.studies.conftest import without_program

from .conftest import Saw
from .studies import (
    CONFIG,
    answer_with,
    contents,
    engine,
    finished_study,
    folder_study,
    resfront,
    with_trials,
    write_images,
)

__all__ = ["engine", "resfront", "without_program"]
pytestmark = pytest.mark.usefixtures("engine")


def remove_database(directory: Path) -> None:
    for path in directory.glob("study.db*"):
        path.unlink()


def empty_file(directory: Path) -> None:
    remove_database(directory)
    (directory / "study.db").touch()


def delete_trials(directory: Path) -> None:
    with closing(sqlite3.connect(directory / "study.db")) as connection, connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE name LIKE 'trial%'").fetchall()
        for (table,) in tables:
            connection.execute(f"DELETE FROM {table}")


def new_database(directory: Path) -> None:
    """As of a study that was made a moment ago."""
    remove_database(directory)
    fresh = create_study(directory.parent / "fresh", CONFIG)
    shutil.copy(fresh.directory / "study.db", directory)


DAMAGES = (remove_database, empty_file, delete_trials, new_database)


# --- a database that does not know what the folder holds ----------------------------------------------


@pytest.mark.fault("{damage}: study.db, then --resume", expected="exit 4, one line, nothing changed")
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_study_without_its_trials_does_not_start_anew(
    tmp_path: Path, resfront: Resfront, saw: Saw, damage: Callable[[Path], None]
) -> None:
    directory = finished_study(tmp_path / "study").directory
    damage(directory)
    before = contents(directory)
    assert any(name.endswith("weights.safetensors") for name in before)
    done = resfront("search", "--resume", "--name", "study", "--trials", 20, "--runs", tmp_path)
    saw(f"exit {done.code}: {done.err}")
    assert done.code == 4
    assert "study.db" in done.err.splitlines()[-1]
    assert contents(directory) == before


def change(sql: str) -> Callable[[Path], None]:
    def apply(directory: Path) -> None:
        with closing(sqlite3.connect(directory / "study.db")) as connection:
            with connection:
                connection.execute(sql)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so that nobody does it later

    return apply


@pytest.mark.fault("study.db was edited: {what}; then --resume", expected="exit 4, one line, nothing changed")
@pytest.mark.parametrize(
    ("what", "sql"),
    [
        ("the study's name", "UPDATE studies SET study_name = 'other'"),
        ("a second study", "INSERT INTO studies (study_name) VALUES ('other')"),
        ("the directions", "UPDATE study_directions SET direction = 'MINIMIZE'"),
        ("a trial without its facts", "DELETE FROM trial_user_attributes WHERE key IN ('candidate', 'outcome')"),
        ("a value that is null", "UPDATE trial_values SET value = NULL WHERE objective = 0"),
        ("a number that is null", "UPDATE trials SET number = NULL WHERE number = 1"),
        ("a number twice", "UPDATE trials SET number = 1 WHERE number = 2"),
        ("a trial is gone", "DELETE FROM trials WHERE number = 1"),
        ("a state that is none", "UPDATE trials SET state = 'WEIRD' WHERE number = 1"),
        ("no parameters", "DROP TABLE trial_params"),
    ],
)
def test_an_edited_database_does_not_go_on(tmp_path: Path, resfront: Resfront, saw: Saw, what: str, sql: str) -> None:
    directory = finished_study(tmp_path / "study").directory
    change(sql)(directory)
    before = contents(directory)
    done = resfront("search", "--resume", "--name", "study", "--trials", 20, "--runs", tmp_path)
    saw(f"exit {done.code}: {done.err.splitlines()[-1]}")
    assert done.code == 4 and "study.db" in done.err.splitlines()[-1]
    assert contents(directory) == before
    shown = resfront("pareto", "study", "--runs", tmp_path)
    saw(f"pareto: exit {shown.code}: {shown.err.strip()}")
    assert "Traceback" not in shown.err
    assert shown.code == 4 or "warning: " in shown.err, "its figures are not shown without a word"


@pytest.mark.fault("the folder of a running study is {what}", expected="exit 4; nothing is written elsewhere or lost")
@pytest.mark.parametrize("what", ["renamed", "moved and another put in its place"])
def test_a_folder_that_moves_while_the_study_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saw: Saw, what: str
) -> None:
    home, away = tmp_path / "study", tmp_path / "away"
    trained, notes = list[Candidate](), list[str]()

    def answer(candidate: Candidate) -> Answer:
        trained.append(candidate)
        if len(trained) == 5:
            home.rename(away)
            if what != "renamed":
                home.mkdir()
        return fake_evaluation(candidate)

    answer_with(monkeypatch, answer)
    record = create_study(home, CONFIG)
    with pytest.raises(StorageError, match="was moved or removed while it ran") as error:
        run_search(record, on_note=notes.append)
    saw(error.value)
    assert not any("the name is free" in note for note in notes)
    assert not list(home.rglob("*.safetensors"))
    shutil.rmtree(home, ignore_errors=True)
    away.rename(home)
    answer_with(monkeypatch)
    assert run_search(resume_study(home, open_study_record(home).config)) == "done"
    front = load_results(home).front
    assert len(front) and all(weights_path(home, trial).exists() for trial in front["trial"])


@pytest.mark.fault("{trace} alone is left beside an empty study.db, then --resume", expected="exit 4")
@pytest.mark.parametrize("trace", ["report.html", "trials"])
def test_any_trace_of_trials_stops_a_study_that_would_start_anew(
    tmp_path: Path, resfront: Resfront, saw: Saw, trace: str
) -> None:
    directory = finished_study(tmp_path / "study").directory
    empty_file(directory)
    shutil.rmtree(directory / "trials")
    (directory / trace).mkdir() if trace == "trials" else (directory / trace).touch()
    done = resfront("search", "--resume", "--name", "study", "--runs", tmp_path)
    saw(f"exit {done.code}: {done.err}")
    assert done.code == 4 and trace in done.err


@pytest.mark.fault("a study killed before its first trial lost study.db", expected="goes on, nothing was lost")
def test_a_study_that_never_began_may_begin(tmp_path: Path, resfront: Resfront) -> None:
    create_study(tmp_path / "study", CONFIG)
    remove_database(tmp_path / "study")
    assert resfront("search", "--resume", "--name", "study", "--runs", tmp_path).code == 0
    assert load_results(tmp_path / "study").count("completed") == 8


@pytest.mark.fault("study.db is an older copy", expected="weights of trials that it does not know are kept")
def test_weights_of_trials_that_an_older_database_lacks_are_kept(tmp_path: Path, saw: Saw) -> None:
    record = finished_study(tmp_path / "study", with_trials(CONFIG, 4))
    older = shutil.copy(record.directory / "study.db", tmp_path / "older.db")
    more = with_trials(record.config, 8)
    run_search(resume_study(record.directory, more))
    for number in range(4, 12):  # whichever of them would be dropped or written anew
        path = weights_path(record.directory, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"of the first trial %d" % number)
    remove_database(record.directory)
    shutil.copy(older, record.directory / "study.db")
    run_search(resume_study(record.directory, more))
    left = set(contents(record.directory, "trials/**/*").values())
    kept = [number for number in range(4, 12) if b"of the first trial %d" % number in left]
    saw(f"kept of trials {kept}")
    assert kept == list(range(4, 12))


@pytest.mark.fault("study.toml is gone, then a new search of that name", expected="exit 4, nothing changed")
@pytest.mark.parametrize("what", ["study.db and trials", "trials"])
def test_a_new_study_does_not_take_the_place_of_trials(tmp_path: Path, resfront: Resfront, saw: Saw, what: str) -> None:
    directory = finished_study(tmp_path / "study").directory
    (directory / "study.toml").unlink()
    if what == "trials":
        remove_database(directory)
    before = contents(directory)
    done = resfront("search", "quick", "--name", "study", "--runs", tmp_path)
    saw(f"exit {done.code}: {done.err}")
    assert done.code == 4 and "study.toml is gone" in done.err
    assert contents(directory) == before


# --- what failed for its surroundings ---------------------------------------------------------------


def raised(error: Exception) -> Failure:
    """What the engine makes of an error in a worker."""
    failure = _outcome(error)
    assert isinstance(failure, Failure)
    return failure


SURROUNDINGS = {
    "a worker killed twice": WorkerDied("the worker died (exit code -9)"),
    "no memory": MemoryError(),
    "no memory, as torch says it": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
    "no memory on a GPU": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    "a full disk": OSError(28, "No space left on device"),
    "too many open files": RuntimeError("OSError: [Errno 24] Too many open files"),
}


@pytest.mark.fault("a trial fails for {what}, then --resume", expected="the same trial is tried again")
@pytest.mark.parametrize("what", SURROUNDINGS)
def test_what_failed_for_its_surroundings_is_tried_again(
    tmp_path: Path, resfront: Resfront, monkeypatch: pytest.MonkeyPatch, saw: Saw, what: str
) -> None:
    tried: list[str] = []

    def fails_once(candidate: Candidate) -> Answer:
        tried.append(str(candidate.spec))
        return raised(SURROUNDINGS[what]) if tried.count(tried[0]) <= 2 and tried[-1] == tried[0] else fine(candidate)

    def fine(candidate: Candidate) -> Answer:
        return fake_evaluation(candidate)

    answer_with(monkeypatch, fails_once)
    directory = finished_study(tmp_path / "study").directory
    failed = load_results(directory).trials.set_index("trial").loc[0]
    assert failed["status"] == "failed" and "--resume tries it again" in failed["reason"]
    assert resfront("status", "study", "--runs", tmp_path, "--json").json["failed"] == 1
    answer_with(monkeypatch, fine)
    assert resfront("search", "--resume", "--name", "study", "--runs", tmp_path).code == 0
    after = load_results(directory)
    saw(f"trial 0 is {after.trials['status'][0]}; {after.count('completed')} of 8 completed")
    assert after.count("completed") == 8 and after.count("failed") == 0
    again = after.trials.set_index("trial").loc[0]
    assert (again["status"], again["key"]) == ("completed", failed["key"])


@pytest.mark.fault("a trial fails for {what}, then --resume", expected="it stays failed")
@pytest.mark.parametrize(
    ("what", "failure"),
    [
        ("its own divergence", Failure(kind="diverged", reason="nan")),
        ("an error in the code", Failure(kind="error", reason="ValueError: no")),
    ],
)
def test_what_failed_for_itself_stays_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, failure: Failure
) -> None:
    asked: list[Candidate] = []

    def answer(candidate: Candidate) -> Answer:
        asked.append(candidate)
        return failure if len(asked) == 1 else fake_evaluation(candidate)

    answer_with(monkeypatch, answer)
    record = finished_study(tmp_path / "study")
    run_search(resume_study(record.directory, record.config))
    assert len(asked) == 8
    assert load_results(record.directory).trials["status"][0] == "failed"


# --- what is written before it may be --------------------------------------------------------------


@pytest.mark.fault("another process takes the study while --resume reads", expected="refused, study.toml unchanged")
def test_a_resume_that_comes_too_late_writes_nothing(tmp_path: Path) -> None:
    record = finished_study(tmp_path / "study")
    before = contents(record.directory)
    resumed = resume_study(record.directory, with_trials(record.config, 99))
    with study_lock(record.directory), pytest.raises(StorageError, match="another process"):
        run_search(resumed)
    assert contents(record.directory) == before


@pytest.mark.fault("two processes resume a study with other limits at once", expected="the later one is refused")
def test_a_resume_does_not_undo_another(tmp_path: Path) -> None:
    record = finished_study(tmp_path / "study")
    late = resume_study(record.directory, with_trials(record.config, 9))
    limited = replace(record.config, limits=LimitsConfig(max={"macs": 3e6}))
    run_search(resume_study(record.directory, limited))
    before = contents(record.directory)
    with pytest.raises(StorageError, match="meanwhile"):
        run_search(late)
    assert contents(record.directory) == before
    assert len(open_study_record(record.directory).earlier_limits) == 1


@pytest.mark.fault("two processes make a study of one name at once", expected="the later one is refused")
@pytest.mark.parametrize("moment", ["finished", "running"])
def test_two_studies_of_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saw: Saw, moment: str) -> None:
    directory = tmp_path / "study"
    sample, others = create.sample_costs, list[int]()

    def while_another_makes_it(*args: object) -> object:
        if not others:
            others.append(1)
            create_study(directory, with_trials(CONFIG, 77))
        return sample(*args)  # type: ignore[arg-type]

    if moment == "finished":
        monkeypatch.setattr(create, "sample_costs", while_another_makes_it)
        with pytest.raises(StudyExists):
            create_study(directory, CONFIG)
        assert open_study_record(directory).config.search.trials == 77
    else:
        with study_lock(directory), pytest.raises(StorageError, match="another process") as caught:
            create_study(directory, CONFIG)
        saw(caught.value)
        assert contents(directory) == {}


@pytest.mark.fault("--resume with limits that no network keeps: {limits}", expected="exit 5, study.toml unchanged")
@pytest.mark.parametrize("limits", ["macs=1000", "file_bytes=2k"])
def test_limits_that_leave_nothing_are_refused_before_they_are_written(
    tmp_path: Path, resfront: Resfront, saw: Saw, limits: str
) -> None:
    record = finished_study(tmp_path / "study")
    before = contents(record.directory)
    done = resfront("search", "--resume", "--name", "study", "--max", limits, "--runs", tmp_path)
    saw(f"exit {done.code}: {done.err}")
    assert done.code == NoFeasibleCandidate.exit_code == 5 and "nearest" in done.err
    assert "limits from now on" not in done.err
    assert contents(record.directory) == before


# --- images that have moved ------------------------------------------------------------------------


@pytest.mark.fault("--data-dir was relative, --resume from another folder", expected="goes on with the same images")
def test_a_relative_folder_of_images_is_found_from_everywhere(
    tmp_path: Path, resfront: Resfront, monkeypatch: pytest.MonkeyPatch, saw: Saw
) -> None:
    write_images(tmp_path / "home" / "pictures")
    (tmp_path / "away").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    record = finished_study(tmp_path / "study", folder_study(Path("pictures")))
    monkeypatch.chdir(tmp_path / "away")
    done = resfront("search", "--resume", "--name", "study", "--trials", 9, "--runs", tmp_path)
    saw(f"exit {done.code}, stored as {record.config.data.path}")
    assert done.code == 0, done.err
    assert load_results(tmp_path / "study").count("completed") == 9
    assert record.config.data.path == tmp_path / "home" / "pictures"


@pytest.mark.fault("the folder of images has moved: {how}", expected="accepted, and kept for later")
@pytest.mark.parametrize("how", ["--data-dir at --resume", "a TOML file at --resume"])
def test_the_same_images_elsewhere_are_accepted(tmp_path: Path, resfront: Resfront, how: str) -> None:
    finished_study(tmp_path / "study", folder_study(write_images(tmp_path / "pictures")))
    (tmp_path / "pictures").rename(tmp_path / "moved")
    lost = resfront("search", "--resume", "--name", "study", "--runs", tmp_path)
    assert lost.code == 2 and "--data-dir" in lost.err
    where: tuple[object, ...] = ("--data-dir", tmp_path / "moved")
    if how.startswith("a TOML"):
        text = (tmp_path / "study" / "study.toml").read_text().partition("[resolved]")[0]
        (tmp_path / "mine.toml").write_text(text.replace(str(tmp_path / "pictures"), str(tmp_path / "moved")))
        where = (tmp_path / "mine.toml",)
    moved = resfront("search", "--resume", "--name", "study", *where, "--trials", 9, "--runs", tmp_path)
    assert moved.code == 0, moved.err
    assert open_study_record(tmp_path / "study").config.data.path == tmp_path / "moved"
    assert resfront("search", "--resume", "--name", "study", "--trials", 10, "--runs", tmp_path).code == 0


@pytest.mark.fault("other images at --data-dir: {what}", expected="exit 2, study.toml unchanged")
@pytest.mark.parametrize("what", ["other pictures", "other class names"])
def test_other_images_elsewhere_are_refused(tmp_path: Path, resfront: Resfront, saw: Saw, what: str) -> None:
    finished_study(tmp_path / "study", folder_study(write_images(tmp_path / "pictures")))
    before = contents(tmp_path / "study")
    others = (
        write_images(tmp_path / "others", seed=1)
        if what == "other pictures"
        else write_images(tmp_path / "others", classes=("cat", "fox"))
    )
    for command in (("search", "--resume", "--name", "study"), ("export", "study", "--knee", "-o", tmp_path / "out")):
        done = resfront(*command, "--data-dir", others, "--runs", tmp_path)
        saw(f"exit {done.code}: {done.err.splitlines()[-1]}")
        assert done.code == 2 and "images of image-folder: " in done.err
    assert contents(tmp_path / "study") == before
    assert not (tmp_path / "out").exists()


@pytest.mark.fault("the images have moved, then export", expected="--data-dir names the place; the files are as before")
@pytest.mark.parametrize("where", ["on the front", "off the front, trained again"])
def test_export_finds_images_that_have_moved(
    tmp_path: Path, resfront: Resfront, monkeypatch: pytest.MonkeyPatch, without_program: None, where: str
) -> None:
    answer_with(monkeypatch, evaluate)
    config = with_trials(folder_study(write_images(tmp_path / "pictures")), 4)
    trials = load_results(finished_study(tmp_path / "study", config).directory).trials
    chosen = trials[trials["front"] == (where == "on the front")]
    number = int(chosen["trial"].iloc[0])
    (tmp_path / "pictures").rename(tmp_path / "moved")
    images_of_workers.cache_clear()
    command = ("export", "study", "--trial", number, "-o", tmp_path / "out", "--runs", tmp_path)
    lost = resfront(*command)
    assert lost.code == 2 and "--data-dir" in lost.err
    done = resfront(*command, "--data-dir", tmp_path / "moved")
    assert done.code == 0, done.err
    assert "classes: cat, dog" in (tmp_path / "out" / "card.md").read_text()


# --- a reader that meets an error ------------------------------------------------------------------


def break_a_time(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE trials SET datetime_complete = 'yesterday' WHERE number = 5")


def break_an_outcome(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE trial_user_attributes SET value_json = '[1]' WHERE trial_id = 6 AND key = 'outcome'")


def break_the_json(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE trial_user_attributes SET value_json = '{' WHERE trial_id = 6 AND key = 'outcome'")


def break_confirmations(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO study_user_attributes (study_id, key, value_json) VALUES (1, 'confirmations', '3')")


@pytest.mark.fault("{damage} while a reader follows the study", expected="said in one line; read whole once mended")
@pytest.mark.parametrize("damage", [break_a_time, break_an_outcome, break_the_json, break_confirmations])
def test_a_reader_loses_nothing_by_an_error(
    tmp_path: Path, saw: Saw, damage: Callable[[sqlite3.Connection], None]
) -> None:
    directory = finished_study(tmp_path / "study").directory
    database = directory / "study.db"
    whole = database.read_bytes()
    with changed(database) as connection:
        connection.execute("DELETE FROM trials WHERE number >= 5")
    follower, reader = StudyDatabase(database), StudyReader(directory)
    assert len(follower.read_new()) == len(reader.read().trials) == 5
    database.write_bytes(whole)  # the same file, with three trials more
    with changed(database) as connection:
        damage(connection)
    with suppress(StorageError):
        follower.read_new()
    with pytest.raises(StorageError) as caught:
        reader.read()
    saw(caught.value)
    database.write_bytes(whole)
    assert [trial.number for trial in follower.read_new()] == [5, 6, 7]
    assert reader.read().trials["trial"].tolist() == list(range(8)) and reader.read().count("completed") == 8


@contextmanager
def changed(database: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(database)) as connection:
        with connection:
            yield connection
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.mark.fault(
    "limits narrow on resume ({most}), then widen again", expected="weights of the first front are there"
)
@pytest.mark.parametrize("most", ["so that nothing is left", "so that some are left"])
def test_narrower_limits_delete_no_weights(tmp_path: Path, saw: Saw, most: str) -> None:
    config = with_trials(CONFIG, 12)
    subject = coordinator(tmp_path, config)
    subject.run()
    macs = sorted(t.values["macs"] for t in subject.state.completed if t.number in subject.state.front)
    assert len(macs) > 1
    before = contents(tmp_path, "trials/**/*")
    limit = macs[0] * (0.5 if most == "so that nothing is left" else 1.0)
    narrow = coordinator(tmp_path, replace(config, limits=LimitsConfig(max={"macs": limit})))
    assert len(narrow.state.front) == (0 if most == "so that nothing is left" else 1)
    assert contents(tmp_path, "trials/**/*") == before
    coordinator(tmp_path, config)
    assert contents(tmp_path, "trials/**/*") == before
    saw(f"{len(before)} weights, as before")
