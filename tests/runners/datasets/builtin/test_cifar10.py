"""CIFAR-10 in each of its forms, made small here, and the real one if RESFRONT_CIFAR10 names its folder."""

import hashlib
import io
import json
import os
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runners.datasets import DatasetError, load_dataset
from runners.datasets.builtin import cifar10
from runners.datasets.formats import cifar10_files

REAL = os.environ.get("RESFRONT_CIFAR10")
PER_BATCH = 20


def make_batches():
    """Six pairs of images (20, 32, 32, 3) and labels, test last."""
    rng = np.random.default_rng(3)
    return [
        (rng.integers(0, 256, (PER_BATCH, 32, 32, 3), dtype=np.uint8), rng.permutation(PER_BATCH) % 10)
        for _ in range(6)
    ]


def python2_pickle(images, labels):
    """The bytes that Python 2 and its numpy wrote: str for bytes, and 0 and 1 for the dtype's booleans."""

    def text(value):
        return b"U" + bytes([len(value)]) + value

    planes = images.transpose(0, 3, 1, 2).tobytes()
    shape = b"".join(b"J" + struct.pack("<i", size) for size in (len(images), 3072)) + b"\x86"
    dtype = b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R"
    dtype += b"(K\x03" + text(b"|") + b"NNN" + b"J\xff\xff\xff\xff" * 2 + b"K\x00tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
    array += b"(K\x01" + shape + dtype + b"\x89T" + struct.pack("<i", len(planes)) + planes + b"tb"
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(" + text(b"labels") + numbers + text(b"data") + array + b"u."


def python3_pickle(images, labels):
    data = images.transpose(0, 3, 1, 2).reshape(len(images), -1).copy()
    return pickle.dumps({"data": data, "labels": [int(label) for label in labels]}, protocol=2)


def write_batches(folder, pickled=python2_pickle):
    folder.mkdir(parents=True, exist_ok=True)
    for name, (images, labels) in zip(cifar10_files.BATCHES, make_batches(), strict=True):
        (folder / name).write_bytes(pickled(images, labels))
    return folder


def write_archive(path, folder):
    with tarfile.open(path, "w:gz") as archive:
        archive.add(write_batches(folder), arcname="cifar-10-batches-py")
    return path


def write_strips(folder):
    folder.mkdir(parents=True, exist_ok=True)
    batches = make_batches()
    for name, (images, _) in zip(cifar10_files.STRIPS, batches, strict=True):
        Image.fromarray(images.reshape(PER_BATCH, 1024, 3)).save(folder / name)
    train = [int(label) for _, labels in batches[:-1] for label in labels]
    test = [int(label) for label in batches[-1][1]]
    for name, labels in zip(cifar10_files.LABELS, (train, test), strict=True):
        (folder / name).write_text(json.dumps(labels))
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RESFRONT_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache" / "cifar10"


def assert_is_made(data):
    images, labels = zip(*make_batches(), strict=True)
    np.testing.assert_array_equal(data.train_images, np.concatenate(images[:5]))
    np.testing.assert_array_equal(data.train_labels, np.concatenate(labels[:5]))
    np.testing.assert_array_equal(data.test_images, images[5])
    np.testing.assert_array_equal(data.test_labels, labels[5])
    assert data.class_names[0] == "airplane" and data.class_names[9] == "truck"


@pytest.mark.parametrize("pickled", [python2_pickle, python3_pickle])
def test_the_unpacked_archive(tmp_path, cache, pickled):
    folder = write_batches(tmp_path / "data" / "cifar-10-batches-py", pickled)
    assert_is_made(load_dataset("cifar10", folder))
    assert_is_made(load_dataset("cifar10", tmp_path / "data"))
    assert not cache.exists()


def test_the_archive_and_its_folder(tmp_path):
    (tmp_path / "data").mkdir()
    archive = write_archive(tmp_path / "data" / cifar10.ARCHIVE, tmp_path / "unpacked")
    assert_is_made(load_dataset("cifar10", archive))
    assert_is_made(load_dataset("cifar10", tmp_path / "data"))


def test_the_strips_and_the_folder_above(tmp_path):
    folder = write_strips(tmp_path / "data" / "package")
    assert_is_made(load_dataset("cifar10", folder))
    assert_is_made(load_dataset("cifar10", tmp_path / "data"))


def test_the_cache_folder_is_the_default(cache):
    write_batches(cache / "cifar-10-batches-py")
    assert_is_made(load_dataset("cifar10"))


def test_a_download_is_read(tmp_path, monkeypatch, server):
    archive = write_archive(tmp_path / cifar10.ARCHIVE, tmp_path / "unpacked")
    server.files[cifar10.ARCHIVE] = archive.read_bytes()
    monkeypatch.setattr(cifar10, "BASE_URL", server.url)
    monkeypatch.setattr(cifar10, "ARCHIVE_SHA256", hashlib.sha256(archive.read_bytes()).hexdigest())
    assert_is_made(load_dataset("cifar10"))


def test_decoding_happens_once_until_a_source_changes(tmp_path, cache, monkeypatch):
    folder = write_strips(tmp_path / "package")
    load_dataset("cifar10", folder)
    (entry,) = cache.iterdir()
    monkeypatch.setattr(cifar10, "read_strips", lambda folder: pytest.fail("decoded again"))
    assert_is_made(load_dataset("cifar10", folder))
    monkeypatch.undo()
    monkeypatch.setenv("RESFRONT_DATA", str(cache.parent))
    swapped = Image.fromarray(np.zeros((PER_BATCH, 1024, 3), np.uint8))
    swapped.save(folder / "test_batch.png")
    assert load_dataset("cifar10", folder).test_images.max() == 0
    (replaced,) = cache.iterdir()
    assert replaced != entry


def test_a_damaged_or_blocked_cache_is_worked_around(tmp_path, cache):
    folder = write_strips(tmp_path / "package")
    load_dataset("cifar10", folder)
    (entry,) = cache.iterdir()
    entry.write_bytes(entry.read_bytes()[:5000])
    assert_is_made(load_dataset("cifar10", folder))
    entry.unlink()
    cache.rmdir()
    cache.write_bytes(b"in the way")
    assert_is_made(load_dataset("cifar10", folder))


class Evil:
    def __reduce__(self):
        return Path.touch, (Path(os.environ["RESFRONT_DATA"] + "-evil"),)


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_cannot_run_code(tmp_path, protocol):
    folder = write_batches(tmp_path / "data")
    (folder / "data_batch_2").write_bytes(pickle.dumps({"data": Evil(), "labels": []}, protocol=protocol))
    with pytest.raises(DatasetError, match=r"data_batch_2: cannot be unpickled \(it asks for"):
        load_dataset("cifar10", folder)
    assert not list(tmp_path.glob("*evil*"))


def cut(path):
    path.write_bytes(path.read_bytes()[:-50])


BAD_BATCHES = [
    (cut, "cannot be unpickled"),
    (Path.unlink, "lacks data_batch_3"),
    (lambda path: path.write_bytes(b""), "cannot be unpickled"),
    (lambda path: path.write_bytes(pickle.dumps([1, 2])), "no 'data'"),
    (lambda path: path.write_bytes(pickle.dumps({"data": "x", "labels": [1]})), "no 'data'"),
    (lambda path: path.write_bytes(python2_pickle(make_batches()[0][0], [1, 2])), "2 labels for 20 images"),
    (lambda path: path.write_bytes(python2_pickle(make_batches()[0][0], [11] * 20)), "from 0 to 9"),
]


@pytest.mark.parametrize(("damage", "word"), BAD_BATCHES)
def test_a_broken_batch_is_named(tmp_path, damage, word):
    damage(write_batches(tmp_path / "data") / "data_batch_3")
    with pytest.raises(DatasetError) as error:
        load_dataset("cifar10", tmp_path / "data")
    assert "data" in str(error.value) and word in str(error.value) and "\n" not in str(error.value)


BAD_STRIPS = [
    ("data_batch_3.png", cut, "data_batch_3.png: cannot be decoded"),
    ("data_batch_3.png", Path.unlink, "lacks data_batch_3.png"),
    ("data_batch_3.png", lambda path: path.write_bytes(b"GIF89a"), "data_batch_3.png: cannot be decoded"),
    ("data_batch_3.png", lambda path: Image.new("RGB", (900, 5)).save(path), "900 pixels wide"),
    ("test_batch.png", lambda path: Image.new("RGB", (1024, 5)).save(path), "20 labels for 5 images"),
    ("train_lables.json", cut, "train_lables.json: is not JSON"),
    ("train_lables.json", Path.unlink, "lacks train_lables.json"),
    ("train_lables.json", lambda path: path.write_text('{"a": 1}'), "not a list of whole numbers"),
    ("train_lables.json", lambda path: path.write_text("[1, 2.5]"), "not a list of whole numbers"),
]


@pytest.mark.parametrize(("name", "damage", "word"), BAD_STRIPS)
def test_a_broken_strip_or_label_file_is_named(tmp_path, cache, name, damage, word):
    damage(write_strips(tmp_path / "data") / name)
    with pytest.raises(DatasetError) as error:
        load_dataset("cifar10", tmp_path / "data")
    assert word in str(error.value) and "\n" not in str(error.value)
    assert not cache.exists()


def test_bad_archives(tmp_path, cache):
    archive = write_archive(tmp_path / cifar10.ARCHIVE, tmp_path / "unpacked")
    whole = archive.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"not a tar"):
        archive.write_bytes(content)
        with pytest.raises(DatasetError, match=r"is not a whole \.tar\.gz") as error:
            load_dataset("cifar10", archive)
        assert "\n" not in str(error.value)
    with tarfile.open(archive, "w:gz") as empty:
        empty.addfile(tarfile.TarInfo("readme"), io.BytesIO())
    with pytest.raises(DatasetError, match="lacks data_batch_1"):
        load_dataset("cifar10", archive)
    assert not cache.exists()


def test_wrong_paths(tmp_path):
    with pytest.raises(DatasetError, match="no such file or folder"):
        load_dataset("cifar10", tmp_path / "absent")
    with pytest.raises(DatasetError, match="holds no CIFAR-10"):
        load_dataset("cifar10", tmp_path)


@pytest.mark.skipif(REAL is None, reason="RESFRONT_CIFAR10 does not name a folder with CIFAR-10")
def test_the_real_one_has_the_published_statistics():
    data = load_dataset("cifar10", Path(REAL))
    assert data.train_images.shape == (50000, 32, 32, 3)
    assert np.bincount(data.train_labels).tolist() == [5000] * 10
    assert np.bincount(data.test_labels).tolist() == [1000] * 10
    means, deviations = np.array([0.4914, 0.4822, 0.4465]), np.array([0.2470, 0.2435, 0.2616])
    assert data.mean == round(255 * means.mean()) / 255
    of_all = np.sqrt((deviations**2 + (means - means.mean()) ** 2).mean())
    assert data.std == pytest.approx(of_all, abs=5e-5)
    assert data.class_names[data.train_labels[0]] == "frog"
    assert data.fingerprint == "734e63d5811b"
