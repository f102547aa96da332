"""Where downloaded and decoded data are kept, and how arrays are written there: whole or not at all."""

import hashlib
import os
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..storage.errors import StorageError
from .errors import DatasetError

Arrays = dict[str, npt.NDArray[Any]]

# Part of every key: raise it when the way that images are decoded changes.
_FORMAT = 3


def cache_root() -> Path:
    """Folder of all cached data: $RESFRONT_DATA, else ~/.cache/resfront. It may not exist yet.

    Raises StorageError for a user without a home directory.
    """
    try:
        return Path(os.environ.get("RESFRONT_DATA") or "~/.cache/resfront").expanduser()
    except RuntimeError:
        raise StorageError("this user has no home directory for the cache; set RESFRONT_DATA to a folder") from None


def file_state(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    """What a key needs of the source files: path, size in bytes and time of change in ns of each.

    Raises DatasetError for a file that is gone, such as a dangling link.
    """
    state = []
    for path in files:
        try:
            stat = path.stat()
        except OSError as error:
            raise DatasetError(f"{path}: cannot be read ({error.strerror}); mend or remove it") from error
        state.append((os.fspath(path), stat.st_size, stat.st_mtime_ns))
    return state


def cached_arrays(folder: str, source: str, state: object, build: Callable[[], Arrays]) -> Arrays:
    """The arrays that `build()` returns, from the cache where it ran before on the same `source` and `state`.

    `folder` is a sub-folder of the cache root. `source` names what was decoded and how (path, resolution),
    `state` what it held (names, sizes, times): both by their `repr`. An entry of another state of the same
    source is replaced. A cache that cannot be read or written costs time, never the result.
    """
    stem = _short_hash((_FORMAT, source))
    entry = cache_root() / folder / f"{stem}-{_short_hash(state)}.npz"
    arrays = _read(entry)
    if arrays is None:
        arrays = build()
        _write(entry, arrays, stem)
    return arrays


def _short_hash(value: object) -> str:
    return hashlib.sha256(repr(value).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _read(entry: Path) -> Arrays | None:
    if not entry.is_file():
        return None
    try:
        # Opened here, as numpy leaves a file open that turns out not to be a whole archive.
        with entry.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


def _write(entry: Path, arrays: Arrays, stem: str) -> None:
    # The suffix keeps numpy from adding its own; the random part keeps two processes apart.
    part = entry.with_name(f".{entry.stem}.{uuid.uuid4().hex[:8]}.npz")
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        try:
            named: Any = arrays  # numpy's type for `savez` takes a name for its own flag.
            np.savez(part, **named)
            part.replace(entry)
        finally:
            part.unlink(missing_ok=True)
        for old in entry.parent.glob(f"{stem}-*.npz"):
            if old != entry:
                old.unlink(missing_ok=True)
    except OSError:
        return
