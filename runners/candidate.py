"""What goes to a worker, and what comes back: plain values that may cross any process or machine.

Nothing here needs torch, so that who hands out candidates need not load it.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from search_space.architectures import architecture_from_dict
from search_space.spec import Architecture

from .config import DataConfig, TrainingConfig

ACCURACY = "accuracy"
"""The metric of the built-in training."""
QUANTIZE = "quantize"
"""Name of the step that takes a network to fewer bits."""


class TrainingDiverged(RuntimeError):
    """The loss became NaN or infinite; the trial has failed."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One network to evaluate, and all that determines the result."""

    spec: dict[str, Any]
    """The network as plain values."""
    seed: int
    """Seed of the training."""
    data: DataConfig
    """Where the images come from."""
    training: TrainingConfig
    """How the network is trained."""
    floors: tuple[float, ...] = ()
    """Accuracy after each of the first epochs below which the training stops."""
    device: str = "cpu"
    """Device of torch."""

    @property
    def architecture(self) -> Architecture:
        """The network of `spec`; its outputs, bits and resolution are those to train and to measure."""
        return architecture_from_dict(self.spec)


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One point of a learning curve."""

    step: str
    """Name of the recipe's step."""
    epoch: int
    """Counted over all steps, from 1."""
    train_loss: float
    """Mean loss on the training images."""
    metric: float
    """The study's metric on the validation images, as the network runs in this step; the built-in training's is the
    accuracy. In a proxy training, before the step's last epoch: of the averaged weights, at the resolution at which
    the epoch trained."""
    seconds: float
    """Duration of the epoch."""

    @property
    def quantized(self) -> bool:
        """Whether the network ran at its few bits."""
        return self.step == QUANTIZE


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What one evaluation found, with what it takes to repeat it."""

    spec_key: str
    """Key of the network's spec."""
    metrics: Mapping[str, float]
    """Metric -> its value on the validation images, at the spec's resolution and bits."""
    float_metrics: Mapping[str, float]
    """The same before quantization, as far as that is known; equal for a float network."""
    curve: tuple[Epoch, ...]
    """Learning curve, an entry for each epoch."""
    seed: int
    """Seed of the training."""
    dataset: str
    """Name of the data set."""
    dataset_fingerprint: str
    """Fingerprint of the images (`Dataset.fingerprint`)."""
    training_images: int
    """Number of images that the network was trained on."""
    validation_images: int
    """Number of images that measure the accuracy."""
    precision: str
    """Type of the numbers in the training: ``float32`` or ``bfloat16``."""
    threads: int
    """Number of threads of torch."""
    device: str
    """Device of torch, for example ``cpu``."""
    host: str
    """Name of the machine."""
    processor: str
    """Its kind, and the kernels that torch picks on it: digits are the same where this is (on one thread)."""
    versions: dict[str, str]
    """Versions of the libraries: name -> version."""
    duration_s: float
    """Duration of training and evaluation, in seconds."""
    peak_rss_bytes: int
    """Largest resident memory of the worker process so far."""
    stopped: bool = False
    """Whether an epoch was below its floor.

    Then the accuracies are those after that epoch: of the averaged weights, at the resolution at which it trained, and
    in float while that phase lasts.
    """

    @property
    def accuracy(self) -> float:
        """Share of the validation images that are classified right; NaN where that was not measured."""
        return self.metrics.get(ACCURACY, math.nan)

    @property
    def float_accuracy(self) -> float:
        """The same before quantization."""
        return self.float_metrics.get(ACCURACY, math.nan)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Observation":
        return cls(**{**data, "curve": tuple(Epoch(**epoch) for epoch in data["curve"])})


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Result of a candidate: what was observed, and the weights."""

    observation: Observation
    """What was observed."""
    weights: bytes
    """Weights in the format of safetensors; empty if the training was stopped."""


def candidate_seed(study_seed: int, key: str, training: int = 0) -> int:
    """Seed of a network's training: the same whenever and wherever the study evaluates it.

    Another `training` of the same network has another seed.
    """
    text = f"{study_seed}:{key}:{training}" if training else f"{study_seed}:{key}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
