"""Bytes of weights, scales and biases at their own bits, without any file around them."""

from search_space.graph import FLOAT_BITS, Graph, Weighted

from ..base import cost


@cost(
    "packed_bytes",
    label="Packed size (bytes)",
    unit="bytes",
    note="weights and scales at their own bits, without any file around them",
)
def packed_bytes(graph: Graph) -> int:
    """Sum over layers of ceil(weights x bits / 8), and 4 bytes an output channel for the bias (batch-norm folded).

    A quantized layer adds 4 bytes an output channel for the scale (weights are quantized per channel).
    """
    total = 0
    for node in graph.nodes:
        if isinstance(node.op, Weighted):
            per_channel = 4 if node.bits == FLOAT_BITS else 8
            total += (node.op.num_weights * node.bits + 7) // 8 + per_channel * node.op.out_channels
    return total
