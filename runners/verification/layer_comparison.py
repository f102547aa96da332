"""Comparison of two runs of one network, by torch and by what runs an exported file, or on two processors.

Processors, batches and kernels add products in another order, so two right runs differ in their last bits. In a
quantized network a value on the edge of two steps then falls to the other one, and later layers carry that on: no bound
on the difference of two outputs holds for every network. What does hold is checked:

- `compare_layers`: each tensor follows from the tensors before it. A file's integer is the one nearest to the exact
  value, or either where that lies on the edge between two; a float value differs in its last digits alone.
- `compare_exactly`: in float64 two programs of one network give the same outputs, to the last digits.
- `ReferenceRun.compare`: over a whole set of images, every image whose two best logits are not close gets the same
  answer; in float the outputs are the same but for their last digits.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from search_space.backends.network_values import linear_name, sigmoid_name
from search_space.backends.torch_network import ConvLayer, GraphNetwork, LinearLayer
from search_space.graph import Node

from ..quantization.folding import folded
from ..quantization.simulation import QuantizedLayer
from .torch_export import frozen_network

Logits = NDArray[np.float32]
EXACT_TOLERANCE = 1e-9
"""Largest difference of two outputs in float64, as a share of the largest output."""
FLOAT_TOLERANCE = 1e-3
"""Largest difference of two float32 values of a tensor, as a share of the largest value of their channel."""
OUTPUT_TOLERANCE = 0.01
"""Largest difference of two outputs in float32, as a share of the largest: that of all layers together."""
SMALL_CHANNEL = 1e-5
"""Added to it, as a share of the largest value of the tensor: where terms cancel, sums lose digits."""
CANCELLED = 1e-6
"""And as a share of the sum of a layer's absolute terms, of which a float32 sum has a relative error of 6e-8 each."""
EDGE, FLOAT_EDGE = 1e-3, 0.01
"""How far beyond the middle of two integers a value may lie, in steps, and still be rounded to either: where a runtime
adds integers, and where it adds floats. Runtimes were seen to need 1e-5."""


class Difference(NamedTuple):
    """A tensor that two runs do not agree on."""

    tensor: str
    share: float
    """Of its values that differ by more than rounding."""

    def __str__(self) -> str:
        return f"'{self.tensor}' differs in {self.share:.2%} of its values"


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorTrace:
    """What a run computed for one tensor."""

    values: Tensor
    """(N, C, H, W) float64; of a quantized tensor what its integers stand for."""
    step: float | None = None
    """None where the run has it in float."""
    low: float = -math.inf
    """The lowest value that its integers can stand for."""
    high: float = math.inf
    edge: float = EDGE
    slack: float = 0.0
    """What a value may differ by besides: half a unit of the biases where a file rounds them to units of its own."""


Trace = Mapping[str, TensorTrace]
"""By name: the output of each node, the tensors within a node (`linear_name`, `sigmoid_name`), and `LOGITS`."""
LOGITS = "logits"
"""What a run gives in the end, (N, classes, 1, 1)."""


def compare_exactly(network: GraphNetwork, program: nn.Module, images: Tensor) -> float:
    """Return the largest difference of the outputs for images (N, C, H, W), on the CPU in float64, relative to them.

    `program` is to compute what `network` does in evaluation mode; it is turned into float64.
    """
    with torch.inference_mode():
        ours = frozen_network(network).cpu().double()(images.double())
        theirs = program.double()(images.double())
    return float((ours - theirs).abs().max() / ours.abs().max().clamp(min=1e-300))


def compare_layers(network: GraphNetwork, images: Tensor, trace: Trace) -> list[Difference]:
    """Return the tensors of a run on `images` (N, C, H, W) that do not follow from the tensors before them, in order.

    Each is computed again in float64 from the values that the run itself had, so that nothing adds up.
    """
    frozen, found = frozen_network(network).double(), list[Difference]()
    with torch.no_grad():
        for node in frozen.graph.nodes:
            for name, expected, terms in _tensors_of(frozen, node, images.double(), trace):
                if name not in trace or trace[name].values.shape != expected.shape:
                    return [*found, Difference(name, 1.0)]  # nothing behind it can be computed again
                difference = _difference(name, expected, terms, trace[name])
                if difference.share:
                    found.append(difference)
    return found


def _tensors_of(
    network: GraphNetwork, node: Node, images: Tensor, trace: Trace
) -> Iterator[tuple[str, Tensor, Tensor | float]]:
    """Names and values, not yet quantized, of the tensors that a node computes, and how large their terms can be.

    The base class runs them: the network's own methods would quantize.
    """
    if not node.inputs:
        yield node.name, images, 0.0
        return
    sources = [trace[network.graph.nodes[source].name].values for source in node.inputs]
    y = GraphNetwork.run_operator(network, node, *sources)
    terms = _terms(network.layers[node.name], sources[0]) if node.name in network.layers else 0.0
    if (name := linear_name(node)) in trace:
        yield name, y, terms
        terms = 0.0
        y = trace[name].values.clone()  # an activation may overwrite what it gets
    if (name := sigmoid_name(node)) in trace:
        yield name, torch.sigmoid(y), terms
        yield node.name, y * trace[name].values, terms
    else:
        yield node.name, GraphNetwork.run_activation(network, node, y), terms
    if node is network.graph.nodes[-1] and LOGITS in trace and node.name in trace:
        yield LOGITS, trace[node.name].values.flatten(1)[:, :, None, None], 0.0


def _terms(layer: nn.Module, x: Tensor) -> Tensor:
    """Return a bound on a layer's sums of absolute terms, (out_channels, 1, 1)."""
    if isinstance(layer, QuantizedLayer):
        weight, bias = layer.weight.detach(), layer.bias.detach()
    else:
        weight, bias = folded(cast(ConvLayer | LinearLayer, layer))
    return (weight.abs().flatten(1).sum(1) * x.abs().max() + bias.abs())[:, None, None]


def _difference(name: str, expected: Tensor, terms: Tensor | float, found: TensorTrace) -> Difference:
    if found.step is not None:
        error = (expected.clamp(found.low, found.high) - found.values).abs()
        limit = expected.new_tensor((0.5 + found.edge) * found.step + found.slack)
    else:
        error = (expected - found.values).abs()
        largest = expected.abs().amax((0, 2, 3), keepdim=True)
        limit = FLOAT_TOLERANCE * largest + SMALL_CHANNEL * largest.max() + CANCELLED * terms + found.slack + 1e-12
    wrong = ~(error <= limit)  # also where one is no number
    return Difference(name, float(wrong.double().mean()))
