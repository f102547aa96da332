"""Where does a study live? Its directory: the database that one coordinator writes, the lock, the weights."""

import itertools
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import optuna
from filelock import FileLock, Timeout
from optuna.storages import RDBStorage
from optuna.study import Study
from sqlalchemy import event, text

from objectives.base import Objective

from .errors import DAMAGE, stored_in
from .errors import StorageError as StorageError
from .study_heartbeat import beating

DATABASE = "study.db"
STUDY_NAME = "resfront"
"""Of the one study in the database, as Optuna has it."""
WEIGHTS = "weights.safetensors"
PRIOR = "prior.npz"
"""What the study knows from earlier ones, where it asked for any."""


def open_study(directory: Path, objectives: tuple[Objective, ...]) -> Study:
    """The directory's Optuna study, made if it is not there; raises StorageError for a broken database."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with stored_in(directory / DATABASE, "cannot be opened as a study", damage=(AssertionError, *DAMAGE)):
        storage = open_storage(directory / DATABASE)
        event.listen(storage.engine, "connect", _set_pragmas)
        with storage.engine.connect() as connection:
            connection.execute(text("PRAGMA journal_mode=WAL"))
        storage.engine.dispose()  # connections opened from here on have the pragmas
        return optuna.create_study(
            study_name=STUDY_NAME,
            storage=storage,
            directions=[objective.direction for objective in objectives],
            load_if_exists=True,
        )


def open_storage(path: Path) -> RDBStorage:
    """Return Optuna's storage of a database; raises StorageError for tables that this Optuna does not know."""
    try:
        return RDBStorage(f"sqlite:///{path}")
    except RuntimeError as error:
        if "schema" not in str(error):
            raise
        raise StorageError(
            f"{path}: written by another version of optuna, with tables that {optuna.__version__} does not know; "
            "go on with that version"
        ) from None


@contextmanager
def study_lock(directory: Path) -> Iterator[None]:
    """Own the study in `directory`, made if it is not there; raises StorageError when another process does.

    Whoever changes anything in the directory holds it. It ends with the process.
    """
    directory.mkdir(parents=True, exist_ok=True)
    lock = FileLock(directory / "lock")
    with stored_in(directory / "lock", "cannot be locked"):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise StorageError(f"{directory}: another process is running this study") from None
    try:
        with beating(directory):
            yield
    finally:
        lock.release()


def weights_path(directory: Path, trial: int) -> Path:
    """Where the weights of a front member are."""
    return directory / "trials" / f"{trial:05d}" / WEIGHTS


def trials_with_weights(directory: Path) -> set[int]:
    """Return the numbers of the trials whose weights are there."""
    found = (directory / "trials").glob(f"*/{WEIGHTS}")
    return {int(path.parent.name) for path in found if re.fullmatch("[0-9]{5,}", path.parent.name)}


def traces_of_trials(directory: Path) -> list[str]:
    """Return the names of what only a study that has trials leaves in its directory."""
    return [name for name in ("trials", "report.html", "exports") if (directory / name).exists()]


def set_aside_weights(directory: Path, trial: int) -> None:
    """Rename the weights of a trial that the database does not know, so that they are not taken for another trial's."""
    path = weights_path(directory, trial)
    names = (path.with_name(f"unknown-{number}.safetensors") for number in itertools.count(1))
    path.rename(next(name for name in names if not name.exists()))


def drop_weights(directory: Path, trial: int) -> None:
    """Remove the weights of a trial that has ended and is not on the front."""
    path = weights_path(directory, trial)
    path.unlink(missing_ok=True)
    if path.parent.is_dir() and not any(path.parent.iterdir()):
        path.parent.rmdir()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all; raises StorageError where that is not possible."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with stored_in(path, "cannot be written"):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def check_writable(path: Path, *, directory: bool = False) -> None:
    """Raise StorageError where a file, or with `directory` a directory, cannot be written at `path`; leaves no trace.

    It is asked before long work whose result is written last. A disk that fills up meanwhile is not foreseen.
    """
    path = path.absolute()
    with stored_in(path, "cannot be written"):
        if path.exists() and path.is_dir() != directory:  # exists() also refuses a name that is too long
            raise StorageError(f"{path}: cannot be written: {'not' if directory else 'is'} a directory")
        there = next(place for place in (path, *path.parents) if os.path.lexists(place))
        there = there.parent if there == path and not directory else there
        try:
            with tempfile.TemporaryFile(dir=there):
                pass
        except OSError as error:
            raise StorageError(f"{path}: cannot be written: nothing can be made in {there}: {error.strerror}") from None


def _set_pragmas(connection: object, _: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]
    # With WAL this loses nothing when a process dies, and saves a disk flush at every write.
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA busy_timeout=30000")
    cursor.close()
