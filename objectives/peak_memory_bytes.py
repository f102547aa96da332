"""Bytes of activations that are alive at once."""

from search_space.graph import Graph

from .base import cost


@cost("peak_memory_bytes", label="Peak activation memory (bytes)", unit="bytes")
def peak_memory_bytes(graph: Graph) -> int:
    """Largest sum over the schedule of live tensors x bits / 8, nodes running in order, nothing in place.

    While a node runs, its output and every tensor that it or a later node reads are alive, so a residual's input lives
    until it is added. With fused activations this is what MobileNetV2 (Sandler et al. 2018, sec. 5.1) bounds.
    """
    nodes = graph.nodes
    sizes = [(shape[0] * shape[1] * shape[2] * bits + 7) // 8 for _, _, _, shape, _, bits in nodes]
    last_uses = graph.last_uses
    live = peak = 0
    for position, node in enumerate(nodes):
        live += sizes[position]
        if live > peak:
            peak = live
        for source in node.inputs:
            if last_uses[source] == position:
                live -= sizes[source]
    return peak
