"""The proxy schedule."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from .ranges import (
    FORBID_UNKNOWN_KEYS,
    MOST_EPOCHS,
    MOST_IMAGES,
    check_at_least,
    check_range,
)

MOST_REPEATED = 20
"""How many times as many epochs a data set has that holds fewer images than a candidate is to see."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The proxy schedule: how many images, epochs and pixels, and the recipe."""

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN_KEYS

    images: int = 0
    """Training images a candidate sees, a stratified subset; 0 means all. Of fewer all are seen, in more epochs
    (`for_images`)."""
    validation_images: int = 2000
    """Held-out images that measure the accuracy, a stratified subset; 0 means all that are held out."""
    epochs: int = 6
    resolution_scale: float = 1.0
    """The first epochs train at this share of a candidate's own resolution, in pixels a side (progressive resizing)."""
    full_resolution_fraction: float = 0.34
    """Share of the epochs, the last ones and at least one, that train at a candidate's own resolution, at which its
    accuracy is measured (benchmarks/proxy_resolution.py); without effect where `resolution_scale` is 1."""
    batch_size: int = 128
    learning_rate: float = 0.2
    """Peak of the one-cycle schedule."""
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    crop: bool = True
    """Random crops of the image padded by an eighth of its size."""
    flip: bool = True
    """Random horizontal flips."""
    cutout: float = 0.0
    """Side of a random square set to the mean, as a share of the image's; 0 means none."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of training: auto takes bfloat16 where the hardware has it and the network gains from it."""
    compile: bool = False
    """Whether torch.compile makes the training step (a C++ compiler is wanted, on a GPU Triton too). It takes half a
    minute or more to begin with, so it is for long trainings (benchmarks/full_training.py)."""
    qat_fraction: float = 0.34
    """Share of the epochs, the last ones, that train with quantization where bits are below 8."""

    def __post_init__(self) -> None:
        check_at_least(self, "images", 0, MOST_IMAGES)
        check_at_least(self, "validation_images", 0, MOST_IMAGES)
        check_range(self, "epochs", 1, MOST_EPOCHS)
        check_range(self, "resolution_scale", 0.1, 1.0)
        check_range(self, "full_resolution_fraction", 0.0, 1.0)
        check_range(self, "batch_size", 2, 65_536)
        check_range(self, "learning_rate", 1e-6, 10.0)
        check_range(self, "momentum", 0.0, 0.999)
        check_range(self, "weight_decay", 0.0, 1.0)
        check_range(self, "label_smoothing", 0.0, 0.9)
        check_range(self, "cutout", 0.0, 1.0)
        check_range(self, "qat_fraction", 0.0, 1.0)

    def for_images(self, available: int) -> "TrainingConfig":
        """Return the schedule for a data set of so many training images.

        Where `images` asks for more than there are, it has more epochs, so that a candidate sees as many images in all,
        at most MOST_REPEATED times as many epochs: a few images in a few epochs are too few steps to learn anything.
        """
        if not available < self.images:
            return self
        factor = min(self.images / available, MOST_REPEATED)
        return replace(self, images=available, epochs=min(MOST_EPOCHS, round(self.epochs * factor)))

    def reduced_resolution(self, resolution: int) -> int:
        """Return the pixels at which the first epochs of a candidate of this resolution train."""
        return max(8, round(resolution * self.resolution_scale))

    @property
    def reduced_epochs(self) -> int:
        """Number of epochs, the first ones, at `resolution_scale` of the resolution; never the last epoch."""
        if self.resolution_scale == 1.0:
            return 0
        return self.epochs - max(1, round(self.epochs * self.full_resolution_fraction))

    @property
    def qat_epochs(self) -> int:
        """Epochs of quantization-aware training for a candidate below 8 bits; one epoch at least stays float."""
        return min(max(1, round(self.epochs * self.qat_fraction)), self.epochs - 1)
