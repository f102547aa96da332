"""The small data sets: digits, Fashion-MNIST in every form, and the subset of it that is shipped."""

import gzip
import importlib
from pathlib import Path

import numpy as np
import pytest

from runners.datasets import DatasetError, load_dataset
from runners.datasets.builtin.fashion_mini import DATA_FOLDER
from runners.datasets.builtin.fashion_mnist import DEBIAN_FOLDER
from runners.datasets.formats.idx import read_idx, write_idx

needs_debian = pytest.mark.skipif(not DEBIAN_FOLDER.is_dir(), reason="dataset-fashion-mnist is not installed")


def assert_one_line(error, *words):
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_digits_is_whole_and_stratified():
    from sklearn.datasets import load_digits

    data = load_dataset("digits")
    assert data.train_images.shape == (1437, 8, 8, 1)
    assert data.test_images.shape == (360, 8, 8, 1)
    assert data.train_images.min() == 0 and data.train_images.max() == 255
    total = np.bincount(load_digits().target)
    share = np.bincount(data.test_labels) / total
    assert np.abs(share - 360 / 1797).max() < 1 / total.min()
    together = np.concatenate([data.train_images, data.test_images]).reshape(1797, -1)
    assert (
        np.sort(together.sum(axis=1)).tolist() == np.sort(np.rint(load_digits().data * 255 / 16).sum(axis=1)).tolist()
    )
    # Pinned, as results are compared across machines and versions of numpy.
    assert data.fingerprint == "61b45836b2ac"


def test_fashion_mini_is_balanced_small_and_licensed():
    data = load_dataset("fashion-mini")
    assert data.train_images.shape == (6000, 28, 28, 1)
    assert data.test_images.shape == (2000, 28, 28, 1)
    assert np.bincount(data.train_labels).tolist() == [600] * 10
    assert np.bincount(data.test_labels).tolist() == [200] * 10
    assert data.fingerprint == "d64685d6c4c7"
    # Fashion-MNIST's published mean is .2860 (grey level 73) and its deviation .3530.
    assert data.mean == 73 / 255
    assert data.std == pytest.approx(0.3530, abs=0.003)
    assert sum(file.stat().st_size for file in DATA_FOLDER.glob("*.gz")) <= 4_000_000
    assert "Zalando SE" in (DATA_FOLDER / "LICENSE").read_text(encoding="utf-8")


@needs_debian
def test_make_reproduces_the_shipped_subset(tmp_path):
    make = importlib.import_module("runners.datasets.builtin.fashion_mini_data.make")
    make.make(DEBIAN_FOLDER, tmp_path)
    for shipped in sorted(DATA_FOLDER.glob("*.gz")):
        ndim = 3 if "images" in shipped.name else 1
        np.testing.assert_array_equal(read_idx(tmp_path / shipped.name, ndim), read_idx(shipped, ndim))
    assert len(list(tmp_path.iterdir())) == 4


@needs_debian
def test_fashion_mnist_is_the_published_one(monkeypatch, tmp_path):
    monkeypatch.setenv("RESFRONT_DATA", str(tmp_path))
    data = load_dataset("fashion-mnist")
    assert data.train_images.shape == (60000, 28, 28, 1)
    assert np.bincount(data.train_labels).tolist() == [6000] * 10
    assert np.bincount(data.test_labels).tolist() == [1000] * 10
    assert data.mean == 73 / 255
    assert data.std == pytest.approx(0.3530, abs=5e-5)
    assert data.class_names[data.train_labels[0]] == "Ankle boot"


@pytest.mark.parametrize("name", ["digits", "fashion-mini"])
def test_a_path_for_built_in_data_is_refused(name, tmp_path):
    with pytest.raises(DatasetError) as error:
        load_dataset(name, tmp_path)
    assert_one_line(error, name, str(tmp_path), "built in")


@pytest.fixture
def tiny_fashion(tmp_path):
    """A folder in Fashion-MNIST's format: 20 training and 10 test images of 6x6."""
    rng = np.random.default_rng(2)
    for split, count in (("train", 20), ("t10k", 10)):
        write_idx(tmp_path / f"{split}-images-idx3-ubyte.gz", rng.integers(0, 256, (count, 6, 6), dtype=np.uint8))
        write_idx(tmp_path / f"{split}-labels-idx1-ubyte.gz", np.arange(count, dtype=np.uint8) % 10)
    return tmp_path


def test_fashion_mnist_from_a_folder(tiny_fashion):
    data = load_dataset("fashion-mnist", tiny_fashion)
    assert data.train_images.shape == (20, 6, 6, 1)
    assert data.test_labels.tolist() == list(range(10))
    assert data.train_images.flags.writeable


def truncate(path):
    path.write_bytes(path.read_bytes()[:-20])


def shorten_header(path):
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[7] += 1
    path.write_bytes(gzip.compress(bytes(content)))


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (truncate, "cannot be read"),
        (Path.unlink, "has no train-images"),
        (lambda path: path.write_bytes(b"not gzip"), "cannot be read"),
        (lambda path: write_idx(path, np.zeros(4, np.uint8)), "not an IDX file"),
        (shorten_header, "header promises"),
        (lambda path: write_idx(path, np.zeros((19, 6, 6), np.uint8)), "19 images but 20 labels"),
    ],
)
def test_broken_fashion_mnist_files_are_named(tiny_fashion, damage, word):
    damage(tiny_fashion / "train-images-idx3-ubyte.gz")
    with pytest.raises(DatasetError) as error:
        load_dataset("fashion-mnist", tiny_fashion)
    assert_one_line(error, word)


def test_fashion_mnist_needs_a_folder(tmp_path):
    with pytest.raises(DatasetError) as error:
        load_dataset("fashion-mnist", tmp_path / "absent")
    assert_one_line(error, "absent", "no such folder")
    file = tmp_path / "file.gz"
    file.write_bytes(b"")
    with pytest.raises(DatasetError) as error:
        load_dataset("fashion-mnist", file)
    assert_one_line(error, "file.gz", "is a file")


def test_plain_idx_files_are_read_too(tiny_fashion):
    before = load_dataset("fashion-mnist", tiny_fashion).fingerprint
    for file in list(tiny_fashion.glob("*.gz")):
        file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
        file.unlink()
    assert load_dataset("fashion-mnist", tiny_fashion).fingerprint == before
