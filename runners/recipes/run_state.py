"""State of a recipe that is under way, and its checkpoint."""

import io
import pickle
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import torch

from search_space.architectures import architecture_from_dict
from search_space.backends.torch_network import GraphNetwork, build_network
from search_space.errors import UserError
from search_space.graph import Graph
from search_space.spec import Architecture

from ..candidate import Epoch
from ..quantization.simulation import QuantizedNetwork
from ..storage.study_files import write_atomically
from .recipe import Recipe
from .results import StepResult

CHECKPOINT = "checkpoint.pt"


@dataclass(slots=True)
class RunState:
    """Where a run is."""

    architecture: Architecture
    network: GraphNetwork
    steps: list[StepResult] = field(default_factory=list)
    curve: list[Epoch] = field(default_factory=list)
    timed: Graph | None = None
    """The graph whose latency is known."""
    latency_ms: float | None = None
    phase: dict[str, Any] | None = None
    """State of the training phase that is under way."""

    @property
    def epochs(self) -> int:
        """Epochs of the steps that are done."""
        return sum(result.epochs for result in self.steps)


def save(directory: Path, recipe: Recipe, state: RunState) -> None:
    """Write the checkpoint, whole or not at all."""
    buffer = io.BytesIO()
    torch.save(
        {
            "recipe": recipe.key,
            "architecture": state.architecture.to_dict(),
            "network": state.network.state_dict(),
            "is_quantized": isinstance(state.network, QuantizedNetwork),
            "steps": [asdict(result) for result in state.steps],
            "curve": [asdict(point) for point in state.curve],
            "phase": state.phase,
        },
        buffer,
    )
    write_atomically(directory / CHECKPOINT, buffer.getvalue())


def restore(directory: Path, recipe: Recipe, device: torch.device) -> RunState | None:
    """Return what the checkpoint holds, None where there is none; raises UserError for a damaged or another's one."""
    path = directory / CHECKPOINT
    if not path.exists():
        return None
    try:
        saved = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError):
        raise UserError(f"{path}: is damaged; remove it to begin anew") from None
    if saved["recipe"] != recipe.key:
        raise UserError(f"{path}: of another recipe; choose another directory")
    architecture = architecture_from_dict(saved["architecture"])
    network: GraphNetwork = build_network(architecture)
    if saved["is_quantized"]:
        network = QuantizedNetwork(network)
    network.load_state_dict(saved["network"])
    return RunState(
        architecture,
        cast(Any, network).to(device, memory_format=torch.channels_last),
        steps=[StepResult(**result) for result in saved["steps"]],
        curve=[Epoch(**point) for point in saved["curve"]],
        phase=saved["phase"],
    )
