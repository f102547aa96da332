"""Steps of a recipe: train, prune, quantize."""

from typing import Literal

from search_space.settings import settings

from ..candidate import QUANTIZE

FINE_TUNE_PEAK = 0.3
"""Peak learning rate of fine-tuning, and of quantization-aware training, as a share of the first training's."""


@settings
class Train:
    """One complete schedule."""

    kind: Literal["train"] = "train"
    name: str = "train"
    epochs: int
    peak: float
    """Peak learning rate."""
    warmup: bool = True
    """One cycle, up and down; else down from the peak."""


@settings
class Prune:
    """Remove channels until a figure is small enough."""

    kind: Literal["prune"] = "prune"
    name: str = "prune"
    figure: str = "macs"
    """An objective that is known before training, or measured."""
    at_most: float
    """Of the network at its final bits; of the stage alone, where one is given."""
    stage: int | None = None
    """Remove only this stage's channels, 1 being the first; the figure must be macs."""


@settings
class Quantize:
    """Take the network to fewer bits, and train it there for some epochs (0: from its ranges alone)."""

    kind: Literal["quantize"] = "quantize"
    name: str = QUANTIZE
    bits: tuple[int, ...]
    """One for the network, or one a stage."""
    epochs: int = 0
    peak: float = 0.0


Step = Train | Prune | Quantize
