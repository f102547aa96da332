"""Exports that the dashboard starts: a stand-in for the command, real processes and a real directory."""

import io
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from search_space.errors import UserError
from studies.dashboard import exports
from studies.dashboard.exports import ALWAYS, CannotExport, Exporter, ExportJob
from studies.study.config import ConfigError
from studies.study.record import StudyNotFound

WRITES = f"""
import pathlib, sys
print("trial 3: a network\\n", file=sys.stderr, flush=True)
output = pathlib.Path(sys.argv[1])
output.mkdir(parents=True)
for name in {ALWAYS!r}:
    (output / name).write_text(name * 3)
print(output)
"""
WAITS = """
import pathlib, sys, time
try:
    print("training ...", file=sys.stderr, flush=True)  # whoever reads it may interrupt at once
    while not pathlib.Path(sys.argv[1] + ".go").exists():
        time.sleep(0.02)
except KeyboardInterrupt:
    time.sleep(0.3)
    pathlib.Path(sys.argv[1] + ".tidied").touch()
    raise
"""
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(f"child {child.pid}", file=sys.stderr, flush=True)
time.sleep(60)
"""
Stub = Callable[[str], None]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A directory with two studies, as far as an exporter looks at them."""
    for name in ("drone", "other"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "study.toml").touch()
    return tmp_path / "runs"


@pytest.fixture
def exporter(runs: Path) -> Iterator[Exporter]:
    exporter = Exporter(runs)
    yield exporter
    exporter.close()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Stub:
    """Puts a program, which is given the directory, in the place of `resfront export`."""

    def put(program: str) -> None:
        monkeypatch.setattr(
            exports, "export_command", lambda name, trial, to, runs: [sys.executable, "-c", program, str(to)]
        )

    return put


def until(condition: Callable[[], Any], seconds: float = 90) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)
    return found


def ended(exporter: Exporter, name: str = "drone", trial: int = 3) -> ExportJob:
    def look() -> ExportJob | None:
        job = exporter.job(name, trial)
        return job if job is None or job.state != "running" else None

    return until(look)


def write_export(directory: Path, names: tuple[str, ...] = ALWAYS) -> None:
    directory.mkdir(parents=True)
    for name in names:
        (directory / name).write_text(f"old {name}")


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


# --- what is run ----------------------------------------------------------------------------------


def test_the_command_is_that_of_the_command_line(runs: Path) -> None:
    command = exports.export_command("drone", 35, runs / "drone" / "exports" / "trial-00035", runs)
    assert command == [
        *(sys.executable, "-P", "-m", "studies.cli", "export", "drone", "--trial", "35"),
        *("-o", f"{runs}/drone/exports/trial-00035", "--runs", str(runs)),
    ]


def test_the_command_line_knows_it_and_its_complaint_is_shown(
    exporter: Exporter, runs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The real command, on a study that holds nothing; a folder `studies` where it is started does not matter."""
    (tmp_path / "here" / "studies").mkdir(parents=True)
    (tmp_path / "here" / "studies" / "__init__.py").write_text("raise SystemExit('the wrong package')")
    monkeypatch.chdir(tmp_path / "here")
    exporter.start("drone", 3)
    job = ended(exporter)
    assert job.state == "failed"
    assert job.problem == f"{runs}/drone/study.toml: damaged: its table [resolved], which the program wrote, is missing"


# --- one export -----------------------------------------------------------------------------------


def test_an_export_from_start_to_end(exporter: Exporter, runs: Path, run: Stub) -> None:
    run(WRITES)
    directory = runs / "drone" / "exports" / "trial-00003"
    assert exporter.job("drone", 3) is None
    job = exporter.start("drone", 3)
    assert (job.name, job.trial, job.state, job.directory, job.files) == ("drone", 3, "running", directory, ())
    job = ended(exporter)
    assert (job.state, job.problem, job.lines) == ("done", "", ("trial 3: a network",))
    assert job.files == tuple((name, 3 * len(name)) for name in sorted(ALWAYS))


def test_progress_is_there_while_it_runs(exporter: Exporter, runs: Path, run: Stub) -> None:
    run(WAITS)
    exporter.start("drone", 3)

    def first() -> Any:
        job = exporter.job("drone", 3)
        return job if job and job.lines else None

    job = until(first)
    assert (job.state, job.lines) == ("running", ("training ...",))


def test_only_the_last_lines_are_kept(exporter: Exporter, run: Stub) -> None:
    run("import sys\nfor i in range(1000): print(i, 'x' * 1000, '', file=sys.stderr)\nsys.exit(2)")
    exporter.start("drone", 3)
    job = ended(exporter)
    assert [line.split()[0] for line in job.lines] == [str(i) for i in range(980, 1000)]
    assert {len(line) for line in job.lines} == {500}


@pytest.mark.parametrize(
    ("program", "problem"),
    [
        ("print('reading', file=sys.stderr); print('error: no trial 3; the last is 2', file=sys.stderr); sys.exit(3)",
         "no trial 3; the last is 2"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("sys.exit(4)", "the export ended with exit code 4"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "the export was ended from outside (SIGKILL)"),
        ("sys.stderr.buffer.write(b'error: \\xff\\xe9'); sys.exit(2)", "\ufffd\ufffd"),
    ],
)  # fmt: skip
def test_what_went_wrong(exporter: Exporter, run: Stub, program: str, problem: str) -> None:
    run(f"import sys\n{program}")
    exporter.start("drone", 3)
    job = ended(exporter)
    assert (job.state, job.problem, job.files) == ("failed", problem, ())


def test_after_a_failure_it_may_be_tried_again(exporter: Exporter, run: Stub) -> None:
    run("import sys; sys.exit(2)")
    exporter.start("drone", 3)
    assert ended(exporter).state == "failed"
    run(WRITES)
    assert exporter.start("drone", 3).state == "running"
    assert ended(exporter).state == "done"


def test_a_command_that_is_not_there(exporter: Exporter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "export_command", lambda *args: ["/no/such/python"])
    with pytest.raises(CannotExport, match="cannot be started"):
        exporter.start("drone", 3)
    assert exporter.job("drone", 3) is None


def test_it_runs_at_low_priority_in_its_own_session(exporter: Exporter, run: Stub) -> None:
    run("import os, sys, time; print(os.getsid(0) == os.getpid(), file=sys.stderr, flush=True); time.sleep(60)")
    exporter.start("drone", 3)
    (child,) = children()
    assert child.nice() == min(psutil.Process().nice() + 10, 19)
    until(lambda: (job := exporter.job("drone", 3)) and job.lines == ("True",))


def children(recursive: bool = False) -> list[psutil.Process]:
    """Exports that run; multiprocessing keeps helpers of its own, once another test has started them."""
    alive = [c for c in psutil.Process().children(recursive) if c.is_running() and c.status() != psutil.STATUS_ZOMBIE]
    return [child for child in alive if "multiprocessing" not in str(child.cmdline())]


# --- several exports ------------------------------------------------------------------------------


def test_the_same_export_runs_once(exporter: Exporter, run: Stub) -> None:
    run(WAITS)
    assert exporter.start("drone", 3).state == exporter.start("drone", 3).state == "running"
    assert len(children()) == 1


def test_two_at_once_and_a_third_is_refused_in_words(exporter: Exporter, runs: Path, run: Stub) -> None:
    run(WAITS)
    exporter.start("drone", 3)
    exporter.start("other", 7)
    with pytest.raises(CannotExport, match=r"^trial 3 of drone and trial 7 of other are being exported; wait until"):
        exporter.start("drone", 4)
    assert exporter.job("drone", 4) is None
    (runs / "drone" / "exports").mkdir()
    (runs / "drone" / "exports" / "trial-00003.go").touch()
    until(lambda: exporter.job("drone", 3) is None)
    assert exporter.start("drone", 4).state == "running"


# --- what is there already ------------------------------------------------------------------------


def test_a_complete_export_is_done_at_once_and_left_alone(exporter: Exporter, runs: Path, run: Stub) -> None:
    run("raise SystemExit('it must not be started')")
    write_export(runs / "drone" / "exports" / "trial-00003")
    job = exporter.start("drone", 3)
    assert job == exporter.job("drone", 3)
    assert (job.state, job.lines) == ("done", ("exported already",))
    assert job.files == tuple((name, 4 + len(name)) for name in sorted(ALWAYS))


@pytest.mark.parametrize("missing", ALWAYS)
def test_an_incomplete_one_is_not_touched(exporter: Exporter, runs: Path, run: Stub, missing: str) -> None:
    run(WRITES)
    names = tuple(name for name in ALWAYS if name != missing)
    write_export(runs / "drone" / "exports" / "trial-00003", names)
    assert exporter.job("drone", 3) is None
    with pytest.raises(CannotExport, match="trial-00003 is there, but it is no complete export; move it away"):
        exporter.start("drone", 3)


def test_an_export_that_was_removed_may_be_made_again(exporter: Exporter, runs: Path, run: Stub) -> None:
    run(WRITES)
    exporter.start("drone", 3)
    directory = ended(exporter).directory
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()
    assert exporter.job("drone", 3) is None
    exporter.start("drone", 3)
    assert ended(exporter).state == "done"


# --- what a request may ask for -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", ".", "..", "../runs/drone", "drone/", "/etc", "drone\n", "-o", "a" * 101, "\0"])
def test_names_that_are_none(exporter: Exporter, run: Stub, name: str) -> None:
    run(WRITES)
    for ask in (exporter.start, exporter.job, exporter.archive):
        with pytest.raises(ConfigError):
            ask(name, 3)


@pytest.mark.parametrize("trial", [-1, 10**6, 3.0, "3", "../x", None, True, [3]])
def test_trials_that_are_none(exporter: Exporter, run: Stub, trial: Any) -> None:
    run(WRITES)
    for ask in (exporter.start, exporter.job, exporter.archive):
        with pytest.raises(CannotExport, match="choose a network of a study"):
            ask("drone", trial)


@pytest.mark.parametrize("name", [None, 3, ["drone"]])
def test_names_that_are_no_text(exporter: Exporter, name: Any) -> None:
    with pytest.raises(UserError, match="choose a network of a study"):
        exporter.start(name, 3)


def test_a_directory_that_is_no_study(exporter: Exporter, runs: Path, run: Stub) -> None:
    run(WRITES)
    (runs / "notes").mkdir()
    with pytest.raises(StudyNotFound, match="no study 'notes'"):
        exporter.start("notes", 3)
    assert list((runs / "notes").iterdir()) == []


@pytest.mark.parametrize("link", ["exports", "exports/trial-00003", "dangling", "circle"])
def test_links_that_lead_out_of_the_study(exporter: Exporter, runs: Path, run: Stub, tmp_path: Path, link: str) -> None:
    run(WRITES)
    elsewhere = tmp_path / "elsewhere"
    write_export(elsewhere / "trial-00003")
    study = runs / "drone"
    if link == "exports":
        (study / "exports").symlink_to(elsewhere)
    elif link == "circle":
        (study / "exports").symlink_to(study / "exports")
    else:
        (study / "exports").mkdir()
        target = elsewhere / ("new" if link == "dangling" else "trial-00003")
        (study / "exports" / "trial-00003").symlink_to(target)
    for ask in (exporter.start, exporter.job, exporter.archive):
        with pytest.raises(CannotExport, match="leads out of the study by a symbolic link"):
            ask("drone", 3)
    assert {path.name for path in elsewhere.iterdir()} == {"trial-00003"}


def test_a_study_may_be_a_link_itself(runs: Path, run: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On another disk, say; and the runs directory may be a relative path."""
    run(WRITES)
    (runs / "drone").rename(tmp_path / "big disk")
    (runs / "drone").symlink_to(tmp_path / "big disk")
    exporter = Exporter(Path(os.path.relpath(runs)))
    monkeypatch.chdir(runs)
    exporter.start("drone", 3)
    assert ended(exporter).directory == tmp_path / "big disk" / "exports" / "trial-00003"


# --- the archive ----------------------------------------------------------------------------------


def test_the_archive_holds_the_regular_files_only(exporter: Exporter, runs: Path, tmp_path: Path) -> None:
    directory = runs / "drone" / "exports" / "trial-00003"
    write_export(directory, (*ALWAYS, "model.int8.onnx"))
    (tmp_path / "secret").write_text("secret")
    (directory / "link").symlink_to(tmp_path / "secret")
    (directory / "folder").mkdir()
    (directory / "folder" / "file").touch()
    os.mkfifo(directory / "pipe")
    os.utime(directory / "card.md", (0, 0))  # before the first year of zip files
    with zipfile.ZipFile(io.BytesIO(exporter.archive("drone", 3))) as archive:
        assert archive.testzip() is None
        found = {name: archive.read(name).decode() for name in archive.namelist()}
    assert found == {f"drone-trial-00003/{name}": f"old {name}" for name in (*ALWAYS, "model.int8.onnx")}
    job = exporter.job("drone", 3)
    assert job and set(dict(job.files)) == {*ALWAYS, "model.int8.onnx"}


def test_files_that_are_links_do_not_count(exporter: Exporter, runs: Path, tmp_path: Path) -> None:
    directory = runs / "drone" / "exports" / "trial-00003"
    write_export(directory)
    (directory / "spec.json").unlink()
    (tmp_path / "secret").write_text("secret")
    (directory / "spec.json").symlink_to(tmp_path / "secret")
    with pytest.raises(CannotExport, match="not exported yet"):
        exporter.archive("drone", 3)


def test_there_is_no_archive_before_the_export(exporter: Exporter, run: Stub) -> None:
    run(WAITS)
    exporter.start("drone", 3)
    with pytest.raises(CannotExport, match="trial 3 of drone is not exported yet"):
        exporter.archive("drone", 3)


# --- the end --------------------------------------------------------------------------------------


def test_closing_interrupts_so_that_exports_tidy_up(
    exporter: Exporter, runs: Path, run: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "PATIENCE_S", 60)  # a busy machine tidies up slowly
    run(WAITS)
    (runs / "drone" / "exports").mkdir()
    exporter.start("drone", 3)
    until(lambda: (job := exporter.job("drone", 3)) and job.lines)
    (child,) = children()
    exporter.close()
    assert not alive(child.pid)
    assert (runs / "drone" / "exports" / "trial-00003.tidied").exists()
    assert ended(exporter).state == "failed"
    with pytest.raises(CannotExport, match="closing"):
        exporter.start("drone", 4)
    exporter.close()


def test_closing_kills_what_does_not_stop(exporter: Exporter, run: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what it has started itself."""
    monkeypatch.setattr(exports, "PATIENCE_S", 0.3)
    run(STUBBORN)
    exporter.start("drone", 3)
    until(lambda: (job := exporter.job("drone", 3)) and job.lines)
    family = [child.pid for child in children(recursive=True)]
    assert len(family) == 2
    exporter.close()
    until(lambda: not any(alive(pid) for pid in family), 5)
    assert ended(exporter).problem == f"child {family[1]}" or "SIGKILL" in ended(exporter).problem


DASHBOARD = """
import pathlib, sys, time
from studies.dashboard import exports
program = '''
import sys, time
print("started", file=sys.stderr, flush=True)
while True:
    time.sleep(0.1)
    print("at work", file=sys.stderr, flush=True)
'''
exports.export_command = lambda name, trial, to, runs: [sys.executable, "-c", program]
exporter = exports.Exporter(pathlib.Path(sys.argv[1]))
exporter.start("drone", 3)
while not exporter.job("drone", 3).lines:
    time.sleep(0.01)
print(exporter._started["drone", 3]._process.pid, flush=True)
time.sleep(60)
"""


def test_when_the_dashboard_is_killed_an_export_ends_at_its_next_line(runs: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", DASHBOARD, str(runs)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert alive(pid)
        process.send_signal(signal.SIGKILL)
    until(lambda: not alive(pid), 10)
