"""Readers of the forms of CIFAR-10: Python pickles, those in a tar.gz, and PNG strips with JSON labels.

Pickles are opened by an unpickler that knows numpy arrays and nothing else, as a pickle can otherwise run any
code.
"""

import io
import pickle
import tarfile
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from search_space.texts.counting import count_of
from search_space.texts.parsing import parse_json, read_text

from ..base import Images, Labels
from ..cache import Arrays
from ..errors import DatasetError, one_line

# Files of each form, test set last; "lables" is how the strips' publisher spells it.
BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
STRIPS = tuple(f"{name}.png" for name in BATCHES)
LABELS = ("train_lables.json", "test_lables.json")

_SIZE = 32
_ARRAY_REBUILDER: Any = np.zeros(1).__reduce__()[0]  # numpy's own, wherever this version of numpy keeps it


def read_batches(folder: Path) -> Arrays:
    """Arrays from a folder with the six pickles of `BATCHES`."""
    return _join([_read_batch((folder / name).read_bytes(), f"{folder / name}") for name in BATCHES])


def read_archive(path: Path) -> Arrays:
    """Arrays from a tar.gz with the six pickles in whatever folder; nothing is unpacked to disk."""
    batches = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                name = Path(member.name).name
                file = archive.extractfile(member) if name in BATCHES and member.isfile() else None
                if file is not None:
                    batches[name] = _read_batch(file.read(), f"{path}: {member.name}")
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise DatasetError(f"{path}: is not a whole .tar.gz ({one_line(error)}); fetch it again") from error
    missing = [name for name in BATCHES if name not in batches]
    if missing:
        raise DatasetError(f"{path}: lacks {', '.join(missing)}; expected the archive of CIFAR-10 for Python")
    return _join([batches[name] for name in BATCHES])


def read_strips(folder: Path) -> Arrays:
    """Arrays from six PNGs of 1024 x N pixels, one 32x32 image a row, and the two label files."""
    with ThreadPoolExecutor() as pool:
        strips = list(pool.map(_read_strip, [folder / name for name in STRIPS]))
    train = np.concatenate(strips[:-1])
    arrays: Arrays = {"train_images": train, "test_images": strips[-1]}
    for split, name in zip(("train", "test"), LABELS, strict=True):
        labels = _read_labels(folder / name)
        images = arrays[f"{split}_images"]
        if len(labels) != len(images):
            counts = f"{count_of(len(labels), 'label')} for {count_of(len(images), 'image')}"
            raise DatasetError(f"{folder / name}: has {counts} in the PNGs")
        arrays[f"{split}_labels"] = labels
    return arrays


def _join(batches: Sequence[tuple[Images, Labels]]) -> Arrays:
    images, labels = zip(*batches, strict=True)
    return {
        "train_images": np.concatenate(images[:-1]),
        "train_labels": np.concatenate(labels[:-1]),
        "test_images": images[-1],
        "test_labels": labels[-1],
    }


def _read_batch(content: bytes, where: str) -> tuple[Images, Labels]:
    """Images (N, 32, 32, 3) and labels (N,) of one pickle; `where` names it in errors."""
    try:
        batch = _ArraysOnly(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # A damaged pickle can raise anything.
        raise DatasetError(f"{where}: cannot be unpickled ({one_line(error)}); fetch it again") from error
    data = batch.get("data") if isinstance(batch, dict) else None
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape[1:] != (3 * _SIZE * _SIZE,):
        raise DatasetError(f"{where}: has no 'data' of (count, 3072) bytes; is it CIFAR-10?")
    labels = _as_labels(batch.get("labels"), where)
    if len(labels) != len(data):
        raise DatasetError(f"{where}: has {count_of(len(labels), 'label')} for {count_of(len(data), 'image')}")
    planes = data.reshape(-1, 3, _SIZE, _SIZE)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels


def _read_strip(path: Path) -> Images:
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as image:
            pixels = np.array(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, zlib.error) as error:
        raise DatasetError(f"{path}: cannot be decoded ({one_line(error)}); fetch it again") from error
    if pixels.shape[1] != _SIZE * _SIZE:
        raise DatasetError(f"{path}: is {pixels.shape[1]} pixels wide; expected {_SIZE * _SIZE}, one image a row")
    return pixels.reshape(-1, _SIZE, _SIZE, 3)


def _read_labels(path: Path) -> Labels:
    try:
        labels = parse_json(read_text(path))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: is not JSON ({one_line(error)}); fetch it again") from error
    return _as_labels(labels, str(path))


def _as_labels(labels: object, where: str) -> Labels:
    if not isinstance(labels, list) or not all(type(label) is int and 0 <= label < 10 for label in labels):
        raise DatasetError(f"{where}: its labels are not a list of whole numbers from 0 to 9")
    return np.array(labels, dtype=np.int64)


class _ArraysOnly(pickle.Unpickler):
    """Rebuilds numpy arrays within dicts, lists and strings; refuses every other class or function."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no data set needs")
        return _ALLOWED[module, name]


def _rebuild_dtype(name: str, align: object = False, copy: object = True) -> np.dtype[Any]:
    # Pickles of Python 2 give 0 and 1 here, which numpy 2.4.0 to 2.4.4 warn about.
    return np.dtype(name, align=bool(align), copy=bool(copy))


def _rebuild_bytes(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the encoding {encoding}")
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _ARRAY_REBUILDER,
    ("numpy._core.multiarray", "_reconstruct"): _ARRAY_REBUILDER,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _rebuild_dtype,
    ("_codecs", "encode"): _rebuild_bytes,
}
