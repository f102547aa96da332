"""How does a network leave the dashboard? By `resfront export` in a process of its own, into the study's `exports/`.

It runs at low priority, so that a search goes on nearly undisturbed. It never outlives `Exporter.close`. If the
dashboard is killed outright, nobody reads what it says any more: it ends at its next line, or it was past the last
and finishes. Either way its directory is there whole or not at all.
"""

import io
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from search_space.errors import UserError

from ..study.record import STUDY_FILE, StudyNotFound, study_directory

State = Literal["running", "done", "failed"]
ALWAYS = ("card.md", "spec.json", "weights.safetensors")
"""A directory without one of these is no export. Any of the models may have been left out, and what runs them."""
MAX_RUNNING = 2
NICENESS = 10
KEPT_LINES, LINE_LENGTH = 20, 500
PATIENCE_S = 3.0
"""How long an export may take to stop."""


class CannotExport(UserError):
    """This network cannot be exported from here, or not now."""

    exit_code = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportJob:
    """How an export stands at one moment."""

    name: str
    trial: int
    state: State
    directory: Path
    lines: tuple[str, ...] = ()
    """The last that it said."""
    problem: str = ""
    """Why it failed, in one line."""
    files: tuple[tuple[str, int], ...] = ()
    """Names and sizes in bytes, once it is done."""


class Exporter:
    """The exports of one runs directory; may be used by several threads."""

    def __init__(self, runs: Path) -> None:
        self._runs = runs.resolve()
        self._started: dict[tuple[str, int], _Process] = {}
        self._lock = threading.Lock()
        self._closed = False

    def start(self, name: str, trial: int) -> ExportJob:
        """Export a network, unless it is being exported or was; an existing directory is never written to.

        Raises CannotExport (also when there are too many at once), ConfigError for a bad name, and StudyNotFound.
        """
        directory = self._directory(name, trial)
        with self._lock:
            job = self._job(name, trial, directory)
            if job is not None and job.state != "failed":
                return job
            if directory.exists() and any(directory.iterdir()):
                raise CannotExport(f"{directory} is there, but it is no complete export; move it away")
            running = [f"trial {key[1]} of {key[0]}" for key, process in self._started.items() if process.is_running]
            if len(running) >= MAX_RUNNING:
                raise CannotExport(f"{' and '.join(running)} are being exported; wait until one is done")
            if self._closed:
                raise CannotExport("the dashboard is closing")
            command = export_command(name, trial, directory, self._runs)
            process = self._started[name, trial] = _Process(command)
            return ExportJob(name=name, trial=trial, state="running", directory=directory, lines=process.lines)

    def job(self, name: str, trial: int) -> ExportJob | None:
        """The export of this network, also one of an earlier time; None where there is none. Raises as `start`."""
        directory = self._directory(name, trial)
        with self._lock:
            return self._job(name, trial, directory)

    def archive(self, name: str, trial: int) -> bytes:
        """A zip file of what was exported, in one folder; raises CannotExport where it is not (yet) there."""
        directory = self._directory(name, trial)
        if not _is_complete(directory):
            raise CannotExport(f"trial {trial} of {name} is not exported yet")
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
            for path in _files(directory):
                archive.write(path, f"{name}-{directory.name}/{path.name}")
        return content.getvalue()

    def close(self) -> None:
        """End what is still running; returns when it has ended."""
        with self._lock:
            self._closed = True
            running = [process for process in self._started.values() if process.is_running]
        for process in running:
            process.ask_to_stop()
        deadline = time.monotonic() + PATIENCE_S
        for process in running:
            process.end(deadline)

    def _directory(self, name: str, trial: int) -> Path:
        """Where this network goes, after checking that it is in the study and nowhere else."""
        if not isinstance(name, str) or isinstance(trial, bool) or not isinstance(trial, int) or not 0 <= trial < 10**6:
            raise CannotExport(f"trial {trial!r} of {name!r}: choose a network of a study")
        study = study_directory(name, self._runs)
        if not (study / STUDY_FILE).is_file():
            raise StudyNotFound(f"no study '{name}' in {self._runs}")
        directory = study.resolve() / "exports" / f"trial-{trial:05d}"
        if not _is_itself(directory):
            raise CannotExport(f"{directory} leads out of the study by a symbolic link; export from the command line")
        return directory

    def _job(self, name: str, trial: int, directory: Path) -> ExportJob | None:
        process = self._started.get((name, trial))
        lines = process.lines if process is not None else ("exported already",)
        if process is not None and process.is_running:
            return ExportJob(name=name, trial=trial, state="running", directory=directory, lines=lines)
        if _is_complete(directory):
            sizes = tuple((path.name, path.stat().st_size) for path in _files(directory))
            return ExportJob(name=name, trial=trial, state="done", directory=directory, lines=lines, files=sizes)
        if process is None or process.exit_code == 0:
            return None
        return ExportJob(
            name=name, trial=trial, state="failed", directory=directory, lines=lines, problem=process.problem
        )


def export_command(name: str, trial: int, directory: Path, runs: Path) -> list[str]:
    """The command line of an export; -P: a file of the working directory must not stand in for a module."""
    command = [sys.executable, "-P", "-m", "studies.cli", "export", name, "--trial", str(trial)]
    return [*command, "-o", str(directory), "--runs", str(runs)]


class _Process:
    """A command at low priority, and what it says on stderr."""

    def __init__(self, command: list[str]) -> None:
        self.lines: tuple[str, ...] = ()
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                env={**os.environ, "PYTHONIOENCODING": "utf-8"},
                start_new_session=True,  # Ctrl-C in the terminal is for the dashboard, which ends its exports itself
            )
        except OSError as error:
            raise CannotExport(f"the export cannot be started: {error}") from None
        # Not in a preexec_fn, which may lock up where there are threads.
        with suppress(OSError):
            niceness = min(os.getpriority(os.PRIO_PROCESS, 0) + NICENESS, 19)
            os.setpriority(os.PRIO_PROCESS, self._process.pid, niceness)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def is_running(self) -> bool:
        return self._reader.is_alive()

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode

    @property
    def problem(self) -> str:
        """Why it failed, in one line."""
        errors = [line for line in self.lines if line.startswith("error: ")]
        if errors:
            return errors[-1].removeprefix("error: ")
        if self.exit_code is not None and self.exit_code < 0:
            return f"the export was ended from outside ({signal.Signals(-self.exit_code).name})"
        return self.lines[-1] if self.lines else f"the export ended with exit code {self.exit_code}"

    def ask_to_stop(self) -> None:
        """As Ctrl-C does, so that it tidies up."""
        self._process.send_signal(signal.SIGINT)

    def end(self, deadline: float) -> None:
        """Wait until then (in `time.monotonic`), then kill it and what it has started."""
        self._reader.join(max(0.0, deadline - time.monotonic()))
        if self.is_running:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._reader.join(PATIENCE_S)

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            for line in stream:
                if line.strip():
                    self.lines = (*self.lines, line.rstrip()[:LINE_LENGTH])[-KEPT_LINES:]
        self._process.wait()


def _is_itself(path: Path) -> bool:
    """Whether no part of an absolute path is a symbolic link."""
    try:
        return path.resolve() == path
    except (OSError, RuntimeError):  # links that lead in a circle
        return False


def _is_complete(directory: Path) -> bool:
    return {path.name for path in _files(directory)} >= set(ALWAYS)


def _files(directory: Path) -> list[Path]:
    """The regular files of a directory: no links, no folders."""
    if not directory.is_dir():
        return []
    with os.scandir(directory) as entries:
        return sorted(Path(entry.path) for entry in entries if entry.is_file(follow_symlinks=False))
