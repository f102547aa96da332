"""A Dataset checks itself and describes itself; its registry knows every name and stays light."""

import dataclasses
import pickle
import subprocess
import sys

import numpy as np
import pytest

from runners.datasets import Dataset, DatasetError, dataset_names, load_dataset
from search_space.errors import UserError


def make_parts(num_classes=3, per_class=4, size=5, channels=3, **changes):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(num_classes, dtype=np.int64), per_class)
    parts = {
        "name": "made",
        "train_images": rng.integers(0, 256, (len(labels), size, size, channels), dtype=np.uint8),
        "train_labels": labels,
        "test_images": rng.integers(0, 256, (num_classes, size, size, channels), dtype=np.uint8),
        "test_labels": np.arange(num_classes, dtype=np.int64),
        "class_names": tuple("abcdefghij"[:num_classes]),
    }
    return parts | changes


def assert_one_line(error, *words):
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_properties_follow_from_the_arrays():
    data = Dataset(**make_parts(num_classes=4, size=7, channels=1))
    assert (data.num_classes, data.in_channels, data.resolution) == (4, 1, 7)
    assert data.val_images is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.name = "other"
    assert not hasattr(data, "__dict__")


def test_mean_and_std_match_numpy_over_several_chunks():
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (5000, 3, 3, 3), dtype=np.uint8)
    images[..., 1] //= 3
    labels = np.arange(5000) % 2
    data = Dataset(**make_parts(2, size=3, train_images=images, train_labels=labels))
    scaled = images.astype(np.float64) / 255
    assert 255 * data.mean == pytest.approx(round(255 * scaled.mean()), abs=1e-9)
    np.testing.assert_allclose(data.std, scaled.std(), rtol=1e-12)


def test_constant_images_can_be_divided_by():
    images = np.full((12, 5, 5, 3), 255, dtype=np.uint8)
    data = Dataset(**make_parts(train_images=images))
    assert (data.mean, data.std) == (1.0, 1 / 255)


def test_fingerprint_changes_with_every_part_and_with_nothing_else():
    parts = make_parts()
    base = Dataset(**parts).fingerprint
    assert len(base) == 12 and int(base, 16) >= 0
    assert Dataset(**make_parts(name="renamed")).fingerprint == base
    assert pickle.loads(pickle.dumps(Dataset(**parts))).fingerprint == base
    brighter = parts["train_images"].copy()
    brighter[0, 0, 0, 0] ^= 1
    relabelled = parts["test_labels"][::-1].copy()
    others = [
        make_parts(train_images=brighter),
        make_parts(test_labels=relabelled),
        make_parts(class_names=("a", "b", "z")),
        make_parts(test_images=None, test_labels=None),
        make_parts(val_images=parts["test_images"], val_labels=parts["test_labels"]),
    ]
    prints = {Dataset(**other).fingerprint for other in others}
    assert len(prints | {base}) == len(others) + 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train_labels": np.zeros(11, np.int64)}, ["12 images", "11 labels"]),
        ({"train_labels": np.array([0, 1, 3] * 4)}, ["label 3", "0..2"]),
        ({"train_labels": np.array([0, 1, -1] * 4)}, ["label -1", "0..2"]),
        ({"train_labels": np.array([0, 1, 0] * 4)}, ["class 'c' has no training images"]),
        ({"train_labels": np.array([0, 1, 2] * 4, np.int32)}, ["int32", "int64"]),
        ({"train_images": np.zeros((12, 5, 5, 3))}, ["float64", "uint8"]),
        ({"train_images": np.zeros((12, 5, 6, 3), np.uint8)}, ["(12, 5, 6, 3)"]),
        ({"train_images": np.zeros((12, 5, 5, 2), np.uint8)}, ["(12, 5, 5, 2)"]),
        ({"train_images": np.zeros((12, 5, 5), np.uint8)}, ["(12, 5, 5)"]),
        ({"train_images": np.zeros((12, 4, 4, 3), np.uint8)}, ["test", "(5, 5, 3)", "(4, 4, 3)"]),
        ({"test_labels": None}, ["test", "images only"]),
        ({"val_labels": np.zeros(3, np.int64)}, ["validation", "labels only"]),
        ({"test_images": np.zeros((0, 5, 5, 3), np.uint8), "test_labels": np.zeros(0, np.int64)}, ["test"]),
        ({"class_names": ("a", "a", "b")}, ["'a'", "twice"]),
        ({"class_names": ("a",)}, ["1 class", "2"]),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes, words):
    with pytest.raises(DatasetError) as error:
        Dataset(**make_parts(**changes))
    assert_one_line(error, "'made'", *words)


def test_names_and_the_closest_name():
    assert {"cifar10", "digits", "fashion-mini", "fashion-mnist", "image-folder"} <= set(dataset_names())
    with pytest.raises(UserError, match="did you mean 'cifar10'"):
        load_dataset("cifer10")


def test_importing_and_listing_stays_light():
    code = (
        "import sys; from runners.datasets import dataset_names; dataset_names();"
        "print(sorted({'torch', 'sklearn', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_digits_are_scikit_learns() -> None:
    from sklearn.datasets import load_digits

    bunch, ours = load_digits(), load_dataset("digits")
    images = np.concatenate([ours.train_images, ours.test_images])[..., 0] * (16 / 255)
    labels = np.concatenate([ours.train_labels, ours.test_labels])

    def as_rows(images: np.ndarray, labels: np.ndarray) -> list[tuple[float, ...]]:
        return sorted((*image.ravel().round().tolist(), label) for image, label in zip(images, labels, strict=True))

    assert as_rows(images, labels) == as_rows(bunch.images, bunch.target)
