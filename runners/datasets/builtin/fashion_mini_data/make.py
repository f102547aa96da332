"""Make the four files beside this script: the first images of each class of Fashion-MNIST, in their order.

    python -m runners.datasets.builtin.fashion_mini_data.make [FOLDER_WITH_FASHION_MNIST]

Fashion-MNIST is shuffled already, so the first of each class are as good as a draw, and need no random
numbers.
"""

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...formats.idx import read_idx, write_idx
from ..fashion_mnist import DEBIAN_FOLDER

# Images taken of each of the ten classes.
PER_CLASS = {"train": 600, "t10k": 200}


def choose(labels: npt.NDArray[np.uint8], per_class: int) -> npt.NDArray[np.int64]:
    """Sorted indices of the first `per_class` images of each class; `labels` has shape (N,)."""
    first = [np.flatnonzero(labels == label)[:per_class] for label in np.unique(labels)]
    return np.sort(np.concatenate(first)).astype(np.int64)


def make(source: Path, target: Path) -> None:
    """Read Fashion-MNIST from the folder `source`; write the subset's four files into the folder `target`."""
    for split, per_class in PER_CLASS.items():
        images_name, labels_name = f"{split}-images-idx3-ubyte.gz", f"{split}-labels-idx1-ubyte.gz"
        labels = read_idx(source / labels_name, ndim=1)
        chosen = choose(labels, per_class)
        write_idx(target / images_name, read_idx(source / images_name, ndim=3)[chosen])
        write_idx(target / labels_name, labels[chosen])


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else DEBIAN_FOLDER, Path(__file__).parent)
