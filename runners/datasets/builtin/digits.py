"""Handwritten digits that come with scikit-learn: 1,797 grey images of 8x8, for smoke tests only.

Every reasonable network gets them right, so they rank no architectures.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ..base import Dataset, dataset
from ..errors import refuse_path
from ..splits import split_validation

_NUM_TEST = 360


@dataset("digits")
def load_digits(path: Path | None, resolution: int | None) -> Dataset:
    """1,437 training and 360 test images, a fixed stratified split. Raises DatasetError if given a path.

    Source: scikit-learn's `load_digits` (UCI Optical Recognition of Handwritten Digits); its levels 0-16
    become 0-255.
    """
    refuse_path("digits", path)
    table = np.loadtxt(_file(), delimiter=",", dtype=np.uint8)  # 64 levels and a label a row
    images = np.rint(table[:, :64].reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)
    labels = table[:, 64].astype(np.int64)
    train, test = split_validation(labels, _NUM_TEST / len(labels), seed=0)
    return Dataset(
        name="digits",
        train_images=images[train],
        train_labels=labels[train],
        test_images=images[test],
        test_labels=labels[test],
        class_names=tuple(str(digit) for digit in range(10)),
    )


def _file() -> Path:
    """In scikit-learn's folder, found without importing it, which takes every worker two seconds."""
    package = find_spec("sklearn")
    assert package is not None and package.origin is not None
    return Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
