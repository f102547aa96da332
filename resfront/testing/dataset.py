"""What a data set promises: checked arrays, the same in every process, with images to validate on."""

import subprocess
import sys
import warnings
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
import torch

from runners.config import DataConfig
from runners.datasets import Dataset, load_dataset
from runners.datasets.base import Images, Labels
from runners.training.batches import to_device
from runners.training.proxy_images import proxy_images
from search_space.errors import UserError

_FINGERPRINT = """
import sys
from pathlib import Path
from runners.datasets import load_dataset
name, path, resolution = sys.argv[1:]
print(load_dataset(name, Path(path) if path else None, resolution=int(resolution) if resolution else None).fingerprint)
"""


class DatasetContract:
    """Tests of the data set `name`, loaded from `path` where it needs one.

    The package that has it must be installed, because workers look for it there.
    """

    name: str
    path: Path | None = None
    resolution: int | None = None
    """Pixels that are asked for; a data set of a fixed size ignores it."""

    def load(self) -> Dataset:
        """Return the data set under test."""
        return load_dataset(self.name, self.path, resolution=self.resolution)

    def test_it_has_images_and_labels_of_the_agreed_form(self) -> None:
        """uint8 (N, size, size, 1 or 3) and int64 (N,), every class among the training images."""
        data = self.load()
        assert isinstance(data, Dataset)
        assert data.name == self.name
        classes = len(data.class_names)
        assert classes >= 2 and len(set(data.class_names)) == classes
        assert all(isinstance(name, str) and name for name in data.class_names)
        for images, labels in _splits(data):
            assert images.dtype == np.uint8 and images.shape[1:] == data.train_images.shape[1:]
            assert images.shape[1] == images.shape[2] and images.shape[3] in (1, 3)
            assert labels.dtype == np.int64 and labels.shape == (len(images),)
            assert labels.min() >= 0 and labels.max() < classes
        assert np.bincount(data.train_labels, minlength=classes).all()

    def test_its_pixels_use_the_grey_levels(self) -> None:
        """0 is black and 255 white; floats from 0 to 1 that were cast would be nearly black."""
        data = self.load()
        assert data.train_images.max() > 1
        assert 0 < data.mean < 1 and 1 / 255 < data.std <= 0.51
        few = data.train_images[:: max(1, len(data.train_images) // 1000)].astype(np.float64) / 255
        assert abs(few.mean() - data.mean) < 0.1 and abs(few.std() - data.std) < 0.1

    def test_its_images_differ(self) -> None:
        """Within each class, where it has several."""
        data = self.load()
        for number, name in enumerate(data.class_names):
            members = data.train_images[data.train_labels == number][:50]
            assert len(members) == 1 or len(_digests(members)) > 1, f"all images of '{name}' are the same"

    def test_every_process_loads_the_same(self) -> None:
        """Workers must see the images that the study was made for; nothing is drawn without a seed."""
        first, again = self.load(), self.load()
        assert first.fingerprint == again.fingerprint
        place = "" if self.path is None else str(Path(self.path).absolute())
        size = "" if self.resolution is None else str(self.resolution)
        command = [sys.executable, "-c", _FINGERPRINT, self.name, place, size]
        worker = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
        assert worker.returncode == 0, worker.stderr
        assert worker.stdout.split()[-1:] == [first.fingerprint]

    def test_its_fingerprint_is_that_of_what_it_holds(self) -> None:
        """Another pixel, another label or another class is another data set."""
        data = self.load()
        before = data.fingerprint
        image, labels = data.train_images[:1].copy(), data.train_labels.copy()
        assert replace(data).fingerprint == before, "the arrays have changed since the fingerprint was taken"
        image[0, 0, 0, 0] ^= 255
        other = int(np.flatnonzero(labels != labels[0])[0])
        labels[[0, other]] = labels[[other, 0]]
        others = [
            replace(data, train_images=np.concatenate([image, data.train_images[1:]])),
            replace(data, train_labels=labels),
            replace(data, class_names=(*data.class_names[:-1], "another")),
        ]
        assert before not in {other.fingerprint for other in others}

    def test_there_are_images_to_validate_on(self) -> None:
        """Every class is trained on and validated on, and no image is in both."""
        data = self.load()
        training, validation = proxy_images(data, DataConfig(name=self.name))
        for part in (training, validation):
            assert np.bincount(part.labels, minlength=data.num_classes).all()
        if data.val_images is not None:
            shared = len(_digests(data.val_images) & _digests(data.train_images))
            assert shared == 0, f"{shared} validation images are training images too"
        else:
            indices = np.arange(len(data.train_images))
            assert not set(indices[training.chosen].tolist()) & set(indices[validation.chosen].tolist())

    @pytest.mark.parametrize("resolution", [8, 16])
    def test_torch_takes_it_without_a_complaint(self, resolution: int) -> None:
        """Arrays that cannot be written to, for example, make it warn in every worker."""
        data = self.load()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for images, labels in _splits(data):
                some = to_device(
                    images[:8],
                    labels[:8],
                    mean=data.mean,
                    std=data.std,
                    resolution=resolution,
                    device=torch.device("cpu"),
                )
                normalised = some.normalised(slice(0, 8))
                assert normalised.shape[1:] == (data.in_channels, resolution, resolution)
                assert torch.isfinite(normalised).all()

    @pytest.mark.parametrize("resolution", [8, 24])
    def test_another_resolution_is_given_or_ignored(self, resolution: int) -> None:
        """It is that of the images, or they have a size of their own."""
        own = self.load().resolution
        assert load_dataset(self.name, self.path, resolution=resolution).resolution in (own, resolution)

    def test_a_path_where_nothing_is_gets_one_line(self, tmp_path: Path) -> None:
        """An ignored path would mislead: built-in data refuses any (`runners.datasets.errors.refuse_path`)."""
        with pytest.raises(UserError) as refused:
            load_dataset(self.name, tmp_path / "nothing-here")
        assert "\n" not in str(refused.value) and str(refused.value)


def _splits(data: Dataset) -> list[tuple[Images, Labels]]:
    pairs = [
        (data.train_images, data.train_labels),
        (data.val_images, data.val_labels),
        (data.test_images, data.test_labels),
    ]
    return [(images, labels) for images, labels in pairs if images is not None and labels is not None]


def _digests(images: Images) -> set[bytes]:
    """Return the pixels of each image, hashed."""
    return {blake2b(np.ascontiguousarray(image).data, digest_size=16).digest() for image in images}
