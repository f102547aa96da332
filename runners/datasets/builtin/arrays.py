"""Images that a program hands over as arrays: an .npz file that `save_arrays` writes."""

import io
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from ..base import Dataset, dataset
from ..errors import DatasetError

_PARTS = ("train_images", "train_labels", "val_images", "val_labels", "test_images", "test_labels")


@dataset("arrays")
def load_arrays(path: Path | None, resolution: int | None) -> Dataset:
    """The arrays of a file. Raises DatasetError without a path, and for a file that is none of `save_arrays`."""
    if path is None:
        raise DatasetError("dataset 'arrays': needs a path, the .npz file that save_arrays wrote")
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            parts = {name: file[name] for name in _PARTS if name in file}
            names = tuple(str(name) for name in file["class_names"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise DatasetError(f"{path}: cannot be read as arrays of images: {error}") from None
    return Dataset(name="arrays", class_names=names, **parts)


def save_arrays(path: Path, images: Dataset) -> None:
    """Write a data set as one file, uncompressed, so that workers read it fast."""
    from ...storage.study_files import write_atomically  # with optuna, which workers need not load

    parts = {name: value for name in _PARTS if (value := getattr(images, name)) is not None}
    buffer = io.BytesIO()
    np.savez(buffer, class_names=np.array(images.class_names), **parts)
    write_atomically(path, buffer.getvalue())
