"""Which images does a proxy training see, and which measure its accuracy? Numpy arrays only, without torch.

The study's record and the workers both ask here, so that they speak of the same images.
"""

from dataclasses import dataclass

import numpy as np

from ..config import DataConfig
from ..datasets import Dataset, split_validation, subsample
from ..datasets.base import Images, Labels
from ..datasets.splits import Indices


@dataclass(frozen=True, slots=True, eq=False)
class ImageSet:
    """Some images of an array of a data set, with their labels."""

    source: Images
    chosen: "Indices | slice"
    """Which of `source`; a slice where it is all of them, which then are not copied."""
    labels: Labels
    """Of the chosen images, shape (N,)."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def commonest_share(self) -> float:
        """Share of the images that are of the commonest class: the accuracy of always answering that class."""
        return int(np.bincount(self.labels).max()) / len(self.labels)


def proxy_images(
    dataset: Dataset, data: DataConfig, images: int = 0, validation_images: int = 0
) -> tuple[ImageSet, ImageSet]:
    """Return the training and the validation images: the data's own validation split, or one that is held out.

    `images` and `validation_images` are the sizes of stratified subsets; 0, or more than there are, means all. Raises
    DatasetError where a class has too few images for the split, or a subset has fewer images than classes.
    """
    if dataset.val_images is not None and dataset.val_labels is not None:
        training = ImageSet(dataset.train_images, slice(None), dataset.train_labels)
        validation = ImageSet(dataset.val_images, slice(None), dataset.val_labels)
    else:
        labels = dataset.train_labels
        kept, held_out = split_validation(labels, data.validation_fraction, data.seed, dataset.class_names)
        training = ImageSet(dataset.train_images, kept, labels[kept])
        validation = ImageSet(dataset.train_images, held_out, labels[held_out])
    return _reduced(training, images, data.seed), _reduced(validation, validation_images, data.seed)


def validation_source(dataset: Dataset, data: DataConfig) -> str:
    """Return where the validation images come from, in words that follow `of` or `are`."""
    if dataset.val_images is not None:
        return "the data set's own validation split"
    return f"{100 * data.validation_fraction:.3g} % held out of the training images with seed {data.seed}"


def _reduced(whole: ImageSet, count: int, seed: int) -> ImageSet:
    if not 0 < count < len(whole):
        return whole
    chosen = subsample(whole.labels, count, seed)
    indices = chosen if isinstance(whole.chosen, slice) else whole.chosen[chosen]
    return ImageSet(whole.source, indices, whole.labels[chosen])
