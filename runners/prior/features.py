"""Describe a network by numbers that may explain its accuracy, whatever space or block it comes from.

All are taken from the graph: how much of the work each kind of layer does at each scale, widths, depths, costs, and the
lengths of paths, which explain accuracy beyond costs (GRAF: Kadlecova et al., "Surprisingly Strong Performance
Prediction with Neural Graph Features", 2024).
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from search_space.graph import Add, Concat, Conv, Graph, Multiply, Node, Weighted

SCALES = 3
"""Parts of a network by the size of its maps: that of its first residual sum, half of it, and what is smaller."""
_OF_SCALE = ("dense", "pointwise", "depthwise", "gates", "concats", "log_width", "log_layers")
_OF_NETWORK = (
    "log_macs",
    "log_params",
    "log_activations",
    "log_largest",
    "log_resolution",
    "log_shortest",
    "log_longest",
    "log_nodes",
    "bits",
)
NAMES = (*(f"{name}_{scale + 1}" for scale in range(SCALES) for name in _OF_SCALE), *_OF_NETWORK)
"""What the numbers are, in their order; logarithms are to base 10."""


def features_of(graph: Graph) -> NDArray[np.float64]:
    """Return the numbers called NAMES, (features,).

    Of a scale: the shares of its multiply-accumulates in convolutions of k x k, of 1 x 1, and in depthwise ones; the
    numbers of gates (Squeeze-and-Excitation) and of concatenations (Ghost) for each residual sum; the most channels;
    the number of convolutions, and one. Of the network: multiply-accumulates, parameters, values of all activations and
    of the largest one, the image's side in pixels, layers with weights on the shortest and on the longest path, nodes,
    and log2 of the bits, as the mean over layers weighted by parameters.
    """
    found = list[float]()
    for nodes in _by_scale(graph):
        found += _of_scale(nodes)
    activations = [node.shape.numel for node in graph.nodes]
    weighted = [node for node in graph.nodes if isinstance(node.op, Weighted)]
    params = sum(node.num_params for node in weighted)
    bits = sum(node.num_params * math.log2(node.bits) for node in weighted) / params
    shortest, longest = _path_lengths(graph)
    counts = (
        sum(node.macs for node in weighted),
        params,
        sum(activations),
        max(activations),
        graph.nodes[0].shape.height,
        shortest,
        longest,
        len(graph.nodes),
    )
    return np.array([*found, *map(math.log10, counts), bits])


def _by_scale(graph: Graph) -> list[list[Node]]:
    sums = [node for node in graph.nodes if isinstance(node.op, Add)]
    first = (sums or graph.nodes[1:])[0].shape.height
    parts = [list[Node]() for _ in range(SCALES)]
    scale = 0
    for node in graph.nodes[1:-1]:
        if node.shape.height > 1 or first == 1:  # else a gate, or the pooled end, which belong to what is before them
            scale = min(max(round(math.log2(first / node.shape.height)), 0), SCALES - 1)
        parts[scale].append(node)
    return parts


def _of_scale(nodes: Sequence[Node]) -> list[float]:
    convolutions = [(node.op, node.macs) for node in nodes if isinstance(node.op, Conv) and node.shape.height > 1]
    total = sum(macs for _, macs in convolutions) or 1
    depthwise = sum(macs for op, macs in convolutions if op.groups > 1)
    pointwise = sum(macs for op, macs in convolutions if op.groups == 1 and op.kernel == 1)
    dense = sum(macs for op, macs in convolutions if op.groups == 1 and op.kernel > 1)
    sums = max(1, sum(isinstance(node.op, Add) for node in nodes))
    gates, concats = (sum(isinstance(node.op, kind) for node in nodes) / sums for kind in (Multiply, Concat))
    width = max((node.shape.channels for node in nodes), default=1)
    layers = 1 + len(convolutions)
    return [dense / total, pointwise / total, depthwise / total, gates, concats, math.log10(width), math.log10(layers)]


def _path_lengths(graph: Graph) -> tuple[int, int]:
    """Layers with weights between the image and the logits, on the shortest path and on the longest."""
    shortest, longest = list[int](), list[int]()
    for node in graph.nodes:
        own = isinstance(node.op, Weighted)
        shortest.append(own + min((shortest[source] for source in node.inputs), default=0))
        longest.append(own + max((longest[source] for source in node.inputs), default=0))
    return max(1, shortest[-1]), max(1, longest[-1])
