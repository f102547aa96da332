"""Bytes of activations that are alive at once."""

from search_space.graph import Conv, Graph

from ..base import cost

LEAST_BITS = 8
"""Runtimes keep an activation of fewer bits in a byte."""


@cost("peak_memory_bytes", label="Peak activation memory (bytes)", unit="bytes")
def peak_memory_bytes(graph: Graph) -> int:
    """Largest sum over the schedule of live tensors x bits / 8, of 8 bits at least, nodes running in order.

    While a node runs, its output and every tensor that it or a later node reads are alive, so a residual's input lives
    until it is added. Only a depthwise convolution writes over its input, where nothing else reads that: it works
    channel by channel (Lin et al. 2021, MCUNetV2, whose 1,372 KiB for MobileNetV2 at 224 x 224 is counted so).
    """
    nodes = graph.nodes
    sizes = [
        shape[0] * shape[1] * shape[2] * (bits if bits > LEAST_BITS else LEAST_BITS) // 8
        for _, _, _, shape, _, bits, _ in nodes
    ]
    last_uses = graph.last_uses
    live = peak = 0
    for position, node in enumerate(nodes):
        freed = 0
        for source in node.inputs:
            if last_uses[source] == position:
                freed += sizes[source]
        op = node.op
        if isinstance(op, Conv) and op.groups == op.in_channels == op.out_channels and freed >= sizes[position]:
            live += sizes[position] - freed
        else:
            live += sizes[position]
            if live > peak:
                peak = live
            live -= freed
    return peak
