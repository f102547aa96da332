"""The data sets of the project keep the contract of data sets, on small copies of those that are downloaded."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resfront.testing import DatasetContract
from runners.datasets import Dataset
from runners.datasets.base import LOADERS
from runners.datasets.builtin.arrays import save_arrays
from runners.datasets.builtin.fashion_mnist import FILES
from runners.datasets.formats.idx import write_idx
from tests.runners.datasets.builtin.test_cifar10 import write_batches

DRAWS = np.random.default_rng(0)


def pixels(*shape: int) -> np.ndarray:
    return DRAWS.integers(0, 256, shape, dtype=np.uint8)


def arrays(folder: Path) -> Path:
    labels = np.arange(30) % 3
    parts = {"train_images": pixels(30, 9, 9, 3), "val_images": pixels(6, 9, 9, 3), "val_labels": labels[:6]}
    save_arrays(folder / "images.npz", Dataset(name="x", class_names=("a", "b", "c"), train_labels=labels, **parts))
    return folder / "images.npz"


def image_folder(folder: Path) -> Path:
    for split, count in (("train", 6), ("val", 2), ("test", 2)):
        for name in ("cat", "dog"):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                Image.fromarray(pixels(20, 30, 3)).save(folder / split / name / f"{number}.png")
    return folder


def fashion_mnist(folder: Path) -> Path:
    for name in FILES:
        count = 40 if name.startswith("train") else 10
        write_idx(folder / name, pixels(count, 6, 6) if "images" in name else np.arange(count, dtype=np.uint8) % 10)
    return folder


MADE: dict[str, Callable[[Path], Path]] = {
    "arrays": arrays,
    "cifar10": write_batches,
    "fashion-mnist": fashion_mnist,
    "image-folder": image_folder,
}
"""How those that are not built in are made; each returns the path to load from."""


class TestDatasets(DatasetContract):
    @pytest.fixture(autouse=True, params=sorted(LOADERS))
    def named(self, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RESFRONT_DATA", str(tmp_path / "cache"))
        self.name = request.param
        if self.name in MADE:
            folder = tmp_path / "made"
            folder.mkdir()
            self.path = MADE[self.name](folder)
