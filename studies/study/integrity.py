"""Check that a study's database is as the coordinator wrote it, before anybody goes on with it or exports from it."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from objectives.base import Objective
from runners.storage.study_files import STUDY_NAME, StorageError
from runners.trial_record import NEEDED_WHEN_COMPLETE

from .database import connect_read_only

_STATES = ("RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING")


def check_integrity(path: Path, objectives: Sequence[Objective]) -> None:
    """Raise StorageError where the database is not the one study of these objectives, or misses a part of a trial.

    Whoever went on with such a database would take trials for others, or delete weights as those of no trial.
    """
    if not path.exists():
        return
    try:
        with closing(connect_read_only(path)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if "trials" not in tables:
                return  # of a study that has not begun
            faults = list(_faults(connection, [objective.direction.upper() for objective in objectives]))
    except sqlite3.Error as error:
        raise StorageError(f"{path}: cannot be read as a study: {error}") from None
    if faults:
        raise StorageError(f"{path}: damaged: {faults[0]}; put the study's own database back; nothing was changed")


def _faults(connection: sqlite3.Connection, directions: Sequence[str]) -> Iterator[str]:
    names = [name for (name,) in connection.execute("SELECT study_name FROM studies")]
    if names != [STUDY_NAME]:
        yield f"it holds the studies {names}, not '{STUDY_NAME}' alone"
    found = [one for (one,) in connection.execute("SELECT direction FROM study_directions ORDER BY objective")]
    if found != list(directions):
        yield f"its objectives are to {found}, and the study's to {list(directions)}"
    trials = connection.execute("SELECT number, state, trial_id FROM trials ORDER BY number, trial_id").fetchall()
    for expected, (number, state, identity) in enumerate(trials):
        if number != expected:
            yield f"trial {expected} is missing, or is there twice"
        if state not in _STATES:
            yield f"trial {number} has the state {state!r}"
        if state == "COMPLETE":
            yield from _faults_of_completed(connection, number, identity, len(directions))


def _faults_of_completed(connection: sqlite3.Connection, number: int, identity: int, objectives: int) -> Iterator[str]:
    keys = {
        key for (key,) in connection.execute("SELECT key FROM trial_user_attributes WHERE trial_id = ?", (identity,))
    }
    if missing := [key for key in NEEDED_WHEN_COMPLETE if key not in keys]:
        yield f"trial {number} is complete and has no {missing[0]}"
    values = connection.execute("SELECT value FROM trial_values WHERE trial_id = ?", (identity,)).fetchall()
    if len(values) != objectives or any(value is None for (value,) in values):
        yield f"trial {number} is complete and lacks a value"
    (params,) = connection.execute("SELECT count(*) FROM trial_params WHERE trial_id = ?", (identity,)).fetchone()
    if not params:
        yield f"trial {number} is complete and has no parameters"
