"""One image file of any size and mode to a small RGB square."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .base import Images
from .errors import DatasetError, one_line

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = frozenset((".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"))

# Named, as Pillow would otherwise hand a disguised PostScript file to an outside program.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")


def decode_square(path: Path, size: int) -> Images:
    """The image in `path` as (size, size, 3) RGB: shorter side resized, antialiased, centre cut out.

    Turned as its EXIF orientation says; transparency is laid on white; 16-bit grey keeps its upper 8 bits; of
    an animation the first frame counts. Raises DatasetError if it cannot be decoded.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path, formats=_FORMATS) as image:
            # JPEG can decode straight to a smaller size; twice the target leaves antialiasing to the resize.
            image.draft(None, (2 * size, 2 * size))
            rgb = _to_rgb(ImageOps.exif_transpose(image))
        square = ImageOps.fit(rgb, (size, size), Image.Resampling.BICUBIC)
    except Exception as error:  # Decoders raise whatever a damaged file leads them to.
        raise DatasetError(
            f"{path}: cannot be decoded as an image ({one_line(error)}); replace or remove it"
        ) from error
    return np.asarray(square, dtype=np.uint8)


def _to_rgb(image: "Image") -> "Image":
    from PIL import Image

    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range")
    if image.mode.startswith("I"):
        # `convert` would clip everything above 255 to white.
        levels = np.clip(np.asarray(image, dtype=np.int64) >> 8, 0, 255)
        return Image.fromarray(levels.astype(np.uint8)).convert("RGB")
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        colours = image.convert("RGBA")
        white = Image.new("RGBA", colours.size, "white")
        return Image.alpha_composite(white, colours).convert("RGB")
    return image.convert("RGB")
