"""Images of a data set as trainings take them: held out, reduced to subsets, resized, on the device, and kept there."""

from collections.abc import Callable, Hashable
from functools import lru_cache

import torch

from ..candidate import Candidate
from ..config import DataConfig, TrainingConfig
from ..datasets import Dataset, load_dataset
from .batches import DeviceImages, to_device
from .proxy_images import proxy_images
from .resizing import EpochImages, ImagePair

LEAST_KEPT = 2
"""One candidate needs its images at two resolutions, however large they are."""


class ImageCache:
    """Pairs of training and validation images by key; the least recently used are dropped first."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._pairs: dict[Hashable, ImagePair] = {}

    def get(self, key: Hashable, make: Callable[[], ImagePair]) -> ImagePair:
        """Return the pair of `key`, made by `make` where it is not kept."""
        pair = self._pairs.pop(key) if key in self._pairs else make()
        self._pairs[key] = pair
        while len(self._pairs) > LEAST_KEPT and self._bytes() > self.most_bytes:
            del self._pairs[next(iter(self._pairs))]
        return pair

    def _bytes(self) -> int:
        return sum(part.images.nbytes for pair in self._pairs.values() for part in pair)


_RESIZED = ImageCache(most_bytes=2 * 1024**3)


def load_images(
    data: DataConfig, config: TrainingConfig, resolution: int, device: torch.device
) -> tuple[DeviceImages, DeviceImages]:
    """Return training and validation images of `resolution` pixels a side: held out, subsets of them, resized."""
    key = (data, config.images, config.validation_images, resolution, device)
    return _RESIZED.get(key, lambda: _device_images(*key))


def candidate_images(candidate: Candidate) -> tuple[DeviceImages, DeviceImages]:
    """Return the images of a candidate, at its resolution and on its device.

    They are kept there for the candidates that come after it.

    Parameters
    ----------
    candidate
        The candidate that is to be trained.

    Returns
    -------
    tuple of DeviceImages
        Training and validation images, as many of each as the schedule asks for.

    Raises
    ------
    DatasetError
        If the data set cannot be read.
    """
    device = torch.device(candidate.device)
    return load_images(candidate.data, candidate.training, candidate.architecture.resolution, device)


def load_epoch_images(
    data: DataConfig, config: TrainingConfig, resolution: int, device: torch.device, seed: int
) -> EpochImages:
    """Return the images of a schedule for a network of `resolution`; `seed` decides batches and augmentation."""
    reduced = load_images(data, config, config.reduced_resolution(resolution), device)
    return EpochImages(reduced, load_images(data, config, resolution, device), config, seed=seed)


def fingerprint_of(data: DataConfig) -> str:
    """Return the fingerprint of the data set on disk."""
    return _dataset(data).fingerprint


@lru_cache(maxsize=1)
def _dataset(data: DataConfig) -> Dataset:
    return load_dataset(data.name, data.path, resolution=data.resolution)


def _device_images(
    data: DataConfig, images: int, validation_images: int, resolution: int, device: torch.device
) -> tuple[DeviceImages, DeviceImages]:
    dataset = _dataset(data)
    training, validation = (
        to_device(
            part.source,
            part.labels,
            mean=dataset.mean,
            std=dataset.std,
            resolution=resolution,
            device=device,
            chosen=part.chosen,
        )
        for part in proxy_images(dataset, data, images, validation_images)
    )
    return training, validation
