"""What is a network made of? An immutable graph of operators with inferred shapes and bit-widths.

Everything else follows from it: the trainable module (`network.py`), the exact costs (package `objectives`) and the
exported files. `GraphBuilder` is the only way to make one. No torch is imported here.
"""

from typing import Literal, NamedTuple, NewType

from .errors import SpecError, unknown_name

Act = Literal["relu", "relu6", "hard_swish", "silu", "sigmoid", "hard_sigmoid"]
ACTS: tuple[Act, ...] = ("relu", "relu6", "hard_swish", "silu", "sigmoid", "hard_sigmoid")

FLOAT_BITS = 32
BITS = (2, 3, 4, 6, 8, FLOAT_BITS)

Ref = NewType("Ref", int)
"""A node of the graph under construction, by its position."""


class Shape(NamedTuple):
    """Shape of one image's activation tensor; the batch axis is left out."""

    channels: int
    height: int
    width: int

    @property
    def numel(self) -> int:
        return self.channels * self.height * self.width


class Input(NamedTuple):
    """The image."""


class Conv(NamedTuple):
    """2-d convolution, padded by kernel // 2, followed by batch-norm (`norm`) or by a bias per channel."""

    in_channels: int
    out_channels: int
    kernel: int
    stride: int
    groups: int
    norm: bool

    @property
    def num_weights(self) -> int:
        return self.out_channels * (self.in_channels // self.groups) * self.kernel * self.kernel

    @property
    def num_params(self) -> int:
        """Trainable parameters: the weights, and scale and shift of the batch-norm or the bias."""
        return self.num_weights + self.out_channels * (2 if self.norm else 1)


class Linear(NamedTuple):
    """Fully connected layer with bias, on a tensor of height and width 1."""

    in_channels: int
    out_channels: int

    @property
    def num_weights(self) -> int:
        return self.in_channels * self.out_channels

    @property
    def num_params(self) -> int:
        return self.num_weights + self.out_channels


class Add(NamedTuple):
    """Sum of two tensors of one shape."""


class Multiply(NamedTuple):
    """Product of a tensor and a gate per channel (height and width 1)."""


class Concat(NamedTuple):
    """Concatenation along the channels."""


class Slice(NamedTuple):
    """Channels `start` (included) to `stop` (excluded)."""

    start: int
    stop: int


class ChannelShuffle(NamedTuple):
    """Interleaves the channels of `groups` groups (Zhang et al. 2018, fig. 1)."""

    groups: int


class MaxPool(NamedTuple):
    """Max-pooling, padded by kernel // 2."""

    kernel: int
    stride: int


class GlobalPool(NamedTuple):
    """Mean over height and width."""


Weighted = Conv | Linear
MovesOnly = Slice | ChannelShuffle | MaxPool
"""Operators whose output holds values of their input, so that it keeps the input's bits."""
Operator = Weighted | Input | Add | Multiply | Concat | Slice | ChannelShuffle | MaxPool | GlobalPool


class Node(NamedTuple):
    """One operator with its activation fused. `bits` is the width of its weights and of its output tensor."""

    name: str
    op: Operator
    inputs: tuple[int, ...]
    shape: Shape
    act: Act | None
    bits: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a convolution or linear layer (bias ignored); 0 for any other operator."""
        op = self.op
        return op.num_weights * self.shape.height * self.shape.width if isinstance(op, Weighted) else 0

    @property
    def num_params(self) -> int:
        return self.op.num_params if isinstance(self.op, Weighted) else 0


class Graph(NamedTuple):
    """Nodes in the order in which they run; the first is the image, the last gives the logits."""

    nodes: tuple[Node, ...]

    @property
    def last_uses(self) -> tuple[int, ...]:
        """For each node, the position of the last node that reads it (its own where none does)."""
        last = list(range(len(self.nodes)))
        for position, node in enumerate(self.nodes):
            for source in node.inputs:
                last[source] = position
        return tuple(last)


class GraphBuilder:
    """Appends operators and infers their shapes.

    `bits` holds for the nodes added from then on (an operator that only moves values keeps its input's); `enter` starts
    a new name prefix. A shape that does not fit raises SpecError.
    """

    def __init__(self, in_channels: int, resolution: int, bits: int = FLOAT_BITS) -> None:
        self.bits = bits
        self._nodes: list[Node] = []
        self._prefix = ""
        self._start = 0
        self._counts: dict[str, int] = {}
        self._names: set[str] = set()
        self._append("input", Input(), (), Shape(in_channels, resolution, resolution))

    @property
    def input(self) -> Ref:
        return Ref(0)

    def enter(self, scope: str) -> None:
        """Name the nodes that follow `scope_...`, counting from 1 again."""
        self._prefix = scope + "_"
        self._start = len(self._nodes)
        self._counts = {}

    def shape(self, x: Ref) -> Shape:
        return self._nodes[x].shape

    def conv(
        self,
        x: Ref,
        out_channels: int,
        *,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        act: Act | None = "relu",
        norm: bool = True,
        name: str | None = None,
    ) -> Ref:
        """Convolution with batch-norm (or a bias, `norm=False`) and activation; output size ceil(size / stride)."""
        channels, height, width = self._nodes[x].shape
        if kernel % 2 == 0:
            raise SpecError(f"conv: kernel must be odd, not {kernel}")
        if out_channels < 1 or channels % groups or out_channels % groups:
            raise SpecError(f"conv: {channels} -> {out_channels} channels do not divide into {groups} groups")
        shape = Shape(out_channels, (height - 1) // stride + 1, (width - 1) // stride + 1)
        op = Conv(channels, out_channels, kernel, stride, groups, norm)
        return self._append(name or "conv", op, (x,), shape, act, numbered=name is None)

    def depthwise(self, x: Ref, *, kernel: int = 3, stride: int = 1, act: Act | None = "relu") -> Ref:
        """Convolution of each channel on its own."""
        channels = self._nodes[x].shape.channels
        return self.conv(x, channels, kernel=kernel, stride=stride, groups=channels, act=act)

    def linear(self, x: Ref, out_channels: int, *, act: Act | None = None) -> Ref:
        """Fully connected layer; raises SpecError unless the input is 1 x 1."""
        channels, height, width = self._nodes[x].shape
        if (height, width) != (1, 1):
            raise SpecError(f"linear: needs a 1 x 1 input, got {height} x {width}")
        return self._append("linear", Linear(channels, out_channels), (x,), Shape(out_channels, 1, 1), act)

    def add(self, x: Ref, y: Ref, *, act: Act | None = None) -> Ref:
        """Elementwise sum; raises SpecError unless the shapes are equal."""
        shape = self._nodes[x].shape
        if shape != self._nodes[y].shape:
            raise SpecError(f"add: shapes differ: {tuple(shape)} and {tuple(self._nodes[y].shape)}")
        return self._append("add", Add(), (x, y), shape, act)

    def multiply(self, x: Ref, gate: Ref) -> Ref:
        """Scale each channel of x by a gate of shape (channels, 1, 1)."""
        shape = self._nodes[x].shape
        if self._nodes[gate].shape != (shape.channels, 1, 1):
            raise SpecError(f"multiply: gate {tuple(self._nodes[gate].shape)} does not fit {tuple(shape)}")
        return self._append("multiply", Multiply(), (x, gate), shape)

    def concat(self, *xs: Ref) -> Ref:
        """Concatenate along the channels; raises SpecError unless heights and widths agree."""
        shapes = [self._nodes[x].shape for x in xs]
        if len({shape[1:] for shape in shapes}) != 1:
            raise SpecError(f"concat: sizes differ: {[tuple(shape) for shape in shapes]}")
        channels = sum(shape.channels for shape in shapes)
        return self._append("concat", Concat(), xs, Shape(channels, shapes[0].height, shapes[0].width))

    def slice(self, x: Ref, start: int, stop: int) -> Ref:
        """Channels start to stop (excluded)."""
        channels, height, width = self._nodes[x].shape
        if not 0 <= start < stop <= channels:
            raise SpecError(f"slice: [{start}, {stop}) is not within {channels} channels")
        return self._append("slice", Slice(start, stop), (x,), Shape(stop - start, height, width))

    def channel_shuffle(self, x: Ref, groups: int) -> Ref:
        """Interleave the channels of `groups` groups."""
        shape = self._nodes[x].shape
        if shape.channels % groups:
            raise SpecError(f"channel_shuffle: {shape.channels} channels do not divide into {groups} groups")
        return self._append("shuffle", ChannelShuffle(groups), (x,), shape)

    def max_pool(self, x: Ref, *, kernel: int = 3, stride: int = 2) -> Ref:
        """Max-pooling; output size ceil(size / stride)."""
        channels, height, width = self._nodes[x].shape
        if kernel % 2 == 0:
            raise SpecError(f"max_pool: kernel must be odd, not {kernel}")
        shape = Shape(channels, (height - 1) // stride + 1, (width - 1) // stride + 1)
        return self._append("max_pool", MaxPool(kernel, stride), (x,), shape)

    def global_pool(self, x: Ref) -> Ref:
        """Mean over height and width."""
        return self._append("pool", GlobalPool(), (x,), Shape(self._nodes[x].shape.channels, 1, 1))

    def shortcut(self, x: Ref, width: int, stride: int) -> Ref:
        """The residual's other branch: x itself, or its 1x1 projection where the shape changes."""
        if stride == 1 and self._nodes[x].shape.channels == width:
            return x
        return self.conv(x, width, kernel=1, stride=stride, act=None, name="shortcut")

    def squeeze_excite(self, x: Ref, *, reduced: int | None = None, act: Act = "relu", gate: Act = "sigmoid") -> Ref:
        """Scale channels by a gate computed from their means (Hu et al. 2018, fig. 2).

        `reduced` channels in the bottleneck: by default 1/16 of x's, as in the paper, and at least 8, which keeps the
        gate useful in narrow networks.
        """
        channels = self._nodes[x].shape.channels
        y = self.global_pool(x)
        y = self.conv(y, reduced or max(channels // 16, 8), kernel=1, act=act, norm=False, name="se_reduce")
        y = self.conv(y, channels, kernel=1, act=gate, norm=False, name="se_expand")
        return self.multiply(x, y)

    def repeat(self, scope: str, x: Ref) -> Ref:
        """Append the last scope's block once more, as `scope`, reading `x`, its output, where it read what was before.

        The same as to write a chain's next block, at a fraction of the time. A block that is repeated must end with its
        output, and read only its input and its own nodes.
        """
        self._check_repeatable(x)
        start, prefix = self._start, len(self._prefix)
        count = len(self._nodes) - start
        self.enter(scope)
        nodes = [
            Node._make((self._prefix + name[prefix:], op, tuple([s + count for s in inputs]), shape, act, bits))
            for name, op, inputs, shape, act, bits in self._nodes[start:]
        ]
        self._nodes += nodes
        self._names.update([node.name for node in nodes])
        return Ref(len(self._nodes) - 1)

    def _check_repeatable(self, output: Ref) -> None:
        """Raise AssertionError for a last scope whose copy would not be what its block's function writes."""
        scope, last, before = self._prefix[:-1], len(self._nodes) - 1, self._start - 1
        assert output == last, (
            f"{scope}: a block must end with its output; '{self._nodes[output].name}' is its output, "
            f"and '{self._nodes[last].name}' its last node"
        )
        for node in self._nodes[self._start :]:
            assert min(node.inputs) >= before, (
                f"{scope}: a block reads only its input and its own nodes; "
                f"'{node.name}' reads '{self._nodes[min(node.inputs)].name}'"
            )

    def build(self) -> Graph:
        return Graph(tuple(self._nodes))

    def _append(
        self,
        kind: str,
        op: Operator,
        inputs: tuple[int, ...],
        shape: Shape,
        act: Act | None = None,
        numbered: bool = True,
    ) -> Ref:
        if act is not None and act not in ACTS:
            raise SpecError(unknown_name("activation", act, ACTS))
        name = self._prefix + kind
        if numbered and not isinstance(op, Input):
            count = self._counts.get(kind, 0) + 1
            self._counts[kind] = count
            name += str(count)
        if name in self._names:
            raise SpecError(f"node '{name}' is named twice; enter another scope first")
        self._names.add(name)
        bits = self._nodes[inputs[0]].bits if isinstance(op, MovesOnly) else self.bits
        self._nodes.append(Node(name, op, inputs, shape, act, bits))
        return Ref(len(self._nodes) - 1)
