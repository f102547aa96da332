"""What a data set is here: uint8 images, int64 labels and class names, checked when they are put together.

Loaders register themselves under a name with `@dataset("name")`; `load_dataset` finds and calls them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from search_space.errors import cut
from search_space.named_registry import Registry
from search_space.texts.counting import count_of

from .errors import DatasetError
from .pixels import DEEP_BITS
from .statistics import fingerprint, pixel_statistics

Images: TypeAlias = npt.NDArray[np.uint8]
Labels: TypeAlias = npt.NDArray[np.int64]
Loader: TypeAlias = "Callable[[Path | None, int | None], Dataset]"
"""Function (path, resolution) -> data set.

`path` is the file or folder that holds the data, or None; `resolution` is the size to decode images to, in pixels, or
None. A loader whose data set has neither ignores the resolution, and refuses a path with DatasetError.
"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """Labelled images of one classification task, all of one size and in memory.

    The pairs of test and validation images and labels are optional. A study without validation images holds some of
    the training images out, and never looks at the test images.

    Raises
    ------
    DatasetError
        If the parts do not fit together: shapes, dtypes, numbers of images and labels, or a class without training
        images. DatasetError is a UserError.
    """

    name: str
    """Name of the data set, for messages and reports."""
    train_images: Images
    """Training images of shape (N, H, W, C) and dtype uint8, with H = W and C = 1 (grey) or 3 (RGB)."""
    train_labels: Labels
    """Their labels, of shape (N,) and dtype int64, from 0 to num_classes - 1."""
    test_images: Images | None = None
    """Test images, in the form of the training images."""
    test_labels: Labels | None = None
    """Labels of the test images."""
    val_images: Images | None = None
    """Validation images, in the form of the training images."""
    val_labels: Labels | None = None
    """Labels of the validation images."""
    class_names: tuple[str, ...]
    """Names of the classes, in the order of the labels; at least two."""
    grey_bits: int = DEEP_BITS
    """Bits of the grey levels in image files that store more than 8 (docs/images.md)."""
    # A frozen, slotted class has no room for functools.cached_property, so derived values are kept here.
    _statistics: list[tuple[float, float]] = field(default_factory=list, init=False, repr=False)
    _digest: list[str] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        _check_classes(self)
        train = _check_pair(self, "training", self.train_images, self.train_labels)
        if train is None:
            raise DatasetError(f"dataset '{self.name}': there are no training images")
        for split, images, labels in (
            ("test", self.test_images, self.test_labels),
            ("validation", self.val_images, self.val_labels),
        ):
            shape = _check_pair(self, split, images, labels)
            if shape not in (None, train):
                raise DatasetError(
                    f"dataset '{self.name}': {split} images are {shape} (height, width, channels), "
                    f"training images are {train}; they must be the same"
                )
        present = np.bincount(self.train_labels, minlength=self.num_classes)
        for class_name, count in zip(self.class_names, present, strict=True):
            if count == 0:
                raise DatasetError(f"dataset '{self.name}': class '{class_name}' has no training images")

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def in_channels(self) -> int:
        """Channels of an image: 1 (grey) or 3 (RGB)."""
        return int(self.train_images.shape[3])

    @property
    def resolution(self) -> int:
        """Height and width of an image, in pixels."""
        return int(self.train_images.shape[1])

    @property
    def mean(self) -> float:
        """Mean of all pixel values of the training images, from 0 to 1, rounded to a whole grey level / 255."""
        return self._pixel_statistics()[0]

    @property
    def std(self) -> float:
        """Standard deviation of those pixel values, on the scale of `mean`.

        It is never 0, so that one may divide by it: constant images have a deviation of one grey level, 1/255.
        """
        return self._pixel_statistics()[1]

    @property
    def fingerprint(self) -> str:
        """First 12 hexadecimal digits of the sha256 of the class names and of every array's shape and bytes."""
        if not self._digest:
            self._digest.append(fingerprint(self.class_names, self._arrays()))
        return self._digest[0]

    def _arrays(self) -> dict[str, Images | Labels | None]:
        splits = ("train_images", "train_labels", "test_images", "test_labels", "val_images", "val_labels")
        return {name: getattr(self, name) for name in splits}

    def _pixel_statistics(self) -> tuple[float, float]:
        if not self._statistics:
            self._statistics.append(pixel_statistics(self.train_images))
        return self._statistics[0]


def _check_classes(data: Dataset) -> None:
    names = data.class_names
    if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
        raise DatasetError(f"dataset '{data.name}': class_names must be a tuple of texts, not {cut(repr(names))}")
    if len(names) < 2:
        raise DatasetError(f"dataset '{data.name}': {len(names)} class; a classifier needs at least 2")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DatasetError(f"dataset '{data.name}': class name '{twice}' is used twice")


def _check_pair(data: Dataset, split: str, images: Images | None, labels: Labels | None) -> tuple[int, ...] | None:
    """Check one split; returns (height, width, channels), or None where the data has no such split."""
    where = f"dataset '{data.name}': {split}"
    if images is None and labels is None:
        return None
    if images is None or labels is None:
        raise DatasetError(f"{where} has {'labels' if images is None else 'images'} only; both are needed")
    if not isinstance(images, np.ndarray) or not isinstance(labels, np.ndarray):
        kinds = f"{type(images).__name__} and {type(labels).__name__}"
        raise DatasetError(f"{where} images and labels must be numpy arrays, not {kinds}")
    height, width, channels = images.shape[1:] if images.ndim == 4 else (0, 0, 0)
    if images.dtype != np.uint8 or height < 1 or height != width or channels not in (1, 3):
        raise DatasetError(
            f"{where} images have shape {images.shape}, dtype {images.dtype}; "
            "expected (count, size, size, 1 or 3), dtype uint8"
        )
    if labels.dtype != np.int64 or labels.ndim != 1:
        raise DatasetError(
            f"{where} labels have shape {labels.shape}, dtype {labels.dtype}; expected (count,), dtype int64"
        )
    if len(images) != len(labels):
        raise DatasetError(f"{where} has {count_of(len(images), 'image')} but {count_of(len(labels), 'label')}")
    if len(images) == 0:
        raise DatasetError(f"{where} has no images")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= data.num_classes:
        wrong = low if low < 0 else high
        raise DatasetError(f"{where} has label {wrong}; labels must be 0..{data.num_classes - 1}")
    return int(height), int(width), int(channels)


LOADERS: Registry[Loader] = Registry("dataset", "runners.datasets.builtin", plugins="datasets")


def dataset(name: str) -> Callable[[Loader], Loader]:
    """Register the decorated function as the loader of a data set.

    Parameters
    ----------
    name
        Name of the data set for ``--data`` and `load_dataset`.

    Returns
    -------
    Callable
        Decorator of a `Loader`.
    """

    def register(loader: Loader) -> Loader:
        LOADERS.add(name, loader)
        return loader

    return register


def dataset_names() -> tuple[str, ...]:
    """Names that `load_dataset` knows, sorted."""
    return tuple(LOADERS)


def load_dataset(name: str, path: Path | None = None, *, resolution: int | None = None) -> Dataset:
    """Load a data set into memory.

    Parameters
    ----------
    name
        Name of the data set: ``fashion-mini``, ``fashion-mnist``, ``cifar10``, ``image-folder``, ``digits``, or that of
        a plug-in.
    path
        File or folder that holds the data. By default it is the built-in copy, an installed one, the cache or a
        download, whichever the data set has.
    resolution
        Height and width in pixels to which ``image-folder`` decodes its images. The other data sets have a fixed size
        and ignore it.

    Returns
    -------
    Dataset
        The images and labels.

    Raises
    ------
    UserError
        If the name is unknown, or the data cannot be found, fetched or read (DatasetError).
    """
    return LOADERS[name](None if path is None else Path(path).expanduser(), resolution)
