"""Downloads from a server of the test itself: whole and checked, or one clear line and nothing left."""

import gc
import hashlib
import socket
import warnings

import numpy as np
import pytest

from runners.datasets import DatasetError, load_dataset
from runners.datasets.builtin import cifar10, fashion_mnist
from runners.datasets.download import download
from runners.datasets.formats.idx import write_idx

from .conftest import BODY

SHA256 = hashlib.sha256(BODY).hexdigest()


def assert_refused(error, url, word):
    message = str(error.value)
    assert "\n" not in message
    assert url in message and word in message and "--data-dir" in message


@pytest.fixture(autouse=True)
def sockets_collected():
    """What requests leaves open of a download that is cut short must not be found in the middle of another test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def test_a_good_file_arrives_whole_and_alone(server, tmp_path):
    target = tmp_path / "new" / "folder" / "good.bin"
    assert download(f"{server.url}/good", target, SHA256) == target
    assert target.read_bytes() == BODY
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize(
    ("name", "sha256", "word"),
    [
        ("good", "0" * 64, "sha256"),
        ("absent", SHA256, "HTTP 404"),
        ("cut", SHA256, f"1000 bytes read, {len(BODY) - 1000} more expected"),
        ("slow", SHA256, "timed out"),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pooch leaves a cut connection open
def test_what_went_wrong_is_named_and_nothing_is_left(server, tmp_path, name, sha256, word):
    target = tmp_path / "file.bin"
    with pytest.raises(DatasetError) as error:
        download(f"{server.url}/{name}", target, sha256, timeout_s=0.3)
    assert_refused(error, f"{server.url}/{name}", word)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_download_leaves_the_old_file_alone(server, tmp_path):
    target = tmp_path / "file.bin"
    target.write_bytes(b"old")
    with pytest.raises(DatasetError):
        download(f"{server.url}/good", target, "0" * 64)
    assert target.read_bytes() == b"old"


def test_no_network(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/file"
    with pytest.raises(DatasetError) as error:
        download(url, tmp_path / "file.bin", SHA256)
    assert_refused(error, url, "refused")
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_the_folder_should_be(server, tmp_path):
    (tmp_path / "blocked").write_bytes(b"")
    with pytest.raises(DatasetError, match="cannot write") as error:
        download(f"{server.url}/good", tmp_path / "blocked" / "file.bin", SHA256)
    assert "\n" not in str(error.value)


def test_fashion_mnist_is_downloaded_once(server, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for name in fashion_mnist.FILES:
        count = 20 if name.startswith("train") else 10
        array = np.arange(count, dtype=np.uint8) % 10
        if "images" in name:
            array = rng.integers(0, 256, (count, 6, 6), dtype=np.uint8)
        write_idx(tmp_path / name, array)
        server.files[name] = (tmp_path / name).read_bytes()
    sums = {name: hashlib.sha256(server.files[name]).hexdigest() for name in fashion_mnist.FILES}
    monkeypatch.setattr(fashion_mnist, "FILES", sums)
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", tmp_path / "absent")
    monkeypatch.setattr(fashion_mnist, "BASE_URL", server.url)
    monkeypatch.setenv("RESFRONT_DATA", str(tmp_path / "cache"))
    data = load_dataset("fashion-mnist")
    assert data.train_images.shape == (20, 6, 6, 1)
    assert load_dataset("fashion-mnist").fingerprint == data.fingerprint
    assert sorted(server.asked) == sorted(sums)


def test_cifar10_refuses_another_archive(server, tmp_path, monkeypatch):
    server.files[cifar10.ARCHIVE] = BODY
    monkeypatch.setattr(cifar10, "BASE_URL", server.url)
    monkeypatch.setenv("RESFRONT_DATA", str(tmp_path))
    with pytest.raises(DatasetError) as error:
        load_dataset("cifar10")
    assert_refused(error, f"{server.url}/{cifar10.ARCHIVE}", "sha256")
    assert list((tmp_path / "cifar10").iterdir()) == []
