"""How many bytes does the ONNX file have that ships for a graph? Known without writing it, in microseconds.

`OnnxLayout` says what is in the file, as it does for the writer; here only the lengths of its messages are added up
(protobuf.dev/programming-guides/encoding). What a node adds depends on nothing but the node and on how its inputs are
kept, so it is added up once and looked up from then on.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..graph import FLOAT_BITS, Act, Conv, GlobalPool, Graph, Input, Linear, MovesOnly, Node, Operator, Shape, Weighted
from .network_values import LayerValues, NetworkValues, random_scales
from .onnx_layout import INPUT, OUTPUT, OnnxLayout
from .onnx_tensors import OutputTensor

SPEC_BYTES = 545
"""Of the metadata beside the classes: mean, deviation, sizes of images and a spec of three or four stages."""
CLASS_BYTES, MANY_CLASSES_BYTES = 9, 12
"""Of a class's name in the metadata, with quotes, comma and space: up to 100 classes, and of more (ImageNet's: 13)."""


def onnx_bytes(graph: Graph) -> int:
    """Return the bytes of the ONNX file that an export of the network ships, metadata included.

    That is the int8 file where a node has fewer than 32 bits, the one in float32 otherwise. The figure is exact but for
    the metadata's texts, which are taken to be of a usual length.
    """
    added: list[Added] = []
    kept: list[Kept] = []
    read: set[int] = set()
    for name, op, inputs, shape, act, bits, _ in graph.nodes:
        sources = [kept[source] for source in inputs]
        node = _added(op, act, bits, len(name), shape[0], len(kept) + 1 == len(graph.nodes), *sources)
        added.append(node)
        kept.append(node.output)
        read.update(inputs if node.reads is None else [inputs[position] for position in node.reads])
    return _file(graph, sum([node.size for node in added]) + sum([added[position].dequantize for position in read]))


def metadata_bytes(classes: int) -> int:
    """Usual bytes of the metadata of a network with so many classes."""
    return SPEC_BYTES + classes * (CLASS_BYTES if classes <= 100 else MANY_CLASSES_BYTES)


class Kept(NamedTuple):
    """How the file keeps a node's output."""

    plain: int
    """Length of its name in float."""
    quantized: int
    """Length of the name of its integers; 0 where it has none."""
    bits: int
    is_given: bool
    """Whether its scale is given, as that of the image (`quantized_tensors`)."""


class Added(NamedTuple):
    """What a node adds to the file."""

    size: int
    """In bytes."""
    dequantize: int
    """Bytes of its output's dequantization, which is in the file once, where a node reads it in float."""
    output: Kept
    reads: tuple[int, ...] | None
    """Which of its inputs it reads in float; None where all."""


@lru_cache(maxsize=2**15, typed=True)  # operators of equal fields are equal, but not of one type
def _added(
    op: Operator,
    act: Act | None,
    bits: int,
    name: int,
    channels: int,
    is_last: bool,
    *inputs: Kept,
) -> Added:
    """Let a layout write a node alone, behind stand-ins for its inputs; `name` is the name's length."""
    shape = Shape(channels, 1, 1)
    nodes = [
        Node(f"{i}", Input() if x.is_given else GlobalPool(), (), shape, None, x.bits) for i, x in enumerate(inputs)
    ]
    node = Node("n" * name, op, tuple(range(len(inputs))), shape, act, bits)
    nodes += [node] if is_last else [node, Node("behind", GlobalPool(), (len(inputs),), shape, None, bits)]
    counter = _Counter(Graph(tuple(nodes)))
    for position, kept in enumerate(inputs):
        plain, quantized = f"{position}p".ljust(kept.plain), f"{position}q".ljust(kept.quantized)
        scale = counter.scales[f"{position}"]
        counter.tensors.append(OutputTensor(plain, quantized if kept.quantized else None, scale))
    counter.tensors.append(tensor := counter.write(node))
    if is_last:
        counter.finish()
    reads = tuple(i for i in range(len(inputs)) if counter.tensors[i].plain in counter.read)
    size = counter.size
    in_float = len(counter.plain(len(inputs)))
    is_given = inputs[0].is_given if isinstance(op, MovesOnly) else isinstance(op, Input) or act == "sigmoid"
    output = Kept(in_float, len(tensor.quantized or ""), bits, is_given)
    return Added(size, counter.size - size, output, None if len(reads) == len(inputs) else reads)


class _Counter(OnnxLayout):
    """Adds up the bytes of the messages."""

    def __init__(self, graph: Graph) -> None:
        layers = {node.name: _blank(node.op, node.bits) for node in graph.nodes if isinstance(node.op, Weighted)}
        super().__init__(graph, NetworkValues(layers=layers, tensors=random_scales(graph)), int8=True)
        self.size = 0
        self.read = set[str]()
        """Names of all tensors that are read."""

    def add_node(self, kind: str, name: str, inputs: Sequence[str], output: str, attributes: dict[str, Any]) -> None:
        self.read.update(inputs)
        texts = sum([_field(len(text)) for text in (*inputs, output, name, kind)])
        self.size += _field(texts + sum([_field(_attribute(key, value)) for key, value in attributes.items()]))

    def add_tensor(self, name: str, array: NDArray[Any]) -> None:
        dims = sum([1 + _varint(size) for size in array.shape])
        self.size += _field(dims + _DATA_TYPE + _field(len(name)) + _field(array.nbytes))

    def rounded(self, layer: LayerValues, bits: int) -> NDArray[Any]:
        return layer.weight

    def integers(self, layer: LayerValues, bits: int, step: float) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        assert layer.steps is not None
        return _zeros(np.int8, *layer.weight.shape), layer.steps, _zeros(np.int32, *layer.bias.shape)


def _blank(op: Conv | Linear, bits: int) -> LayerValues:
    """Values of the right shapes that take no memory."""
    shape: tuple[int, ...] = (op.out_channels, op.in_channels)
    if isinstance(op, Conv):
        shape = (op.out_channels, op.in_channels // op.groups, op.kernel, op.kernel)
    per_channel = _zeros(np.float32, op.out_channels)
    steps = None if bits == FLOAT_BITS else per_channel
    return LayerValues(weight=_zeros(np.float32, *shape), bias=per_channel, steps=steps)


def _zeros(dtype: DTypeLike, *shape: int) -> NDArray[Any]:
    return np.broadcast_to(np.zeros((), dtype), shape)


# --- lengths of the messages of onnx.proto --------------------------------------------------------

_DATA_TYPE = 2
"""Of a tensor: a tag and a small number."""
_VERSIONS = 2 + 2 + len("resfront") + 2 + 4
"""Of the model: the format's version, the producer's name, and the empty domain and version of the operators."""


def _varint(value: int) -> int:
    return max(1, (value.bit_length() + 6) // 7)


def _field(length: int) -> int:
    """A text or a message of `length` bytes within another message."""
    return 1 + _varint(length) + length


def _attribute(name: str, value: float | list[int]) -> int:
    """A name, a value and a type, whose tag has two bytes."""
    if isinstance(value, list):
        return _field(len(name)) + sum([1 + _varint(item) for item in value]) + 3
    return _field(len(name)) + (5 if isinstance(value, float) else 1 + _varint(value)) + 3


def _shaped(name: str, *shape: int) -> int:
    """The input or the output of the model, with its type and its shape."""
    dims = sum([_field(1 + _varint(size)) for size in shape])
    return _field(_field(len(name)) + _field(_field(_DATA_TYPE + _field(dims))))


def _file(graph: Graph, nodes: int) -> int:
    """The whole file, given the bytes of all nodes."""
    classes = graph.nodes[-1].shape.channels
    ends = _shaped(INPUT, 1, *graph.nodes[0].shape) + _shaped(OUTPUT, 1, classes)
    return _VERSIONS + _field(nodes + _field(len("resfront")) + ends) + metadata_bytes(classes)
