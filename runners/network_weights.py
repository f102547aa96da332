"""Weights of a network as safetensors bytes, with the version of the conventions that they were trained by."""

import json

from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors

from search_space.backends.torch_network import GraphNetwork, build_network
from search_space.errors import UserError
from search_space.spec import Architecture

from .config import CONVENTIONS
from .quantization.simulation import QuantizedNetwork, lowest_bits


def weights_of(network: GraphNetwork) -> bytes:
    """The state of a network as safetensors bytes, with the version of the conventions."""
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    return save_safetensors(state, metadata={"conventions": str(CONVENTIONS)})


def load_network(architecture: Architecture, weights: bytes) -> GraphNetwork:
    """The network of an exported spec and its weights, float or quantized as it was trained.

    Raises UserError for weights of other conventions.
    """
    network = build_network(architecture)
    state = load_safetensors(weights)
    if (found := _conventions_of(weights)) != str(CONVENTIONS):
        raise UserError(
            f"the weights were trained by another version of resfront (conventions {found or 1}, now {CONVENTIONS}), "
            "which normalised images, quantized tensors or measured accuracies otherwise; train the network again"
        )
    if lowest_bits(network.graph) < 32:
        network = QuantizedNetwork(network)
    network.load_state_dict(state)
    return network.eval()


def _conventions_of(weights: bytes) -> str | None:
    """The version that safetensors bytes carry in their header, a JSON text behind its length."""
    length = int.from_bytes(weights[:8], "little")
    found: str | None = json.loads(weights[8 : 8 + length]).get("__metadata__", {}).get("conventions")
    return found
