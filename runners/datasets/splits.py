"""Which images go where: a validation split, and smaller training sets for reduced fidelity.

Both take a prefix of one stratified order, so shares of classes stay even and a smaller subset lies in a
larger one.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from search_space.texts.counting import count_of

from .errors import DatasetError

Indices = npt.NDArray[np.int64]
Labels = npt.NDArray[np.int64]

# Different streams, so that a subset drawn with the split's own seed is not the validation set itself.
_SPLIT_STREAM, _SUBSET_STREAM, _ORDER_STREAM = 1, 2, 3


def split_validation(
    labels: Labels, fraction: float, seed: int, class_names: Sequence[str] = ()
) -> tuple[Indices, Indices]:
    """Split the indices of `labels`, shape (N,), into (training, validation), both sorted and stratified.

    Validation gets round(N * fraction) images, and each side gets at least one of each class. The same `seed`
    gives the same split on every machine. Raises DatasetError if `fraction` is not between 0 and 1, or if a
    class has fewer than two images.
    """
    if not 0 < fraction < 1:
        raise DatasetError(f"validation fraction {fraction} must lie between 0 and 1, both excluded")
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) == 0:
        raise DatasetError("cannot split 0 images into training and validation")
    if counts.min() < 2:
        lonely = int(classes[counts.argmin()])
        called = f"'{class_names[lonely]}'" if class_names else str(lonely)
        raise DatasetError(f"class {called} has 1 image; a validation split needs at least 2 of each class")
    order = _stratified_order(labels, seed, _SPLIT_STREAM)
    size = min(max(round(len(labels) * fraction), len(classes)), len(labels) - len(classes))
    return np.sort(order[size:]), np.sort(order[:size])


def random_order(length: int) -> Indices:
    """The same for every data set of so many images."""
    return _permutation(length, 0, _ORDER_STREAM)


def subsample(labels: Labels, n: int, seed: int) -> Indices:
    """Indices, sorted, of a stratified subset of `n` images with at least one of each class.

    Nested: for one `seed`, a smaller subset is part of every larger one. Raises DatasetError if `n` is less
    than the number of classes or more than the number of images.
    """
    num_classes = len(np.unique(labels))
    if not num_classes <= n <= len(labels):
        raise DatasetError(
            f"cannot take {n} of {count_of(len(labels), 'image')}; "
            f"allowed: {num_classes} (one a class) to {len(labels)}"
        )
    return np.sort(_stratified_order(labels, seed, _SUBSET_STREAM)[:n])


def _stratified_order(labels: Labels, seed: int, stream: int) -> Indices:
    """All indices in an order of which every prefix is stratified.

    A class of m images puts its k-th at (k + 1/2) / m of the way. One image of each class comes first and one
    last, so that a prefix and its rest both have every class even where a class is rare.
    """
    shuffled = _permutation(len(labels), seed, stream)
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
        place[members[-1]] = 2
        place[members[0]] = -1
    # A stable sort of the shuffled indices breaks ties between classes by chance, not by their number.
    return shuffled[np.argsort(place[shuffled], kind="stable")]


def _permutation(length: int, seed: int, stream: int) -> Indices:
    """A random order of 0..length-1, by sorting raw draws: numpy keeps those over versions, not shuffles."""
    draws = np.random.PCG64(np.random.SeedSequence([seed, stream])).random_raw(length)
    return np.argsort(draws, kind="stable").astype(np.int64)
