"""Where the images come from."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from search_space.settings import settings

from .ranges import Seed


@settings
class DataConfig:
    """Where the images come from."""

    name: str = "fashion-mini"
    path: Annotated[Path, Field(strict=False)] | None = None
    """The data set's folder or archive; by default where the data set usually is."""
    resolution: Annotated[int, Field(ge=8, le=1024)] | None = None
    """Pixels to which an image folder is decoded; the built-in data sets have their own."""
    validation_fraction: Annotated[float, Field(ge=0.01, le=0.9)] = 0.1
    """Share of the training images held out, stratified; unused where the data brings its own validation split."""
    seed: Seed = 0
    """Of the validation split and of every reduced subset."""
