"""How an image file becomes the pixels that a network sees; docs/images.md states the rule.

Training reads files with these functions. Their source is written into every exported `predict.py`, which runs where
this project is not, so they use numpy and Pillow alone, and import Pillow when they are called.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

# Named, as Pillow would otherwise hand a disguised PostScript file to an outside program.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
DEEP_BITS = 16
"""Bits of a grey level in files with more than 8, where the training images do not tell."""


def read_square(file: str | Path, size: int, grey_bits: int = DEEP_BITS) -> NDArray[np.uint8]:
    """Return the image in `file` as RGB (size, size, 3): shorter side resized, antialiased, centre cut out.

    It is turned as its EXIF orientation says, and transparency is laid on white. Greys of more than 8 bits are taken
    as levels of `grey_bits` bits, of which the upper 8 count. Raises whatever Pillow does for a damaged file, and
    ValueError for pixels without a known range.
    """
    from PIL import Image, ImageOps

    with Image.open(file, formats=FORMATS) as image:
        # JPEG can decode straight to a smaller size; twice the target leaves antialiasing to the resize.
        image.draft(None, (2 * size, 2 * size))
        require_range(image)
        rgb = to_rgb(ImageOps.exif_transpose(image), grey_bits)
    return np.asarray(ImageOps.fit(rgb, (size, size), Image.Resampling.BICUBIC), dtype=np.uint8)


def to_rgb(image: "Image", grey_bits: int) -> "Image":
    """Return an image of any mode as RGB of 8 bits, without transparency."""
    from PIL import Image

    if image.mode.startswith("I"):
        levels = np.asarray(image, dtype=np.int64)
        grey = np.minimum(levels >> (grey_bits - 8), 255).astype(np.uint8)
        grey[levels == image.info.get("transparency")] = 255
        return Image.fromarray(grey).convert("RGB")
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        colours = image.convert("RGBA")
        white = Image.new("RGBA", colours.size, "white")
        return Image.alpha_composite(white, colours).convert("RGB")
    return image.convert("RGB")


def require_range(image: "Image") -> None:
    """Raise ValueError for an opened file whose levels do not go from black at 0 to white at a power of two."""
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range")
    if image.mode.startswith("I"):
        # PhotometricInterpretation, which Pillow heeds up to 8 bits.
        if getattr(image, "tag_v2", {}).get(262) == 0:
            raise ValueError("white is level 0 in this TIFF file of more than 8 bits")
        if np.asarray(image).min() < 0:
            raise ValueError("pixels below 0 have no known range")


def resize_square(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return square pixels (side, side, channels) as (size, size, channels): a triangle filter, antialiased.

    Networks whose input is smaller or larger than the images of their data set get them so. Halves go up.
    """
    side = len(pixels)
    if side == size:
        return pixels
    scale = side / size
    reach = max(scale, 1.0)
    centres = (np.arange(size) + 0.5) * scale
    weights = np.maximum(1 - np.abs(np.arange(side) + 0.5 - centres[:, None]) / reach, 0)
    weights /= weights.sum(axis=1, keepdims=True)
    levels = np.einsum("yh,hwc,xw->yxc", weights, pixels.astype(np.float64), weights, optimize=True)
    rounded: NDArray[np.uint8] = np.clip(np.round(levels + 1e-6), 0, 255).astype(np.uint8)
    return rounded
