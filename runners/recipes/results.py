"""What a recipe has found: after each step, and in the end."""

from dataclasses import dataclass

from search_space.backends.torch_network import GraphNetwork
from search_space.spec import Architecture

from ..candidate import Epoch
from ..training.batches import DeviceImages


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
class Final:
    """The network at the end, with all that was found on the way."""

    architecture: Architecture
    network: GraphNetwork
    validation: DeviceImages
    steps: tuple[StepResult, ...]
    curve: tuple[Epoch, ...]
    precision: str
