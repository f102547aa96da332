"""Image files of a user's folder, read by the rule of `pixels`, with errors that name the file."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ..base import Images
from ..errors import DatasetError, one_line
from ..pixels import DEEP_BITS, FORMATS, read_square, require_range

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")
SUFFIXES = frozenset((".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"))

_LEAST_COLOUR_BITS = 15
"""Files with 16 bits a colour whose brightest image needs fewer than these hold data of a camera's 10 to 14 bits."""


def decode_squares(files: Sequence[Path], size: int, grey_bits: int) -> Images:
    """Return the images of `files` as (N, size, size, 3) RGB; raises DatasetError if one cannot be decoded."""
    images = np.empty((len(files), size, size, 3), dtype=np.uint8)
    for index, pixels in enumerate(_each(files, lambda file: decode_square(file, size, grey_bits))):
        images[index] = pixels
    return images


def decode_square(path: Path, size: int, grey_bits: int) -> Images:
    """The image in `path` as (size, size, 3) RGB, as `read_square` gives it; raises DatasetError."""
    return _decoded(path, lambda file: read_square(file, size, grey_bits))


def bits_of_greys(files: Sequence[Path]) -> int:
    """Return how many bits the grey levels of those `files` have that store more than 8 bits a pixel.

    8, 10, 12, 14 or 16, as the brightest of them needs, or more: cameras of 10 to 14 bits write files of 16. Without
    such files the answer is 16. Raises DatasetError for files with 16 bits a colour that leave the upper bits unused,
    since Pillow reads the upper 8 alone, and for a file that cannot be decoded.
    """
    found = list(_each(files, lambda file: _decoded(file, _brightest)))
    colours = [(level, file) for (level, is_grey), file in zip(found, files, strict=True) if level and not is_grey]
    brightest, file = max(colours, default=(0, None))
    if 0 < (bits := brightest.bit_length()) < _LEAST_COLOUR_BITS:
        raise DatasetError(
            f"{file}: has 16 bits a colour, but no training image uses more than the lower {bits}; colours are read to "
            f"their upper 8 bits, which would be almost black; multiply the levels by {2 ** (16 - bits)}"
        )
    greys = [level for level, is_grey in found if is_grey]
    bits = max(8, max(greys).bit_length()) if greys else DEEP_BITS
    return bits + bits % 2 if bits < DEEP_BITS else bits


def _brightest(path: Path) -> tuple[int, bool]:
    """The brightest level of a file with more than 8 bits a channel, 0 for all others; whether it is such a grey."""
    from PIL import Image

    with Image.open(path, formats=FORMATS) as image:
        require_range(image)
        if image.mode.startswith("I"):
            return int(np.asarray(image).max()), True
        if not _has_deep_colours(image):
            return 0, False
        # Pillow keeps the upper byte; what the lower one adds decides nothing.
        return int(np.asarray(image.convert("RGB")).max()) << 8 | 255, False


def _has_deep_colours(image: "Image") -> bool:
    """Whether each colour of the file has 16 bits, of which Pillow keeps 8: its decoder is told so."""
    tiles = getattr(image, "tile", ())
    arguments = [tile[3] if isinstance(tile[3], tuple) else (tile[3],) for tile in tiles]
    return any(isinstance(part, str) and ";16" in part for parts in arguments for part in parts)


def _decoded(path: Path, read: Callable[[Path], T]) -> T:
    try:
        return read(path)
    except Exception as error:  # Decoders raise whatever a damaged file leads them to.
        raise DatasetError(
            f"{path}: cannot be decoded as an image ({one_line(error)}); replace or remove it"
        ) from error


def _each(files: Sequence[Path], read: Callable[[Path], T]) -> Iterable[T]:
    """Results in order, and so the first error in order. Pillow decodes outside the interpreter lock."""
    with ThreadPoolExecutor() as pool:
        yield from pool.map(read, files)
