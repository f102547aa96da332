"""What a training run must know of its images beforehand: their mean and spread, and a fingerprint."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

_CHUNK_IMAGES = 4096


def channel_statistics(images: npt.NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of (N, H, W, C) images, both in [0, 1] (grey level / 255).

    Computed from histograms: exact, and without a float copy of the images. A constant channel's deviation is
    given as one grey level, 1/255.
    """
    channels = images.shape[3]
    counts = np.zeros((channels, 256), dtype=np.int64)
    for start in range(0, len(images), _CHUNK_IMAGES):
        chunk = images[start : start + _CHUNK_IMAGES]
        for channel in range(channels):
            counts[channel] += np.bincount(chunk[..., channel].ravel(), minlength=256)
    levels = np.arange(256) / 255
    share = counts / counts.sum(axis=1, keepdims=True)
    mean = share @ levels
    std = np.sqrt((share * (levels - mean[:, None]) ** 2).sum(axis=1))
    return tuple(map(float, mean)), tuple(float(max(value, 1 / 255)) for value in std)


def fingerprint(class_names: tuple[str, ...], arrays: Mapping[str, npt.NDArray[Any] | None]) -> str:
    """First 12 hex digits of the sha256 over the class names and every array's name, shape and bytes."""
    digest = hashlib.sha256(repr(class_names).encode("utf-8", "surrogateescape"))
    for name, array in arrays.items():
        digest.update(f"{name} {None if array is None else array.shape}\n".encode())
        if array is not None:
            # Little-endian on every machine, so that one data set has one fingerprint.
            digest.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data)
    return digest.hexdigest()[:12]
