"""What a recipe has found: after each step, after each epoch, and in the end."""

from dataclasses import dataclass

from search_space.backends.torch_network import GraphNetwork
from search_space.spec import Architecture

from ...training.batches import DeviceImages


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """The network after one step."""

    name: str
    accuracy: float
    """On the validation images, as the network runs then."""
    costs: dict[str, float]
    latency_ms: float | None
    """Measured; None where nobody asked."""
    epochs: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """One epoch of the whole run."""

    step: str
    epoch: int
    """Of the run, from 1."""
    train_loss: float
    accuracy: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Final:
    """The network at the end, with all that was found on the way."""

    architecture: Architecture
    network: GraphNetwork
    validation: DeviceImages
    steps: tuple[StepResult, ...]
    curve: tuple[CurvePoint, ...]
    precision: str
