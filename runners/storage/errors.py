"""Errors of the surroundings: files, disks, databases, memory and descriptors, each as one line for the user.

Libraries report them by exceptions of their own. `shortage` is the one place that knows these; everything that it does
not recognise is a bug of this project and keeps its traceback.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from search_space.errors import UserError

_HINTS = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "close other programs",
    errno.ENOMEM: "free some memory, or use fewer workers",
}
_BASES = {
    "sqlite3.OperationalError",
    "sqlite3.IntegrityError",
    "sqlite3.InternalError",
    "sqlite3.DataError",
    "sqlalchemy.exc.DBAPIError",
    "sqlalchemy.exc.TimeoutError",
    "optuna.exceptions.StorageInternalError",
    "safetensors_rust.SafetensorError",
    "safetensors._safetensors_rust.SafetensorError",
}
"""Names of exceptions that stand for the surroundings; names, because importing the libraries takes a second."""
_WORDS = (
    "no space left on device",
    "disk quota exceeded",
    "read-only file system",
    "too many open files",
    "cannot allocate memory",
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "bad allocation",
    "failed to map segment",
    "can't start new thread",
    "database disk image is malformed",
    "file is not a database",
)
"""What libraries of C and C++ say, whatever the type of the exception that it ends up in."""


DAMAGE: tuple[type[Exception], ...] = (KeyError, TypeError, ValueError, AttributeError, IndexError)
"""What content of another form than expected raises where it is read."""


class StorageError(UserError):
    """Error of files that cannot be read or written, or of a lack of memory, disk space or open files.

    It is also raised if another process runs the study.
    """

    exit_code = 4


def shortage(error: BaseException, about: Path | None = None) -> str | None:
    """Return in one line which file, disk, database or memory made `error` happen; None where it is a bug.

    The exception that was raised first says it best, so its causes are looked at before the exception itself. The
    file `about`, and temporary files for it, are not named.
    """
    if error.__cause__ is not None and (found := shortage(error.__cause__, about)) is not None:
        return found
    if isinstance(error, OSError):
        return _os_line(error, about)
    if isinstance(error, MemoryError):
        return f"out of memory; {_HINTS[errno.ENOMEM]}"
    names = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
    text = " ".join(str(error).split())
    if names & _BASES or any(words in text.lower() for words in _WORDS):
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return None


_LONGEST = 300
"""Characters of what a library says, which may hold a whole SQL statement."""


def _os_line(error: OSError, about: Path | None) -> str:
    what = error.strerror or str(error) or type(error).__name__
    hint = _HINTS.get(error.errno or 0)
    line = f"{what}; {hint}" if hint else what
    if error.filename is None:
        return line
    path = Path(os.fsdecode(error.filename) if isinstance(error.filename, bytes) else str(error.filename))
    if about is not None and path.parent == about.parent and about.name in path.name:
        return line
    return f"{path}: {line}"


@contextmanager
def stored_in(path: Path, does: str, damage: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Raise StorageError that names `path` where the block fails for its surroundings; a UserError passes.

    `does` says what was tried, as in 'cannot be written'. `damage` are further exceptions that the content of `path`
    can raise in the block.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        problem = shortage(error, path)
        if problem is None and isinstance(error, damage):
            problem = f"damaged: {type(error).__name__}: {' '.join(str(error).split())[:_LONGEST]}"
        if problem is None:
            raise
        raise StorageError(f"{path}: {does}: {problem}") from error
