"""Images to train proxies on: `load_dataset(name)` answers with arrays in memory, the same on every machine.

One data set a file; adding one is adding a file whose loader carries `@dataset("its-name")`. Nothing here
knows torch or a training loop. May import `search_space` and the standard library, numpy, pillow and
scikit-learn.
"""

from .base import Dataset, dataset_names, load_dataset
from .errors import DatasetError
from .splits import split_validation, subsample

__all__ = ["Dataset", "DatasetError", "dataset_names", "load_dataset", "split_validation", "subsample"]
