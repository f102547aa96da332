"""Which studies does a directory hold, and what is the state of each? For the command line and the dashboard."""

from pathlib import Path
from typing import Literal

from runners.storage.study_heartbeat import is_running
from search_space.errors import UserError

from ..study.record import STUDY_FILE, study_directory
from .study_results import StudyResults

State = Literal["running", "done", "stopped", "new", "damaged", "missing"]
STATES: dict[State, str] = {
    "running": "running",
    "done": "done",
    "stopped": "stopped",
    "new": "no trial yet",
    "damaged": "damaged",
    "missing": "not found",
}
"""What each state is called."""


def study_names(runs: Path) -> list[str]:
    """Return the names of all studies in `runs`, the one that was touched last first."""
    files = sorted(runs.glob(f"*/{STUDY_FILE}"), key=_last_touched, reverse=True)
    return [path.parent.name for path in files if _is_name(path.parent.name)]


def study_state(results: StudyResults, *, is_exhausted: bool) -> State:
    """Return the state of a study that can be read; `is_exhausted` where its space had no further network."""
    if is_running(results.directory):
        return "running"
    if is_exhausted or results.evaluated >= results.config["search"]["trials"]:
        return "done"
    return "stopped" if len(results.trials) else "new"


def _last_touched(path: Path) -> float:
    files = (path, path.with_name("study.db"), path.with_name("study.db-wal"))
    return max((file.stat().st_mtime for file in files if file.exists()), default=0.0)


def _is_name(name: str) -> bool:
    try:
        study_directory(name, Path())
    except UserError:
        return False
    return True
