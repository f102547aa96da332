"""Where the images come from."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from .ranges import (
    FORBID_UNKNOWN_KEYS,
    check_range,
)


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where the images come from."""

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN_KEYS

    name: str = "fashion-mini"
    path: Path | None = None
    """The data set's folder or archive; by default where the data set usually is."""
    resolution: int | None = None
    """Pixels to which an image folder is decoded; the built-in data sets have their own."""
    validation_fraction: float = 0.1
    """Share of the training images held out, stratified; unused where the data brings its own validation split."""
    seed: int = 0
    """Of the validation split and of every reduced subset."""

    def __post_init__(self) -> None:
        check_range(self, "validation_fraction", 0.01, 0.9)
        check_range(self, "seed", 0, 2**31 - 1)
        if self.resolution is not None:
            check_range(self, "resolution", 8, 1024)
