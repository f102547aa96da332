"""Your own images: a folder with one sub-folder a class, decoded once to small RGB squares and cached.

pictures/cat/1.jpg, pictures/dog/a.png, ...                          or
pictures/train/cat/..., pictures/val/cat/..., pictures/test/cat/...   (val and test are optional)
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..base import Dataset, dataset
from ..cache import Arrays, cached_arrays, file_state
from ..errors import DatasetError, require_folder
from ..formats.image_files import SUFFIXES, bits_of_greys, decode_squares
from ..splits import random_order

DEFAULT_RESOLUTION = 32
_MIN_RESOLUTION, _MAX_RESOLUTION = 8, 512

_SPLIT_NAMES = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}


@dataclass(frozen=True, slots=True)
class _Split:
    """The image files of one split, by class in the order of the class names."""

    folder: Path
    classes: dict[str, list[Path]]


@dataset("image-folder")
def load_image_folder(path: Path | None, resolution: int | None) -> Dataset:
    """RGB images of `resolution` x `resolution` pixels (default 32, as CIFAR) from a folder of class folders.

    docs/images.md states how a file becomes pixels (`pixels`). Hidden files and files that are no images by their
    suffix are ignored; images lie in the class folder itself. With a train/ folder of class folders, val/ (valid/,
    validation/) and test/ beside it are read as splits. Other folders are ignored, unless they hold the same class
    folders: then a split has a wrong name. The arrays are cached until a file's name, size or time changes. Raises
    DatasetError: no such folder, fewer than two classes, an empty class, folders inside a class, a split of another
    name, classes that differ between splits, or an image that cannot be decoded.
    """
    if path is None:
        raise DatasetError("dataset 'image-folder' needs the folder of your images (--data-dir)")
    size = DEFAULT_RESOLUTION if resolution is None else resolution
    if not _MIN_RESOLUTION <= size <= _MAX_RESOLUTION:
        raise DatasetError(
            f"dataset 'image-folder': resolution is {size}; allowed: {_MIN_RESOLUTION} to {_MAX_RESOLUTION} pixels"
        )
    root = require_folder(path, "one sub-folder of images a class").resolve()
    splits = _find_splits(root)
    class_names = tuple(splits["train"].classes)
    state = [(name, split.folder.name, file_state(_files(split))) for name, split in splits.items()]
    arrays = cached_arrays("image-folder", f"{root} {size}", state, lambda: _decode(splits, size))
    return Dataset(
        name="image-folder",
        train_images=arrays["train_images"],
        train_labels=arrays["train_labels"],
        test_images=arrays.get("test_images"),
        test_labels=arrays.get("test_labels"),
        val_images=arrays.get("val_images"),
        val_labels=arrays.get("val_labels"),
        class_names=class_names,
        grey_bits=int(arrays["grey_bits"]),
    )


def _find_splits(root: Path) -> dict[str, _Split]:
    folders = {folder.name.lower(): folder for folder in _folders(root)}
    # A class may be called "train" (vehicles): a split has class folders inside it, or only splits beside it.
    known = {name for names in _SPLIT_NAMES.values() for name in names}
    if "train" not in folders or not (_folders(folders["train"]) or set(folders) <= known):
        return {"train": _read_split(root)}
    splits = {}
    for split, names in _SPLIT_NAMES.items():
        found = [folders[name] for name in names if name in folders]
        if len(found) > 1:
            raise DatasetError(f"{root}: has both {found[0].name}/ and {found[1].name}/; keep one of them")
        if found:
            splits[split] = _read_split(found[0])
            _require_same_classes(splits["train"], splits[split])
    classes = splits["train"].classes
    for name in set(folders) - known:
        if sum(child.name in classes for child in _folders(folders[name])) > len(classes) / 2:
            raise DatasetError(
                f"{folders[name]}: has the class folders of train/, and no name of a split; call it val/ or test/, or "
                "move it away"
            )
    return splits


def _read_split(folder: Path) -> _Split:
    classes = {_class_name(child): _image_files(child) for child in _folders(folder)}
    if len(classes) < 2:
        raise DatasetError(
            f"{folder}: has {len(classes)} class folder{'s' * (len(classes) != 1)}; "
            "expected at least 2 sub-folders of images, one a class"
        )
    for name, files in classes.items():
        if not files:
            raise DatasetError(
                f"{folder / name}: class '{name}' has no images; add some or remove the folder "
                f"(images end in {', '.join(sorted(SUFFIXES))})"
            )
    return _Split(folder, classes)


def _class_name(folder: Path) -> str:
    """The folder's name; raises DatasetError for bytes that are no text, which no file of a study could hold."""
    try:
        folder.name.encode()
    except UnicodeEncodeError:
        name = os.fsencode(folder.name)
        raise DatasetError(f"{folder.parent}: the name of class folder {name!r} is not UTF-8; rename it") from None
    return folder.name


def _require_same_classes(train: _Split, other: _Split) -> None:
    for here, there in ((other, train), (train, other)):
        missing = [name for name in there.classes if name not in here.classes]
        if missing:
            raise DatasetError(
                f"{here.folder}: has no class folder '{missing[0]}', but {there.folder} has; both need the same classes"
            )


def _decode(splits: dict[str, _Split], size: int) -> Arrays:
    grey_bits = bits_of_greys(_files(splits["train"]))
    arrays: Arrays = {"grey_bits": np.array(grey_bits)}
    for name, split in splits.items():
        counts = [len(files) for files in split.classes.values()]
        labels = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
        # As in other data sets, the first images are of all classes: quantization takes its ranges from them.
        order = random_order(len(labels))
        files = _files(split)
        arrays[f"{name}_images"] = decode_squares([files[i] for i in order.tolist()], size, grey_bits)
        arrays[f"{name}_labels"] = labels[order]
    return arrays


def _files(split: _Split) -> list[Path]:
    return [file for files in split.classes.values() for file in files]


def _folders(folder: Path) -> list[Path]:
    return [child for child in _visible(folder) if child.is_dir()]


def _image_files(folder: Path) -> list[Path]:
    inner = _folders(folder)
    if inner:
        # Most likely splits under names unknown here ("training"), which must not pass for classes.
        raise DatasetError(
            f"{inner[0]}: is a folder inside a class folder; images must lie in the class folder itself, "
            "and splits be called train, val and test"
        )
    files = [child for child in _visible(folder) if child.suffix.lower() in SUFFIXES]
    for file in files:
        # A pipe would be waited for; a dangling link is named where its state is read.
        if file.exists() and not file.is_file():
            raise DatasetError(f"{file}: is no regular file; remove it")
    return files


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(child for child in folder.iterdir() if not child.name.startswith("."))
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be listed ({error.strerror})") from error
