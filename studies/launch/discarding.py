"""When is a study not worth its name? When no network of it was trained, and nothing else lies in its directory."""

from contextlib import suppress
from pathlib import Path

from runners.storage.study_files import DATABASE, PRIOR, StorageError
from runners.storage.study_heartbeat import HEARTBEAT
from runners.trial_record import EVALUATED

from ..study.database import StudyDatabase
from ..study.record import STUDY_FILE

_OF_A_BEGINNING = (STUDY_FILE, PRIOR, DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", HEARTBEAT, "lock")
"""What a search has written before it has trained anything."""


def discard_if_empty(directory: Path) -> bool:
    """Remove the study in `directory`, whose lock the caller has, if it holds nothing; return whether it did.

    A study whose database cannot be read is kept, and so are files that are no study's.
    """
    folder = directory / "trials"
    if not (directory / DATABASE).exists():
        return False  # somebody has moved it
    if any((directory / name).exists() for name in ("report.html", "exports")) or any(folder.glob("*")):
        return False
    try:
        trials = StudyDatabase(directory / DATABASE).read_new()
    except StorageError:
        return False
    if any(trial.status in EVALUATED for trial in trials):
        return False
    with suppress(OSError):
        for name in _OF_A_BEGINNING:
            (directory / name).unlink(missing_ok=True)
        if folder.exists():
            folder.rmdir()
        directory.rmdir()  # unless somebody else's files are there
    return True
