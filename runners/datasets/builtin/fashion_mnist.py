"""Fashion-MNIST: 70,000 grey images of 28x28, ten kinds of clothing (Xiao et al. 2017, arXiv:1708.07747).

Found in the folder given, where Debian's package dataset-fashion-mnist puts it, in the cache, or downloaded
there.
"""

from pathlib import Path

import numpy as np

from ..base import Dataset, dataset
from ..cache import cache_root
from ..download import download
from ..errors import DatasetError, require_folder
from ..formats.idx import read_idx

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")

BASE_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"

# File name to sha256 of the official .gz. Debian's files hold the same bytes under another gzip header.
FILES = {
    "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}


@dataset("fashion-mnist")
def load_fashion_mnist(path: Path | None, resolution: int | None) -> Dataset:
    """60,000 training and 10,000 test images of 28x28x1; `path` is a folder with the four .gz files.

    Raises DatasetError if a file is missing, broken or cannot be downloaded.
    """
    return read_folder("fashion-mnist", _find_folder() if path is None else path)


def read_folder(name: str, folder: Path) -> Dataset:
    """A Dataset called `name` from a folder that holds the four files of Fashion-MNIST, gzipped or not."""
    require_folder(folder, "the four Fashion-MNIST files, such as train-images-idx3-ubyte.gz")
    arrays = [read_idx(_find_file(folder, file_name), ndim=3 if "images" in file_name else 1) for file_name in FILES]
    train_images, train_labels, test_images, test_labels = arrays
    return Dataset(
        name=name,
        train_images=train_images[..., None],
        train_labels=train_labels.astype(np.int64),
        test_images=test_images[..., None],
        test_labels=test_labels.astype(np.int64),
        class_names=CLASS_NAMES,
    )


def _find_folder() -> Path:
    """Debian's folder if it is complete, else the cache's, filled by download where it lacks a file."""
    if all((DEBIAN_FOLDER / file_name).is_file() for file_name in FILES):
        return DEBIAN_FOLDER
    folder = cache_root() / "fashion-mnist"
    for file_name, sha256 in FILES.items():
        if not (folder / file_name).is_file():
            download(f"{BASE_URL}/{file_name}", folder / file_name, sha256)
    return folder


def _find_file(folder: Path, file_name: str) -> Path:
    for path in (folder / file_name, folder / file_name.removesuffix(".gz")):
        if path.is_file():
            return path
    raise DatasetError(f"{folder}: has no {file_name}; Fashion-MNIST needs {', '.join(FILES)}")
