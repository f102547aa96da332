"""CIFAR-10: 60,000 RGB images of 32x32 in ten classes (Krizhevsky 2009).

Takes any form it is commonly had in: the official archive, that archive unpacked, or PNG strips with JSON
labels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..base import Dataset, dataset
from ..cache import Arrays, cache_root, cached_arrays, file_state
from ..download import download
from ..errors import DatasetError
from ..formats.cifar10_files import BATCHES, LABELS, STRIPS, read_archive, read_batches, read_strips

CLASS_NAMES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)

ARCHIVE = "cifar-10-python.tar.gz"
ARCHIVE_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
BASE_URL = "https://www.cs.toronto.edu/~kriz"

_EXPECTED = f"{ARCHIVE}, cifar-10-batches-py/ or data_batch_1.png ... test_batch.png with their .json labels"


@dataclass(frozen=True, slots=True)
class _Source:
    """One form of the data: its files, all there, and how to read them into arrays."""

    files: tuple[Path, ...]
    read: Callable[[], Arrays]
    slow: bool


@dataset("cifar10")
def load_cifar10(path: Path | None, resolution: int | None) -> Dataset:
    """50,000 training and 10,000 test images of 32x32x3, after `path`'s form is found out.

    `path` is the official archive, the folder in it, a folder of PNG strips (1024 pixels wide, one 32x32
    image a row, with train_lables.json and test_lables.json), or a folder that contains one of these. None
    takes cifar10/ in the cache, and downloads the archive (170 MB) there if need be. Decoding an archive or
    PNGs takes seconds, so their arrays are kept in the cache. Raises DatasetError for data that is missing or
    broken.
    """
    source = _find_source(_default_folder() if path is None else path)
    if source.slow:
        files = [file.resolve() for file in source.files]
        arrays = cached_arrays("cifar10", f"cifar10 {files[0]}", file_state(files), source.read)
    else:
        arrays = source.read()
    return Dataset(
        name="cifar10",
        train_images=arrays["train_images"],
        train_labels=arrays["train_labels"],
        test_images=arrays["test_images"],
        test_labels=arrays["test_labels"],
        class_names=CLASS_NAMES,
    )


def _default_folder() -> Path:
    folder = cache_root() / "cifar10"
    if not folder.is_dir() or _source_in(folder) is None:
        download(f"{BASE_URL}/{ARCHIVE}", folder / ARCHIVE, ARCHIVE_SHA256)
    return folder


def _find_source(path: Path) -> _Source:
    if not path.exists():
        raise DatasetError(f"{path}: no such file or folder; CIFAR-10 is {_EXPECTED}")
    if not path.is_dir() and not path.is_file():
        raise DatasetError(f"{path}: is neither a file nor a folder; CIFAR-10 is {_EXPECTED}")
    source = _source_in(path) if path.is_dir() else _archive(path)
    if source is None:
        raise DatasetError(f"{path}: holds no CIFAR-10; expected {_EXPECTED}")
    return source


def _source_in(folder: Path) -> _Source | None:
    """The data in `folder` itself or, failing that, in one of its sub-folders."""
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be listed ({error.strerror})") from error
    for candidate in (folder, *inside):
        if any((candidate / name).is_file() for name in BATCHES):
            return _batches(candidate)
        if any((candidate / name).is_file() for name in STRIPS):
            return _strips(candidate)
        if (candidate / ARCHIVE).is_file():
            return _archive(candidate / ARCHIVE)
    return None


def _batches(folder: Path) -> _Source:
    return _Source(_all_there(folder, BATCHES), lambda: read_batches(folder), slow=False)


def _strips(folder: Path) -> _Source:
    return _Source(_all_there(folder, STRIPS + LABELS), lambda: read_strips(folder), slow=True)


def _archive(path: Path) -> _Source:
    return _Source((path,), lambda: read_archive(path), slow=True)


def _all_there(folder: Path, names: tuple[str, ...]) -> tuple[Path, ...]:
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise DatasetError(f"{folder}: holds a part of CIFAR-10 but lacks {', '.join(missing)}")
    return tuple(folder / name for name in names)
