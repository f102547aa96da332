"""Handwritten digits that come with scikit-learn: 1,797 grey images of 8x8, for smoke tests only.

Every reasonable network gets them right, so they rank no architectures.
"""

from pathlib import Path

import numpy as np

from .base import Dataset, dataset
from .errors import refuse_path
from .splits import split_validation

_NUM_TEST = 360


@dataset("digits")
def load_digits(path: Path | None, resolution: int | None) -> Dataset:
    """1,437 training and 360 test images, a fixed stratified split. Raises DatasetError if given a path.

    Source: scikit-learn's `load_digits` (UCI Optical Recognition of Handwritten Digits); its levels 0-16
    become 0-255.
    """
    import sklearn.datasets

    refuse_path("digits", path)
    bunch = sklearn.datasets.load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
    labels = bunch.target.astype(np.int64)
    train, test = split_validation(labels, _NUM_TEST / len(labels), seed=0)
    return Dataset(
        name="digits",
        train_images=images[train],
        train_labels=labels[train],
        test_images=images[test],
        test_labels=labels[test],
        class_names=tuple(str(digit) for digit in range(10)),
    )
