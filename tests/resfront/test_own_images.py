"""Images that a program hands over become the same bytes in every form, or one line says what is wrong with them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import IterableDataset, Subset, TensorDataset, random_split

import resfront
from resfront import UserError
from resfront.own_images import dataset_of
from runners.datasets import DatasetError

COUNT = 12
PIXELS = np.random.default_rng(0).integers(0, 256, (COUNT, 9, 9, 3), dtype=np.uint8)
LABELS = np.arange(COUNT) % 3


class Items(TorchDataset[Any]):
    """A map-style data set of given items."""

    def __init__(self, items: list[Any], classes: Any = None) -> None:
        self.items = items
        if classes is not None:
            self.classes = classes

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


def items(form: Callable[[Any], Any], label: Callable[[int], Any] = int) -> Items:
    return Items([(form(pixels), label(number)) for pixels, number in zip(PIXELS, LABELS.tolist(), strict=True)])


def to_tensor(pixels: Any) -> torch.Tensor:
    """As torchvision's ToTensor does."""
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255


FORMS: dict[str, Any] = {
    "PIL images": items(Image.fromarray),
    "uint8 tensors, channels first": items(lambda pixels: torch.from_numpy(pixels).permute(2, 0, 1)),
    "uint8 tensors, channels last": items(torch.from_numpy),
    "float tensors": items(to_tensor),
    "half tensors of floats": items(lambda pixels: to_tensor(pixels).double()),
    "arrays": items(lambda pixels: pixels),
    "float arrays, channels first": items(lambda pixels: pixels.transpose(2, 0, 1) / 255),
    "labels that are tensors": items(Image.fromarray, torch.tensor),
    "labels that are numpy's": items(Image.fromarray, np.int16),
    "a TensorDataset": TensorDataset(torch.from_numpy(PIXELS).permute(0, 3, 1, 2), torch.from_numpy(LABELS)),
    "plain arrays": (PIXELS, LABELS),
    "plain arrays, channels first": (PIXELS.transpose(0, 3, 1, 2), LABELS.astype(np.uint8)),
    "plain floats": (PIXELS / np.float32(255), LABELS),
    "plain tensors": (torch.from_numpy(PIXELS), torch.from_numpy(LABELS)),
    "lists": ([Image.fromarray(pixels) for pixels in PIXELS], LABELS.tolist()),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_bytes(form: str) -> None:
    data = dataset_of(FORMS[form])
    np.testing.assert_array_equal(data.train_images, PIXELS)
    np.testing.assert_array_equal(data.train_labels, LABELS)
    assert data.class_names == ("0", "1", "2") and data.val_images is None and data.test_images is None


@pytest.mark.parametrize(
    "grey",
    [
        items(lambda pixels: Image.fromarray(pixels[..., 0])),
        items(lambda pixels: torch.from_numpy(pixels[..., 0])),
        items(lambda pixels: torch.from_numpy(pixels[..., :1]).permute(2, 0, 1)),
        (PIXELS[..., 0], LABELS),
    ],
    ids=["PIL", "without channels", "with one", "plain"],
)
def test_grey_images_have_one_channel(grey: Any) -> None:
    np.testing.assert_array_equal(dataset_of(grey).train_images, PIXELS[..., :1])


def test_transparent_images_are_laid_on_white_as_image_files_are() -> None:
    clear = Image.new("RGBA", (9, 9), (200, 0, 0, 0))
    assert (dataset_of(Items([(clear, 0), (clear, 1)])).train_images == 255).all()


def test_classes_have_the_names_that_the_data_set_gives() -> None:
    named = Items(FORMS["PIL images"].items, classes=["cat", "dog", "emu"])
    assert dataset_of(named).class_names == ("cat", "dog", "emu")
    assert dataset_of(Subset(named, range(6))).class_names == ("cat", "dog", "emu")


def test_a_pair_is_for_training_and_validation() -> None:
    whole = Items(FORMS["PIL images"].items, classes=["cat", "dog", "emu"])
    training, validation = random_split(whole, [9, 3], torch.Generator().manual_seed(4))
    data = dataset_of((training, validation))
    assert data.val_images is not None and data.class_names == ("cat", "dog", "emu")
    np.testing.assert_array_equal(data.train_images, PIXELS[training.indices])
    np.testing.assert_array_equal(data.val_images, PIXELS[validation.indices])
    assert data.val_labels is not None and data.val_labels.tolist() == LABELS[validation.indices].tolist()
    mixed = dataset_of((FORMS["float tensors"], (PIXELS[:2], LABELS[:2])))
    assert mixed.val_images is not None and len(mixed.train_images) == COUNT and len(mixed.val_images) == 2


def test_a_dataset_stays_as_it_is() -> None:
    data = dataset_of((PIXELS, LABELS))
    assert dataset_of(data) is data


class Stream(IterableDataset[Any]):
    """A data set without a length."""

    def __iter__(self) -> Iterator[Any]:
        return iter(FORMS["arrays"].items)


class CountedStream(Stream):
    """One with a length, whose items cannot be asked for."""

    def __len__(self) -> int:
        return 3


def image(size: int = 9, channels: int = 3) -> Any:
    return np.zeros((size, size, channels), np.uint8)


WRONG: list[tuple[Any, str]] = [
    (Items([(image(), 0), (image(8), 1)]), "training image 1: is 8 x 8 pixels of 3 channels, and image 0 is 9 x 9"),
    (Items([(image(), 0), (image(9, 1), 1)]), "image 1: is 9 x 9 pixels of 1 channel, and image 0"),
    (Items([(np.zeros((9, 8, 3), np.uint8), 0)]), "image 0: is 8 x 9 pixels of 3 channels; images must be square"),
    (Items([(np.zeros((9, 9, 4), np.uint8), 0)]), r"image 0: has shape \(9, 9, 4\); expected 1 or 3 channels"),
    (items(lambda pixels: to_tensor(pixels) * 4 - 2), r"image 0: has values from -\d.* to \d.*; floats must be"),
    (items(lambda pixels: pixels.astype(np.float32)), "image 0: has values from .* to 25.*divide"),
    (items(lambda pixels: to_tensor(pixels) * torch.nan), "has values from nan to nan"),
    (items(lambda pixels: pixels.astype(np.int64)), "image 0: has dtype int64; expected uint8, or floats"),
    (items(lambda pixels: "cat.png"), "image 0: must be a PIL image, an array or a tensor, not str"),
    (items(lambda pixels: Image.new("F", (9, 9))), "image 0: floating-point pixels have no known range"),
    (items(Image.fromarray, float), "image 0: its label must be a whole number, not 0.0"),
    (items(Image.fromarray, str), "its label must be a whole number, not '0'"),
    (items(Image.fromarray, lambda label: torch.eye(3)[label]), r"its label has shape \(3,\); expected the number"),
    (items(Image.fromarray, lambda label: label - 1), "image 0: its label is -1; classes are numbered from 0 on"),
    (items(Image.fromarray, lambda label: 10**30), "its label is 1000.*; classes are numbered from 0"),
    (items(Image.fromarray, lambda label: 2 * label), "class '1' has no training images"),
    (Items([{"image": image(), "label": 0}]), r"image 0: must be a pair \(image, label\), not dict"),
    (Items([(image(), 0, 1)]), "must be a pair .* not tuple of 3"),
    (Items([]), "there are no training images"),
    ((FORMS["arrays"], Items([])), "there are no validation images"),
    ((PIXELS, LABELS[:5]), "there are 12 training images and 5 labels"),
    ((PIXELS, 3), "data: must be .*, not tuple of 2 "),
    (PIXELS, "data: must be .*, not ndarray"),
    (Stream(), "Stream has no __len__; a map-style data set with a length is needed"),
    (CountedStream(), "CountedStream is iterable; a map-style data set"),
    (3, "data: must be .*, not int"),
    ({"images": PIXELS}, "data: must be .*, not dict"),
    ((1, 2), "data: must be .*, not int"),
    (Items(FORMS["arrays"].items, classes=["a", "b"]), "label 2; labels must be 0..1"),
]


@pytest.mark.parametrize(("data", "told"), WRONG, ids=[str(number) for number in range(len(WRONG))])
def test_what_is_wrong_is_one_line(data: Any, told: str) -> None:
    with pytest.raises(DatasetError, match=told) as refused:
        dataset_of(data)
    assert "\n" not in str(refused.value)


def test_a_search_refuses_what_it_cannot_use_before_it_makes_a_study(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="its label must be a whole number"):
        resfront.search("quick", name="x", runs=tmp_path, data=items(Image.fromarray, float), progress=False)
    assert list(tmp_path.iterdir()) == []
