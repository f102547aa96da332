"""What numbers fill a graph? Weights and quantization scales by node name, as plain arrays (no torch).

They come from a trained network (`runners/deploy.py`), or at random where only the speed matters.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .graph import FLOAT_BITS, Act, Graph, Linear, MovesOnly, Node, Operator, Weighted

Floats = NDArray[np.float32]

CLIPPED: dict[Act, float] = {"relu": np.inf, "relu6": 6.0}
"""Activations that clip at 0 and at this value; an unsigned quantization does the first by itself."""
LINEAR_BITS = 8
MAX_BIAS = 2**30
"""An int32 bias keeps a bit in reserve for the accumulated products."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerValues:
    """A convolution or linear layer, batch-norm folded."""

    weight: Floats
    """(out_channels, in_channels / groups, kernel, kernel), or (out_channels, in_channels) of a linear layer."""
    bias: Floats
    """(out_channels,)."""
    steps: Floats | None = None
    """(out_channels,): a weight is step x integer; None for a float layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorScale:
    """How a node's output is quantized: a value is step x (integer - zero_point), integers 0 .. 2^bits - 1."""

    step: float
    zero_point: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkValues:
    """All numbers of a network, by node name."""

    layers: Mapping[str, LayerValues]
    tensors: Mapping[str, TensorScale]
    """Of every quantized output; empty for a float network."""


def quantized_tensors(graph: Graph) -> dict[str, int]:
    """Name -> bits of every tensor that is quantized, in the order in which they are computed.

    Those are the outputs of nodes below 32 bits, but for the logits and for operators that only move values. In front
    of an activation that does not merely clip, the layer's own output has a scale too (`linear_name`), at 8 bits: only
    then is the layer fused in integer runtimes.
    """
    tensors: dict[str, int] = {}
    for node in graph.nodes[:-1]:
        if node.bits != FLOAT_BITS and not isinstance(node.op, MovesOnly):
            if has_linear_scale(node.op, node.act):
                tensors[linear_name(node)] = LINEAR_BITS
            tensors[node.name] = node.bits
    return tensors


def has_linear_scale(op: Operator, act: Act | None) -> bool:
    """Whether a quantized operator's sum of products is quantized before its activation as well as after."""
    return isinstance(op, Weighted) and act is not None and act not in CLIPPED


def input_scales(graph: Graph, tensors: Mapping[str, TensorScale]) -> dict[str, TensorScale | None]:
    """How the input of each weighted node is quantized, by the node's name; None where it is in float."""
    scales: list[TensorScale | None] = []
    found: dict[str, TensorScale | None] = {}
    for node in graph.nodes:
        source = scales[node.inputs[0]] if node.inputs else None
        scales.append(source if isinstance(node.op, MovesOnly) else tensors.get(node.name))
        if isinstance(node.op, Weighted):
            found[node.name] = source
    return found


def linear_name(node: Node) -> str:
    """Name of a weighted node's output before the activation."""
    return f"{node.name}_linear"


def quantized_layer(
    layer: LayerValues, bits: int, input_step: float
) -> tuple[NDArray[np.int8], NDArray[np.float32], NDArray[np.int32]]:
    """Weight as int8, the step of each output channel, and the bias as int32 in units of step x `input_step`.

    Below 8 bits the integers are shifted up by 8 - bits: the values stay the same, and the bias's unit becomes fine
    enough (at 4 bits it would be a tenth of the output's step). A channel whose weights are so small that its bias
    would not fit gets a larger step, which loses nothing: what it rounds away is far below a step of any output whose
    range holds the bias.
    """
    assert layer.steps is not None
    shift, high = 2 ** (8 - bits), 2 ** (bits - 1) - 1
    steps = np.maximum(layer.steps, np.abs(layer.bias) * shift / np.float32(input_step * MAX_BIAS)).astype(np.float32)
    columns = steps.reshape(-1, *[1] * (layer.weight.ndim - 1))
    integers = (np.clip(np.round(layer.weight / columns), -high, high) * shift).astype(np.int8)
    steps /= np.float32(shift)
    bias = np.round(layer.bias.astype(np.float64) / (steps.astype(np.float64) * input_step)).astype(np.int32)
    return integers, steps, bias


def random_values(graph: Graph, seed: int = 0) -> NetworkValues:
    """Plausible numbers for a network whose speed is to be measured before it is trained."""
    generator = np.random.default_rng(seed)
    layers = {}
    for node in graph.nodes:
        op = node.op
        if not isinstance(op, Weighted):
            continue
        shape: tuple[int, ...] = (op.out_channels, op.in_channels)
        if not isinstance(op, Linear):
            shape = (op.out_channels, op.in_channels // op.groups, op.kernel, op.kernel)
        fan_in = op.num_weights // op.out_channels
        # Half of He's variance: without batch-norm, deep residual sums would otherwise overflow.
        weight = generator.standard_normal(shape, dtype=np.float32) * np.float32(fan_in**-0.5)
        steps = None
        if node.bits != FLOAT_BITS:
            steps = np.abs(weight.reshape(op.out_channels, -1)).max(1) / np.float32(2 ** (node.bits - 1) - 1)
        layers[node.name] = LayerValues(weight=weight, bias=np.zeros(op.out_channels, np.float32), steps=steps)
    never_negative = {node.name for node in graph.nodes if node.act in (*CLIPPED, "sigmoid", "hard_sigmoid")}
    tensors = {
        name: TensorScale(step=4.0 / (2**bits - 1), zero_point=0 if name in never_negative else 2 ** (bits - 1))
        for name, bits in quantized_tensors(graph).items()
    }
    return NetworkValues(layers=layers, tensors=tensors)
