"""What numbers fill a graph? Weights and quantization scales by node name, as plain arrays (no torch).

They come from a trained network (`runners/verification/torch_export.py`), or at random where only the speed matters.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..graph import FLOAT_BITS, Act, Concat, Graph, Input, Linear, MovesOnly, Node, Operator, Weighted

Floats = NDArray[np.float32]

CLIPPED: dict[Act, float] = {"relu": np.inf, "relu6": 6.0}
"""Activations that clip at 0 and at this value; an unsigned quantization does the first by itself."""
FINE_BITS = 8
"""Bits of the tensors within a node (`linear_name`) and of a sigmoid's output, whatever the node's own bits."""
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


SIGMOID_SCALE = TensorScale(step=1 / 256, zero_point=0)
"""Of every quantized output of a sigmoid: the scale that LiteRT's integer kernel has, so that no file has another."""


class QuantizedTensor(NamedTuple):
    """A tensor that is quantized where it is computed."""

    bits: int
    group: str
    """Tensors of one group share one scale: those that are concatenated. The group's name is that of its first."""
    given: bool
    """Whether the scale follows from the image's normalisation or is `SIGMOID_SCALE`, and is not calibrated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkValues:
    """All numbers of a network, by node name."""

    layers: Mapping[str, LayerValues]
    tensors: Mapping[str, TensorScale]
    """Of every quantized output; empty for a float network."""


def quantized_tensors(graph: Graph) -> dict[str, QuantizedTensor]:
    """Return every tensor that is quantized, by name, in the order in which they are computed.

    Those are the outputs of nodes below 32 bits, except the logits and operators that only move values. In front of an
    activation that does more than clip, the operator's own output has a scale too (`linear_name`): only then do integer
    runtimes fuse a layer. So has the sigmoid within a SiLU (`sigmoid_name`).

    Concatenated tensors share one scale, so that a concatenation only moves values. An input that cannot share it
    (in float, at other bits, or with a given scale) is quantized again when it is concatenated; then the
    concatenation's output counts as computed.
    """
    tensors: dict[str, QuantizedTensor] = {}
    groups: dict[str, str] = {}

    def add(name: str, bits: int, *, given: bool = False) -> str:
        tensors[name] = QuantizedTensor(bits, name, given)
        return groups.setdefault(name, name)

    def can_share(origin: tuple[str, ...], bits: int) -> bool:
        return bool(origin) and all(tensors[name].bits == bits and not tensors[name].given for name in origin)

    origins: list[tuple[str, ...]] = []
    """For each node, the computed tensors that its output holds values of; none where it is in float."""
    for node in graph.nodes[:-1]:
        sources = [origins[source] for source in node.inputs]
        if node.bits == FLOAT_BITS:
            origins.append(())
        elif isinstance(node.op, MovesOnly):
            origins.append(sources[0])
        elif isinstance(node.op, Concat):
            sharing = [source for source in sources if can_share(source, node.bits)]
            members = [name for source in sharing for name in source]
            if len(sharing) < len(sources):
                members.append(add(node.name, node.bits))
            joined = {groups[name] for name in members}
            first = next(name for name in tensors if name in joined)
            groups.update((name, first) for name, group in groups.items() if group in joined)
            origins.append(tuple(members))
        else:
            if has_linear_scale(node.op, node.act):
                add(linear_name(node), FINE_BITS)
            if node.act == "silu":
                add(sigmoid_name(node), FINE_BITS, given=True)
            if node.act == "sigmoid":
                add(node.name, FINE_BITS, given=True)
            else:
                add(node.name, node.bits, given=isinstance(node.op, Input))
            origins.append((node.name,))
    return {name: tensor._replace(group=groups[name]) for name, tensor in tensors.items()}


def has_linear_scale(op: Operator, act: Act | None) -> bool:
    """Whether a quantized operator's output is quantized before its activation as well as after."""
    return not isinstance(op, MovesOnly) and act is not None and act not in CLIPPED


def output_scales(graph: Graph, tensors: Mapping[str, TensorScale]) -> list[TensorScale | None]:
    """Return how each node's output is quantized, by position; None where it is in float, as the logits are."""
    scales: list[TensorScale | None] = []
    for node in graph.nodes:
        moves = isinstance(node.op, MovesOnly | Concat) and node.bits != FLOAT_BITS and node is not graph.nodes[-1]
        scales.append(tensors.get(node.name, scales[node.inputs[0]] if moves else None))
    return scales


def input_scales(graph: Graph, tensors: Mapping[str, TensorScale]) -> dict[str, TensorScale | None]:
    """Return how the input of each weighted node is quantized, by the node's name; None where it is in float."""
    scales = output_scales(graph, tensors)
    return {node.name: scales[node.inputs[0]] for node in graph.nodes if isinstance(node.op, Weighted)}


def linear_name(node: Node) -> str:
    """Name of a node's output before the activation."""
    return f"{node.name}_linear"


def sigmoid_name(node: Node) -> str:
    """Name of the sigmoid by which a SiLU multiplies its input."""
    return f"{node.name}_sigmoid"


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
    return NetworkValues(layers=layers, tensors=random_scales(graph))


def random_scales(graph: Graph) -> dict[str, TensorScale]:
    """Plausible scales of every quantized tensor."""
    never_negative = {node.name for node in graph.nodes if node.act in (*CLIPPED, "hard_sigmoid")}
    tensors = quantized_tensors(graph)
    signed = {tensor.group for name, tensor in tensors.items() if name not in never_negative}
    scales = {}
    for name, (bits, group, given) in tensors.items():
        zero_point = 2 ** (bits - 1) if group in signed else 0
        is_image = name == graph.nodes[0].name
        scales[name] = (
            SIGMOID_SCALE if given and not is_image else TensorScale(step=4.0 / (2**bits - 1), zero_point=zero_point)
        )
    return scales
