"""Images that a program hands over: a torch data set or arrays, converted once to a `Dataset`."""

import math
import operator
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from runners.datasets import Dataset, DatasetError
from runners.datasets.base import Images, Labels
from runners.datasets.pixels import DEEP_BITS, require_range, to_rgb
from search_space.errors import shown
from search_space.spec import MAX_CLASSES
from search_space.texts.counting import count_of

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch.utils.data import Dataset as TorchDataset

    OwnImages: TypeAlias = "Dataset | TorchDataset[Any] | Sequence[Any]"

_KINDS = (
    "a data set's name, a resfront.Dataset, a torch data set of (image, label), a pair of arrays (images, labels), "
    "or a pair of either two for training and validation"
)
_CHANNELS = (1, 3)
_ROUNDING = 1e-4
"""By how much floats may leave 0 to 1: resizing rounds."""


def dataset_of(data: "OwnImages") -> Dataset:
    """Return the images of `data` as uint8 arrays, with the names of their classes.

    `data` is a map-style torch data set whose items are (image, label), or arrays (images, labels), or a pair of either
    two for training and validation. An image is a PIL image, or an array or a tensor of uint8 or of floats from 0 to 1,
    with its channels first or last. Classes are named by the data set's `classes`, else by their numbers.

    Raises
    ------
    DatasetError
        For anything else, in one line that names the image or the label at fault.
    """
    if isinstance(data, Dataset):
        return data
    is_pair = isinstance(data, tuple | list) and len(data) == 2 and not _are_images(data[0])
    training, validation = data if is_pair else (data, None)  # type: ignore[misc]
    train_images, train_labels = _arrays("training", training)
    val_images, val_labels = (None, None) if validation is None else _arrays("validation", validation)
    most = max(int(labels.max()) for labels in (train_labels, val_labels) if labels is not None)
    return Dataset(
        name="data",
        train_images=train_images,
        train_labels=train_labels,
        val_images=val_images,
        val_labels=val_labels,
        class_names=_class_names(training) or tuple(map(str, range(most + 1))),
    )


def _arrays(split: str, data: Any) -> tuple[Images, Labels]:
    """Return all images (N, size, size, channels) and labels (N,) of a part."""
    count, items = _items(split, data)
    if count == 0:
        raise DatasetError(f"data: there are no {split} images")
    labels = np.empty(count, dtype=np.int64)
    images: Images | None = None
    for number, item in enumerate(items):
        where = f"data: {split} image {number}"
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise DatasetError(f"{where}: must be a pair (image, label), not {_described(item)}")
        pixels, labels[number] = _pixels(where, item[0]), _label(where, item[1])
        if images is None:
            images = np.empty((count, *pixels.shape), dtype=np.uint8)
        if pixels.shape != images.shape[1:]:
            raise DatasetError(
                f"{where}: is {_size(pixels.shape)}, and image 0 is {_size(images.shape[1:])}; make them alike"
            )
        images[number] = pixels
    assert images is not None
    return images, labels


def _items(split: str, data: Any) -> tuple[int, Iterable[Any]]:
    """Return how many images a part has, and an iterator over its pairs (image, label)."""
    if isinstance(data, tuple | list):
        if len(data) != 2 or not _are_images(data[0]) or not hasattr(data[1], "__len__"):
            raise DatasetError(f"data: must be {_KINDS}, not {_described(data)}")
        images, labels = data
        if len(images) != len(labels):
            raise DatasetError(
                f"data: there are {count_of(len(images), f'{split} image')} and {count_of(len(labels), 'label')}"
            )
        return len(images), zip(images, labels, strict=True)
    if not hasattr(data, "__getitem__") or isinstance(data, Mapping | str | bytes) or _are_images(data):
        raise DatasetError(f"data: must be {_KINDS}, not {_described(data)}")
    if not hasattr(data, "__len__") or _is_of_torch(data, "utils.data.IterableDataset"):
        lacks = "is iterable" if hasattr(data, "__len__") else "has no __len__"
        raise DatasetError(f"data: {type(data).__name__} {lacks}; a map-style data set with a length is needed")
    return len(data), (data[number] for number in range(len(data)))


def _are_images(data: Any) -> bool:
    """Whether this is the first of a pair (images, labels)."""
    return isinstance(data, np.ndarray | list) or _is_of_torch(data, "Tensor")


def _pixels(where: str, image: Any) -> Images:
    """Return an image as uint8 (size, size, channels)."""
    from PIL.Image import Image

    if isinstance(image, Image):
        levels, channels_first = _of_pil(where, image), False
    elif _is_of_torch(image, "Tensor"):
        tensor = image.detach().cpu()
        levels, channels_first = (tensor.float() if tensor.is_floating_point() else tensor).numpy(), True
    elif isinstance(image, np.ndarray):
        levels, channels_first = image, False
    else:
        raise DatasetError(f"{where}: must be a PIL image, an array or a tensor, not {_described(image)}")
    if levels.ndim == 2:
        levels = levels[..., None]
    is_last = levels.ndim == 3 and levels.shape[-1] in _CHANNELS
    is_first = levels.ndim == 3 and levels.shape[0] in _CHANNELS
    if is_first and (channels_first or not is_last):
        levels = levels.transpose(1, 2, 0)
    elif not is_last:
        raise DatasetError(f"{where}: has shape {levels.shape}; expected 1 or 3 channels, first or last")
    if levels.shape[0] != levels.shape[1]:
        raise DatasetError(f"{where}: is {_size(levels.shape)}; images must be square")
    return _bytes(where, levels)


def _of_pil(where: str, image: "Image") -> NDArray[Any]:
    """Return a grey PIL image as grey levels, and one of any other mode as RGB."""
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))
    try:
        require_range(image)
    except ValueError as error:
        raise DatasetError(f"{where}: {error}") from None
    return np.asarray(to_rgb(image, DEEP_BITS))


def _bytes(where: str, levels: NDArray[Any]) -> Images:
    """Return levels as uint8; floats from 0 to 1 become 0 to 255."""
    if levels.dtype == np.uint8:
        return levels
    if not np.issubdtype(levels.dtype, np.floating):
        raise DatasetError(f"{where}: has dtype {levels.dtype}; expected uint8, or floats from 0 to 1")
    low, high = float(levels.min()), float(levels.max())
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):
        raise DatasetError(
            f"{where}: has values from {low:.3g} to {high:.3g}; floats must be from 0 to 1, so leave out a Normalize "
            "(networks normalise by themselves), and divide levels up to 255 by 255"
        )
    rounded: Images = np.round(levels.clip(0, 1).astype(np.float64) * 255).astype(np.uint8)
    return rounded


def _label(where: str, label: Any) -> int:
    """Return the number of a class."""
    if isinstance(label, np.ndarray | np.generic) or _is_of_torch(label, "Tensor"):
        if math.prod(label.shape) != 1:
            raise DatasetError(f"{where}: its label has shape {tuple(label.shape)}; expected the number of its class")
        label = label.item()
    try:
        number = operator.index(label)
    except TypeError:
        raise DatasetError(f"{where}: its label must be a whole number, not {shown(label)}") from None
    if not 0 <= number < MAX_CLASSES:
        raise DatasetError(f"{where}: its label is {shown(number)}; classes are numbered from 0 on")
    return number


def _class_names(data: Any) -> tuple[str, ...]:
    """Return the names of a data set's classes, or of the one that it is a subset of; empty where neither has any."""
    while data is not None:
        if classes := getattr(data, "classes", None):
            return tuple(map(str, classes))
        data = getattr(data, "dataset", None)
    return ()


def _is_of_torch(value: Any, kind: str) -> bool:
    """Whether this is of a class of torch; where torch is not imported, nothing is."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, operator.attrgetter(kind)(torch))


def _size(shape: Sequence[int]) -> str:
    height, width, channels = shape
    return f"{width} x {height} pixels of {count_of(channels, 'channel')}"


def _described(value: Any) -> str:
    if isinstance(value, tuple | list):
        kinds = ", ".join(type(each).__name__ for each in value[:4])
        return f"{type(value).__name__} of {len(value)} ({kinds}{', ...' if len(value) > 4 else ''})"
    return type(value).__name__
