"""The proxy schedule."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from search_space.settings import settings

from .ranges import MOST_EPOCHS, MOST_IMAGES, Fraction

MOST_REPEATED = 20
"""How many times as many epochs a data set has that holds fewer images than a candidate is to see."""


@settings
class TrainingConfig:
    """The proxy schedule: how many images, epochs and pixels, and the recipe."""

    evaluator: str = ""
    """A training of the user's own in the place of the built-in one, as ``package.module:function``
    (`runners/own_training.py`). What it does with the other settings is its own affair."""
    images: Annotated[int, Field(ge=0, le=MOST_IMAGES)] = 0
    """Training images a candidate sees, a stratified subset; 0 means all. Of fewer all are seen, in more epochs
    (`for_images`)."""
    validation_images: Annotated[int, Field(ge=0, le=MOST_IMAGES)] = 2000
    """Held-out images that measure the accuracy, a stratified subset; 0 means all that are held out."""
    epochs: Annotated[int, Field(ge=1, le=MOST_EPOCHS)] = 6
    resolution_scale: Annotated[float, Field(ge=0.1, le=1.0)] = 1.0
    """The first epochs train at this share of a candidate's own resolution, in pixels a side (progressive resizing)."""
    full_resolution_fraction: Fraction = 0.34
    """Share of the epochs, the last ones and at least one, that train at a candidate's own resolution, at which its
    accuracy is measured (benchmarks/proxy_resolution.py); without effect where `resolution_scale` is 1."""
    batch_size: Annotated[int, Field(ge=2, le=65_536)] = 128
    learning_rate: Annotated[float, Field(ge=1e-6, le=10.0)] = 0.2
    """Peak of the one-cycle schedule."""
    momentum: Annotated[float, Field(ge=0.0, le=0.999)] = 0.9
    weight_decay: Fraction = 5e-4
    label_smoothing: Annotated[float, Field(ge=0.0, le=0.9)] = 0.1
    crop: bool = True
    """Random crops of the image padded by an eighth of its size."""
    flip: bool = True
    """Random horizontal flips."""
    cutout: Fraction = 0.0
    """Side of a random square set to the mean, as a share of the image's; 0 means none."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of training: auto takes bfloat16 where the hardware has it and the network gains from it."""
    compile: bool = False
    """Whether torch.compile makes the training step (a C++ compiler is wanted, on a GPU Triton too). It takes half a
    minute or more to begin with, so it is for long trainings (benchmarks/full_training.py)."""
    qat_fraction: Fraction = 0.34
    """Share of the epochs, the last ones, that train with quantization where bits are below 8."""

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
