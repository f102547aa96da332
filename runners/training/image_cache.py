"""Resized images that a worker keeps from one candidate to the next, within a number of bytes."""

from collections.abc import Callable, Hashable

from .resizing import ImagePair

LEAST_KEPT = 2
"""One candidate needs its images at two resolutions, however large they are."""


class ImageCache:
    """Pairs of training and validation images by key; the least recently used are dropped first."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._pairs: dict[Hashable, ImagePair] = {}

    def get(self, key: Hashable, make: Callable[[], ImagePair]) -> ImagePair:
        """Return the pair of `key`, made by `make` where it is not kept."""
        pair = self._pairs.pop(key) if key in self._pairs else make()
        self._pairs[key] = pair
        while len(self._pairs) > LEAST_KEPT and self._bytes() > self.most_bytes:
            del self._pairs[next(iter(self._pairs))]
        return pair

    def _bytes(self) -> int:
        return sum(part.images.nbytes for pair in self._pairs.values() for part in pair)
