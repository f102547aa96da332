"""A small part of Fashion-MNIST that travels with this package, so that a first search needs no download.

6,000 training and 2,000 test images of 28x28x1, equally many of each class; `fashion_mini_data/make.py` chose
them.
"""

from pathlib import Path

from ..base import Dataset, dataset
from ..errors import refuse_path
from .fashion_mnist import read_folder

DATA_FOLDER = Path(__file__).parent / "fashion_mini_data"


@dataset("fashion-mini")
def load_fashion_mini(path: Path | None, resolution: int | None) -> Dataset:
    """The built-in subset: 600 training and 200 test images a class. Raises DatasetError if given a path."""
    refuse_path("fashion-mini", path)
    return read_folder("fashion-mini", DATA_FOLDER)
