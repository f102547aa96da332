"""Which kernels does a network run? Its graph as the runtime's kernels, each with what its time depends on.

The kinds follow onnxruntime on a CPU. In float32 it keeps tensors between convolutions in blocks of channels; what
cannot read those (multiply, linear, convolutions of few channels; pools and concats of ragged blocks) forces a
reordering, so a kernel's kind says how it reads, whether its input must be reordered, and whether a sum is fused into
the convolution before it.
"""

from functools import lru_cache
from typing import NamedTuple

from search_space.backends.network_values import has_linear_scale
from search_space.graph import (
    FLOAT_BITS,
    Act,
    Add,
    ChannelShuffle,
    Concat,
    Conv,
    GlobalPool,
    Graph,
    MaxPool,
    Node,
    Operator,
    Shape,
    Slice,
)


class KernelKey(NamedTuple):
    """What determines a kernel's time."""

    kind: str
    """The operator and how it runs; begins with 'int8 ' where it runs in integers."""
    in_channels: int
    out_channels: int
    in_size: int
    """Height (= width) of the input, in pixels."""
    out_size: int


class Kernel(NamedTuple):
    """A kernel and the graph's node that it belongs to."""

    node: int
    key: KernelKey


CLIP = "int8 clip"
"""Kind of the kernel that clips the activations of a node below 8 bits."""
BLOCK = 16
"""Channels in a block, with AVX-512; the runtime takes 8 with AVX2."""
_NEVER_CLIPPED = (Slice, ChannelShuffle, MaxPool, Concat)
"""Operators whose integers are those of their inputs (but for a concatenation of tensors at other scales); nor is a
sigmoid's output, which always has 8 bits."""
_ALIGNMENT = 4
"""A convolution reads blocks only of a tensor whose channels are a multiple of this."""


def kernels_of(graph: Graph) -> list[Kernel]:
    """The kernels of the file that is timed for `graph`, in order."""
    nodes = graph.nodes
    uses = [0] * len(nodes)
    for node in nodes:
        for source in node.inputs:
            uses[source] += 1
    blocked: list[bool] = []
    found = []
    for position, node in enumerate(nodes):
        _, op, inputs, shape, act, bits, _ = node
        first = nodes[inputs[0]] if inputs else node
        if bits != FLOAT_BITS and (not inputs or first.bits != FLOAT_BITS):
            blocked.append(False)
            key = _key("int8 ", op, act, first.shape, shape, "")
        else:
            blocked.append(_writes_blocks(node, nodes, blocked))
            key = _key("", op, act, first.shape, shape, _layout(node, nodes, blocked, uses))
        found.append(Kernel(position, key))
        if bits < 8 and act != "sigmoid" and not isinstance(op, _NEVER_CLIPPED):
            found.append(Kernel(position, _clip(shape)))
    return found


@lru_cache(maxsize=2**14, typed=True)  # by type too: as tuples, operators without fields are equal
def _key(prefix: str, op: Operator, act: Act | None, read: Shape, shape: Shape, layout: str) -> KernelKey:
    """Kept, because a network repeats its blocks, and thousands of candidates are asked about."""
    return KernelKey(prefix + _kind(op, act, shape) + layout, read.channels, shape.channels, read.height, shape.height)


@lru_cache(maxsize=2**12)
def _clip(shape: Shape) -> KernelKey:
    return KernelKey(CLIP, shape.channels, shape.channels, shape.height, shape.height)


def _reads_blocks(op: Conv) -> bool:
    """Whether a float convolution wants blocks: depthwise always, else not from few channels."""
    return op.groups > 1 or (op.in_channels >= BLOCK and op.in_channels % _ALIGNMENT == 0)


_READS_WHOLE_BLOCKS = (Concat, GlobalPool, MaxPool)
"""Operators that read blocks only of a tensor whose channels fill them."""


def _writes_blocks(node: Node, nodes: tuple[Node, ...], blocked: list[bool]) -> bool:
    """Whether a float node's output lies in blocks."""
    op = node.op
    if isinstance(op, Conv):
        return _reads_blocks(op) or (op.groups == 1 and op.in_channels < BLOCK)
    if isinstance(op, Add):
        return all(blocked[source] for source in node.inputs)
    if isinstance(op, _READS_WHOLE_BLOCKS):
        return all(blocked[source] and nodes[source].shape.channels % BLOCK == 0 for source in node.inputs)
    return False


def _layout(node: Node, nodes: tuple[Node, ...], blocked: list[bool], uses: list[int]) -> str:
    """How a float kernel runs, and what must be reordered for it."""
    op, inputs = node.op, node.inputs
    if isinstance(op, Conv):
        wants = _reads_blocks(op)
        how = "" if wants else "_direct" if blocked[-1] else "_plain"
        return how if blocked[inputs[0]] == wants else how + "_reordered"
    found = [blocked[source] for source in inputs]
    if isinstance(op, Add) and all(found):
        return "_fused" if any(uses[source] == 1 and _is_bare(nodes[source]) for source in inputs) else ""
    return f"_{sum(found)}reordered" if any(found) and not blocked[-1] else ""


def _is_bare(node: Node) -> bool:
    """Whether a sum can be fused into it."""
    return isinstance(node.op, Conv) and node.act is None


def _kind(op: Operator, act: Act | None, shape: Shape) -> str:
    if not isinstance(op, Conv):
        return type(op).__name__.lower()
    pointwise = "_1px" if shape.height == 1 else ""
    fused = f"_{act}" if has_linear_scale(op, act) else ""
    return f"{'depthwise' if op.groups > 1 else 'conv'}{op.kernel}{pointwise}{fused}"
