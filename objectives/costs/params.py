"""Trainable parameters."""

from search_space.graph import Graph

from ..base import cost


@cost("params", label="Parameters", unit="parameters")
def params(graph: Graph) -> int:
    """Weights, biases, and scale and shift of each batch-norm: what torch's `numel` over `parameters()` gives."""
    return sum(node.num_params for node in graph.nodes)
