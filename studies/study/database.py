"""Trials of `study.db`, read by SQL, and at each further look only those that are new.

Optuna builds ten thousand trials in five seconds and more; the same rows are read here in a fraction of one. Nothing is
ever written, and each look is one short transaction, so that a running search is not disturbed. Where another version
of Optuna has laid its tables out in another way, its own reader is asked.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import optuna
import orjson
from optuna.distributions import json_to_distribution
from optuna.trial import TrialState

from runners.search.confirmation import confirmations_of
from runners.storage.study_files import STUDY_NAME, StorageError, open_storage
from runners.trial_record import TrialRecord

BUSY_TIMEOUT_S = 5.0
SCHEMA = "v3.2.0.a"
"""Revision of Optuna's tables that is read here; Optuna 3.2 to 5.0 have it."""
_DAMAGE = (sqlite3.Error, ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError)
"""What reading a database raises whose rows or attributes are not as they were written."""
_UNFINISHED = ("RUNNING", "WAITING")


@dataclass(slots=True)
class StudyDatabase:
    """Follows the trials of one database; not to be shared by threads without a lock."""

    path: Path
    is_exhausted: bool = False
    """Whether the last search ended because the space had no further network, as of the last look."""
    confirmations: Mapping[int, list[float]] = field(default_factory=dict)
    """Trial -> accuracies of its further trainings, as of the last look."""
    _last_id: int = 0
    _unfinished: set[int] = field(default_factory=set)

    def read_new(self) -> list[TrialRecord]:
        """Trials that have begun and are new, or had not ended at the last look, by number; all at the first look.

        Raises StorageError where the file is no study, and then reads the same trials at the next look; an absent file
        holds no trials.
        """
        if not self.path.exists():
            return []
        try:
            with closing(connect_read_only(self.path)) as connection:
                connection.execute("BEGIN")
                (schema,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
                return self._read(connection) if schema == SCHEMA else self._read_by_optuna()
        except _DAMAGE as error:
            raise StorageError(f"{self.path}: cannot be read as a study: {_cause(error)}") from None

    def _read(self, connection: sqlite3.Connection) -> list[TrialRecord]:
        known = orjson.dumps(sorted(self._unfinished)).decode()
        rows = connection.execute(
            "SELECT trial_id, number, state, datetime_start, datetime_complete FROM trials"
            " WHERE trial_id > ? OR trial_id IN (SELECT value FROM json_each(?)) ORDER BY number",
            (self._last_id, known),
        ).fetchall()
        ids = orjson.dumps([row[0] for row in rows]).decode()
        params, of_trials = _params(connection, ids), _attributes(connection, ids)
        attributes = _study_attributes(connection)
        is_exhausted, confirmations = bool(attributes.get("exhausted", False)), confirmations_of(attributes)
        trials = [
            _record(number, state, params.get(identity, {}), of_trials.get(identity, {}), *map(_moment, moments))
            for identity, number, state, *moments in rows
            if state != "WAITING"
        ]
        # Only now that nothing can fail any more: an error must not hide what was to be read from the next look.
        self._last_id = max([self._last_id, *(row[0] for row in rows)])
        self._unfinished = {row[0] for row in rows if row[2] in _UNFINISHED}
        self.is_exhausted, self.confirmations = is_exhausted, confirmations
        return trials

    def _read_by_optuna(self) -> list[TrialRecord]:
        study = optuna.load_study(study_name=STUDY_NAME, storage=open_storage(self.path))
        attributes = study.user_attrs
        whole = [trial for trial in study.get_trials(deepcopy=False) if trial.state != TrialState.WAITING]
        new = [trial for trial in whole if trial.number >= self._last_id or trial.number in self._unfinished]
        trials = [
            _record(
                trial.number,
                trial.state.name,
                trial.params,
                trial.user_attrs,
                _utc(trial.datetime_start),
                _utc(trial.datetime_complete),
            )
            for trial in new
        ]
        # By number here, for the tables' own keys are not known.
        self._last_id = max((trial.number + 1 for trial in whole), default=0)
        self._unfinished = {trial.number for trial in whole if not trial.state.is_finished()}
        self.is_exhausted = bool(attributes.get("exhausted", False))
        self.confirmations = confirmations_of(attributes)
        return trials


def _record(
    number: int,
    state: str,
    params: Mapping[str, Any],
    attributes: Mapping[str, Any],
    started: datetime | None,
    finished: datetime | None,
) -> TrialRecord:
    """Return the trial of a row of Optuna's table, and what belongs to it; raises StorageError where it is damaged."""
    try:
        return TrialRecord.read(
            number,
            attributes,
            is_told=state != "RUNNING",
            params=params,
            started=started,
            finished=finished,
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        what = f"{type(error).__name__}: {error}"
        raise StorageError(f"trial {number} is damaged in the study's database ({what})") from None


def read_contents(path: Path) -> tuple[int, dict[str, Any]]:
    """Return the number of trials, in whatever state, and the study's attributes; none where there is no study yet.

    Raises StorageError where the file is no database.
    """
    if not path.exists():
        return 0, {}
    try:
        with closing(connect_read_only(path)) as connection:
            connection.execute("BEGIN")
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not tables >= {"trials", "study_user_attributes"}:
                return 0, {}
            (trials,) = connection.execute("SELECT count(*) FROM trials").fetchone()
            return int(trials), _study_attributes(connection)
    except _DAMAGE as error:
        raise StorageError(f"{path}: cannot be read as a study: {_cause(error)}") from None


def _cause(error: Exception) -> str:
    return str(error) if isinstance(error, sqlite3.Error) else f"{type(error).__name__}: {error}"


def _study_attributes(connection: sqlite3.Connection) -> dict[str, Any]:
    told = connection.execute("SELECT key, value_json FROM study_user_attributes").fetchall()
    return {key: _from_json(text) for key, text in told}


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection that cannot write."""
    address = f"{path.resolve().as_uri()}?mode=ro"
    connection = sqlite3.connect(address, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    try:
        connection.execute("PRAGMA query_only=ON")
        connection.execute("SELECT 1 FROM sqlite_master LIMIT 1")
    except sqlite3.OperationalError:
        # In WAL mode a reader needs a file beside the database; on a read-only disk nobody writes either.
        connection.close()
        if path.with_name(f"{path.name}-wal").exists():
            raise
        connection = sqlite3.connect(f"{address}&immutable=1", uri=True, isolation_level=None)
    return connection


def _params(connection: sqlite3.Connection, ids: str) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = defaultdict(dict)
    for identity, name, value, distribution in _belonging(
        connection, "trial_params", "param_name, param_value, distribution_json", "param_id", ids
    ):
        found[identity][name] = _parameter(distribution, value)
    return found


def _attributes(connection: sqlite3.Connection, ids: str) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = defaultdict(dict)
    for identity, key, value in _belonging(
        connection, "trial_user_attributes", "key, value_json", "trial_user_attribute_id", ids
    ):
        found[identity][key] = _from_json(value)
    return found


def _belonging(
    connection: sqlite3.Connection, table: str, columns: str, order: str, ids: str
) -> Iterable[tuple[Any, ...]]:
    """Rows of `table` that belong to the trials in the JSON list `ids`, the trial's id first."""
    return connection.execute(
        f"SELECT trial_id, {columns} FROM {table} WHERE trial_id IN (SELECT value FROM json_each(?)) ORDER BY {order}",
        (ids,),
    )


def _from_json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)  # NaN, which JSON has not and Optuna writes


@lru_cache(maxsize=16384)
def _parameter(distribution: str, value: float) -> Any:
    """What the number in the database stands for: the choice, or the whole number."""
    return json_to_distribution(distribution).to_external_repr(value)


def _utc(moment: datetime | None) -> datetime | None:
    """Optuna's trials have the local time without saying so."""
    return None if moment is None else moment.astimezone(UTC)


def _moment(text: str | None) -> datetime | None:
    """Optuna stores UTC without saying so."""
    return None if text is None else datetime.fromisoformat(text).replace(tzinfo=UTC)
