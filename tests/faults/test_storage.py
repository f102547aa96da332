"""Disks, databases, memory and streams that fail: one line, exit code 4, and what is finished is kept."""

import errno
import itertools
import json
import os
import pwd
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from runners.datasets.cache import cache_root
from runners.storage.study_files import DATABASE, StorageError, open_study, study_lock, weights_path, write_atomically
from studies.launch.run import run_search
from studies.results.reading import load_results
from studies.study.record import open_study_record
from tests.runners.engines.fake_engine import FakeEngine, fake_evaluation
from tests.studies.command import Outcome, Resfront, run_main
from tests.studies.synthetic import write_study

from .commands import Ended, resfront_process
from .conftest import Saw

TRIALS = 12


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("made-up") / "drone"
    write_study(directory, trials=TRIALS)
    return directory


@pytest.fixture
def drone(made_up: Path, tmp_path: Path) -> Path:
    """A study of which all trials have ended; its weights are none."""
    directory = shutil.copytree(made_up, tmp_path / "drone")
    for number in load_results(directory).front["trial"]:
        write_atomically(weights_path(directory, number), b"weights")
    return directory


@pytest.fixture
def resfront(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Resfront:
    return lambda *arguments: run_main(capsys, monkeypatch, arguments)


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Callable[[Path], Path]]:
    """Makes a directory read-only, until the test is over."""
    paths = []

    def lock(path: Path) -> Path:
        paths.append(path)
        path.chmod(0o555)
        return path

    yield lock
    for path in paths:
        path.chmod(0o755)


def assert_is_one_line(done: Ended | Outcome, *words: str, code: int = 4) -> None:
    assert "Traceback" not in done.err, done.err
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and done.err.rstrip().endswith(errors[0]), done.err
    assert done.code == code, done.err
    for word in words:
        assert word in errors[0]


# --- files that cannot be written -----------------------------------------------------------------


@pytest.mark.fault("{command} in a study that may only be read", expected="one line, exit 4")
@pytest.mark.parametrize("command", ["report", "search --resume --name"])
def test_a_directory_that_may_only_be_read(command: str, drone: Path, locked: Callable[[Path], Path], saw: Saw) -> None:
    done = resfront_process(*command.split(), "drone", "--runs", locked(drone).parent, may_override=False)
    saw(done)
    assert_is_one_line(done, str(drone), "Permission denied")


@pytest.mark.fault("a new study where nothing may be written", expected="one line, exit 4")
def test_runs_that_may_only_be_read(tmp_path: Path, locked: Callable[[Path], Path], saw: Saw) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    done = resfront_process("search", "quick", "--runs", locked(runs), may_override=False)
    saw(done)
    assert_is_one_line(done, "Permission denied")


@pytest.mark.fault("{command}, where {place}", expected="one line before any work, exit 4, no trace")
@pytest.mark.parametrize(
    ("command", "place"),
    [
        *itertools.product(
            ["export", "compare", "search", "calibrate"], ["a file stands in the way", "the name is too long"]
        ),
        ("export", "nobody may write"),
    ],
)
def test_an_output_that_cannot_be_written_is_known_before_the_work(
    command: str, place: str, drone: Path, tmp_path: Path, locked: Callable[[Path], Path], resfront: Resfront, saw: Saw
) -> None:
    (tmp_path / "taken").write_text("")
    (tmp_path / "mine").mkdir()
    output = {
        "a file stands in the way": tmp_path / "taken" / "new",
        "nobody may write": locked(tmp_path / "mine") / "new" / "one",
        "the name is too long": tmp_path / ("n" * 300) / "new",
    }[place]
    before = sorted(tmp_path.rglob("*"))
    arguments = {
        "export": ["drone", "--knee", "--runs", drone.parent, "-o", output],
        "compare": ["--references", "resnet20", "--devices", "rpi4", "-o", output],
        "search": ["quick", "--name", "new", "--runs", output],
        "calibrate": ["quick", "-o", output],
    }[command]
    done = (
        resfront_process(command, *arguments, may_override=False)  # root may write everywhere
        if place == "nobody may write"
        else resfront(command, *arguments)
    )
    saw(done)
    assert_is_one_line(done, str(tmp_path))
    assert "timed" not in done.err and "trial" not in done.err and done.out == ""
    assert sorted(path for path in tmp_path.rglob("*") if "study.db" not in path.name) == [
        path for path in before if "study.db" not in path.name
    ]


@pytest.mark.fault("the disk is full when the report is written", expected="exit 4; no part of a report is left")
def test_a_report_that_does_not_fit(drone: Path, saw: Saw) -> None:
    before = {path.name for path in drone.iterdir()}
    done = resfront_process("report", "drone", "--runs", drone.parent, limits={resource.RLIMIT_FSIZE: 300_000})
    saw(done)
    assert_is_one_line(done, "report.html: cannot be written")
    assert {path.name for path in drone.iterdir()} == before


@pytest.mark.fault(
    "the disk is full when a complete study's report is due", expected="exit 4: it is complete; front shown"
)
def test_a_complete_study_without_a_report_says_so(
    drone: Path, resfront: Resfront, monkeypatch: pytest.MonkeyPatch, saw: Saw
) -> None:
    def full(path: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("studies.launch.run.run_search", lambda *_, **options: "done")
    monkeypatch.setattr("studies.launch.start.resumed_study", lambda *_: open_study_record(drone))
    monkeypatch.setattr(Path, "write_bytes", full)
    done = resfront("search", "--resume", "--name", "drone", "--runs", drone.parent)
    saw(f"exit {done.code}: {done.err.splitlines()[-1]}")
    assert_is_one_line(done, "study drone is complete", "report", "No space left on device")
    assert "network" in done.out and "resfront export drone" in done.out


@pytest.mark.fault("the disk is full in the middle of a search", expected="exit 4; finished trials stay as they are")
def test_a_database_that_cannot_grow(drone: Path, monkeypatch: pytest.MonkeyPatch, saw: Saw) -> None:
    """SQLite itself refuses to grow, as on a full disk."""
    before = load_results(drone).trials
    monkeypatch.setattr("studies.launch.run.make_engine", lambda config: FakeEngine(slots=1, answer=fake_evaluation))
    with closing(sqlite3.connect(drone / DATABASE)) as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()

    def limit_size(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"PRAGMA max_page_count={pages + 2}")

    monkeypatch.setattr("runners.storage.study_files._set_pragmas", limit_size)
    record = open_study_record(drone)
    search = replace(record.config.search, trials=200)
    with pytest.raises(StorageError, match=r"database or disk is full.*") as caught:
        run_search(replace(record, config=replace(record.config, search=search)))
    saw(caught.value)
    assert "go on with --resume" in str(caught.value) and caught.value.exit_code == 4
    after = load_results(drone).trials.head(len(before))
    assert after[["key", "status", "accuracy", "finished"]].equals(before[["key", "status", "accuracy", "finished"]])


# --- files that cannot be read --------------------------------------------------------------------


@pytest.mark.fault("the study's lock is a directory", expected="one line, exit 4")
def test_a_lock_that_is_a_directory(drone: Path, saw: Saw) -> None:
    (drone / "lock").unlink(missing_ok=True)
    (drone / "lock").mkdir()
    with pytest.raises(StorageError, match="lock: cannot be locked: Is a directory") as caught, study_lock(drone):
        pass
    saw(caught.value)


@pytest.mark.fault("the study belongs to somebody else", expected="one line, exit 4")
def test_a_directory_that_may_not_be_read(drone: Path, saw: Saw) -> None:
    drone.chmod(0o000)
    try:
        done = resfront_process("status", "drone", "--runs", drone.parent, may_override=False)
    finally:
        drone.chmod(0o755)
    saw(done)
    assert_is_one_line(done, "cannot be read", "Permission denied")


@pytest.mark.fault("study.db of a newer Optuna", expected="exit 4, names the versions")
def test_a_newer_schema(drone: Path, saw: Saw) -> None:
    _change(drone, "UPDATE alembic_version SET version_num = 'v99.0.0.a'")
    with pytest.raises(StorageError, match="another version of optuna") as caught:
        open_study(drone, open_study_record(drone).config.optimised)
    saw(caught.value)


DAMAGES = {
    "an attribute is no JSON": "UPDATE trial_user_attributes SET value_json = '{bad' WHERE key = 'outcome'",
    "an attribute is of another type": "UPDATE trial_user_attributes SET value_json = '[1]' WHERE key = 'outcome'",
    "a distribution is unknown": "UPDATE trial_params SET distribution_json = '{\"name\": 1}'",
}


@pytest.mark.fault("study.db: {damage}; status and --resume", expected="one line that names study.db, exit 4")
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_database(
    damage: str, drone: Path, resfront: Resfront, monkeypatch: pytest.MonkeyPatch, saw: Saw
) -> None:
    _change(drone, DAMAGES[damage])
    done = resfront("status", "drone", "--runs", drone.parent)
    assert_is_one_line(done, "database" if "type" in damage else "study.db")
    monkeypatch.setattr("studies.launch.run.make_engine", lambda config: FakeEngine(slots=1, answer=fake_evaluation))
    record = open_study_record(drone)
    with pytest.raises(StorageError, match=r"study\.db") as caught:
        run_search(record)
    saw(f"{done.err}; {caught.value}")


@pytest.mark.fault("export with {damage} weights", expected="one line that names the file, exit 4; nothing is written")
@pytest.mark.parametrize("damage", ["truncated", "empty", "unreadable"])
def test_weights_that_are_damaged(damage: str, drone: Path, resfront: Resfront, tmp_path: Path, saw: Saw) -> None:
    number = int(load_results(drone).front["trial"].iloc[0])
    weights = weights_path(drone, number)
    weights.unlink()
    if damage == "unreadable":
        weights.mkdir()
    else:
        weights.write_bytes(b"\x10\0\0\0\0\0\0\0{" if damage == "truncated" else b"")
    done = resfront("export", "drone", "--trial", number, "-o", tmp_path / "out", "--runs", drone.parent)
    saw(f"exit {done.code}: {done.err.splitlines()[-1]}")
    assert_is_one_line(done, str(weights))
    assert not (tmp_path / "out").exists()


# --- what the machine lacks -----------------------------------------------------------------------


@pytest.mark.fault(
    "no home directory and an unknown user", expected="exit 4 that names RESFRONT_DATA; results are shown"
)
def test_a_user_without_a_home(drone: Path, resfront: Resfront, monkeypatch: pytest.MonkeyPatch, saw: Saw) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("RESFRONT_DATA", raising=False)
    with pytest.raises(StorageError, match="RESFRONT_DATA") as caught:
        cache_root()
    saw(caught.value)
    assert resfront("status", "drone", "--runs", drone.parent).code == 0
    assert_is_one_line(resfront("calibrate"), "RESFRONT_DATA")


@pytest.mark.fault("{files} open files are allowed", expected="{expected}")
@pytest.mark.parametrize(("files", "expected"), [(12, "one line, exit 4"), (40, "it does with them")])
def test_few_descriptors(files: int, expected: str, drone: Path, saw: Saw) -> None:
    done = resfront_process("status", "drone", "--runs", drone.parent, limits={resource.RLIMIT_NOFILE: files})
    saw(done)
    if files == 12:
        assert_is_one_line(done, "12 files may be open", "ulimit -n")
    else:
        assert done.code == 0, done.err


LACKS: dict[str, Exception] = {
    "MemoryError": MemoryError(),
    "torch's allocator": RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
    "no thread": RuntimeError("can't start new thread"),
    "a library that cannot be mapped": ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    "too many open files": OSError(errno.EMFILE, os.strerror(errno.EMFILE), "images"),
    "/dev/shm is full": OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    "/dev/shm is read-only": OSError(errno.EROFS, os.strerror(errno.EROFS), "/dev/shm"),
    "the database's disk": sqlite3.OperationalError("disk I/O error"),
}


@pytest.mark.fault("a command fails by: {lack}", expected="one line, exit 4")
@pytest.mark.parametrize("lack", LACKS)
def test_what_the_machine_lacks(
    lack: str, resfront: Resfront, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saw: Saw
) -> None:
    def fail(directory: Path) -> None:
        raise LACKS[lack]

    monkeypatch.setattr("studies.results.reading.load_results", fail)
    done = resfront("status", "drone", "--runs", tmp_path)
    saw(f"exit {done.code}: {done.err}")
    assert_is_one_line(done)


@pytest.mark.fault("a bug: {error}", expected="a traceback")
@pytest.mark.parametrize("error", [KeyError("x"), RuntimeError("shapes differ"), ValueError("negative")], ids=repr)
def test_a_bug_keeps_its_traceback(
    error: Exception, resfront: Resfront, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(directory: Path) -> None:
        raise error

    monkeypatch.setattr("studies.results.reading.load_results", fail)
    with pytest.raises(type(error)):
        resfront("status", "drone", "--runs", tmp_path)


# --- streams --------------------------------------------------------------------------------------


@pytest.mark.fault("{command} > /dev/full", expected="one line, exit 4")
@pytest.mark.parametrize("command", ["references", "status drone --json", "--help"])
@pytest.mark.parametrize("is_buffered", [True, False])
def test_a_full_stdout(command: str, is_buffered: bool, drone: Path, saw: Saw) -> None:
    runs = ["--runs", drone.parent] if "drone" in command else []
    environment = {"PYTHONUNBUFFERED": "" if is_buffered else "1"}
    done = resfront_process(*command.split(), *runs, stdout=Path("/dev/full"), environment=environment)
    saw(done)
    assert_is_one_line(done, "stdout: No space left on device")


@pytest.mark.fault("the reader of stdout has gone", expected="silence, and the exit code that a shell gives")
@pytest.mark.parametrize("command", ["references", "references --json"])
def test_a_closed_stdout(command: str, tmp_path: Path, saw: Saw) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = resfront_process(*command.split(), stdout=Path(f"/dev/fd/{writer}"))
    finally:
        os.close(writer)
    saw(done)
    assert done.code == 141 and done.err == ""


@pytest.mark.fault("a pipe breaks that is not stdout: {where}", expected="one line, exit 4")
@pytest.mark.parametrize("where", ["in a command", "in the server of the workers"])
def test_another_broken_pipe_is_no_closed_stdout(
    where: str, resfront: Resfront, drone: Path, monkeypatch: pytest.MonkeyPatch, saw: Saw
) -> None:
    def fail(*_: object) -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    if where == "in a command":
        monkeypatch.setattr("studies.results.reading.load_results", fail)
        done = resfront("status", "drone", "--runs", drone.parent)
    else:
        monkeypatch.setattr("studies.launch.run.make_engine", fail)
        done = resfront("search", "--resume", "--name", "drone", "--trials", TRIALS + 1, "--runs", drone.parent)
    saw(f"exit {done.code}: {done.err.splitlines()[-1]}")
    assert_is_one_line(done, "Broken pipe")


@pytest.mark.fault("stderr is full", expected="the data on stdout all the same")
def test_a_full_stderr(drone: Path, saw: Saw) -> None:
    command = f"{sys.executable} -m studies.cli status drone --json --runs {drone.parent} 2>/dev/full"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0 and json.loads(done.stdout)["name"] == "drone"
    failing = command.replace("drone", "nobody")
    assert subprocess.run(failing, shell=True, capture_output=True, timeout=100, check=False).returncode == 3
    saw("data, and the exit code of an error")


def _change(directory: Path, statement: str) -> None:
    with closing(sqlite3.connect(directory / DATABASE)) as connection:
        connection.execute(statement)
        connection.commit()
