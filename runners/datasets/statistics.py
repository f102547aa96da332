"""What a training run must know of its images beforehand: their mean and spread, and a fingerprint."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

_CHUNK_IMAGES = 4096


def pixel_statistics(images: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """Return mean and standard deviation of all pixel values of (N, H, W, C) images, in [0, 1] (grey level / 255).

    The mean is rounded to a whole grey level. All channels share it, so that the input of an integer network is the
    pixel minus a whole number (`runners/quantization/simulation.py`). Computed from a histogram: exact, and without a
    float copy of the images. The deviation of constant images is given as one grey level, 1/255.
    """
    counts = np.zeros(256, dtype=np.int64)
    for start in range(0, len(images), _CHUNK_IMAGES):
        counts += np.bincount(images[start : start + _CHUNK_IMAGES].ravel(), minlength=256)
    levels = np.arange(256)
    share = counts / counts.sum()
    mean = share @ levels
    std = np.sqrt(share @ (levels - mean) ** 2)
    return round(mean) / 255, max(float(std), 1.0) / 255


def fingerprint(class_names: tuple[str, ...], arrays: Mapping[str, npt.NDArray[Any] | None]) -> str:
    """First 12 hex digits of the sha256 over the class names and every array's name, shape and bytes."""
    digest = hashlib.sha256(repr(class_names).encode("utf-8", "surrogateescape"))
    for name, array in arrays.items():
        digest.update(f"{name} {None if array is None else array.shape}\n".encode())
        if array is not None:
            # Little-endian on every machine, so that one data set has one fingerprint.
            digest.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data)
    return digest.hexdigest()[:12]
