"""Writes a graph node by node: the only way to make one."""

from ..errors import SpecError, unknown_name
from .nodes import (
    ACTS,
    FLOAT_BITS,
    STEM,
    Act,
    Add,
    ChannelShuffle,
    Concat,
    Conv,
    GlobalPool,
    Graph,
    Input,
    Linear,
    MaxPool,
    MovesOnly,
    Multiply,
    Node,
    Operator,
    Ref,
    Scope,
    Shape,
    Slice,
)


class GraphBuilder:
    """Writes a graph: its methods append an operator, infer the shape, and return a reference to the output.

    A shape that does not fit raises SpecError.

    Parameters
    ----------
    in_channels
        Channels of the image.
    resolution
        Height and width of the image, in pixels.
    bits
        Bit-width of the nodes that come first; 32 means float.
    """

    def __init__(self, in_channels: int, resolution: int, bits: int = FLOAT_BITS) -> None:
        self.bits = bits
        """Bit-width of the nodes that are appended from now on. Operators that only move values keep their input's."""
        self._nodes: list[Node] = []
        self._scope = STEM
        self._prefix = ""
        self._start = 0
        self._counts: dict[str, int] = {}
        self._names: set[str] = set()
        self._append("input", Input(), (), Shape(in_channels, resolution, resolution))

    @property
    def input(self) -> Ref:
        """The image."""
        return Ref(0)

    def enter(self, name: str) -> None:
        """Begin a part of the network, such as ``stem`` or ``head``.

        Parameters
        ----------
        name
            Beginning of the names of its nodes.
        """
        self._enter(Scope(name))

    def enter_block(self, block: int, stage: int = 0) -> None:
        """Begin a block.

        Parameters
        ----------
        block
            Number of the block in its stage, from 1 on.
        stage
            Number of the stage, from 1 on; 0 if blocks are numbered throughout the network.
        """
        self._enter(_block_scope(block, stage))

    def _enter(self, scope: Scope) -> None:
        self._scope, self._prefix = scope, scope.name + "_"
        self._start = len(self._nodes)
        self._counts = {}

    def shape(self, x: Ref) -> Shape:
        """Return the shape of a node's output.

        Parameters
        ----------
        x
            The node.
        """
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
        """Append a convolution, padded by `kernel` // 2, so that the output has the size ceil(size / stride).

        Parameters
        ----------
        x
            Input.
        out_channels
            Number of output channels.
        kernel
            Height and width of the kernel, an odd number.
        stride
            Stride along both axes.
        groups
            Number of groups of channels; both numbers of channels must be multiples of it.
        act
            Activation function; None for none.
        norm
            Whether a batch-norm follows; a bias does otherwise.
        name
            End of the node's name; by default ``conv`` and a number.
        """
        channels, height, width = self._nodes[x].shape
        if kernel % 2 == 0:
            raise SpecError(f"conv: kernel must be odd, not {kernel}")
        if out_channels < 1 or channels % groups or out_channels % groups:
            raise SpecError(f"conv: {channels} -> {out_channels} channels do not divide into {groups} groups")
        shape = Shape(out_channels, (height - 1) // stride + 1, (width - 1) // stride + 1)
        op = Conv(channels, out_channels, kernel, stride, groups, norm)
        return self._append(name or "conv", op, (x,), shape, act, numbered=name is None)

    def depthwise(self, x: Ref, *, kernel: int = 3, stride: int = 1, act: Act | None = "relu") -> Ref:
        """Append a depthwise convolution, which convolves each channel on its own.

        Parameters
        ----------
        x
            Input.
        kernel
            Height and width of the kernel, an odd number.
        stride
            Stride along both axes.
        act
            Activation function; None for none.
        """
        channels = self._nodes[x].shape.channels
        return self.conv(x, channels, kernel=kernel, stride=stride, groups=channels, act=act)

    def linear(self, x: Ref, out_channels: int, *, act: Act | None = None) -> Ref:
        """Append a fully connected layer with a bias.

        Parameters
        ----------
        x
            Input, whose height and width must be 1.
        out_channels
            Number of outputs.
        act
            Activation function; None for none.
        """
        channels, height, width = self._nodes[x].shape
        if (height, width) != (1, 1):
            raise SpecError(f"linear: needs a 1 x 1 input, got {height} x {width}")
        return self._append("linear", Linear(channels, out_channels), (x,), Shape(out_channels, 1, 1), act)

    def add(self, x: Ref, y: Ref, *, act: Act | None = None) -> Ref:
        """Append the sum of two tensors of the same shape.

        Parameters
        ----------
        x
            First input.
        y
            Second input.
        act
            Activation function; None for none.
        """
        shape = self._nodes[x].shape
        if shape != self._nodes[y].shape:
            raise SpecError(f"add: shapes differ: {tuple(shape)} and {tuple(self._nodes[y].shape)}")
        return self._append("add", Add(), (x, y), shape, act)

    def multiply(self, x: Ref, gate: Ref) -> Ref:
        """Append the product of a tensor and a gate for each of its channels.

        Parameters
        ----------
        x
            Input.
        gate
            Tensor of shape (channels of x, 1, 1).
        """
        shape = self._nodes[x].shape
        if self._nodes[gate].shape != (shape.channels, 1, 1):
            raise SpecError(f"multiply: gate {tuple(self._nodes[gate].shape)} does not fit {tuple(shape)}")
        return self._append("multiply", Multiply(), (x, gate), shape)

    def concat(self, *xs: Ref) -> Ref:
        """Append the concatenation of tensors along their channels.

        Parameters
        ----------
        *xs
            Inputs of the same height and width.
        """
        shapes = [self._nodes[x].shape for x in xs]
        if len({shape[1:] for shape in shapes}) != 1:
            raise SpecError(f"concat: sizes differ: {[tuple(shape) for shape in shapes]}")
        channels = sum(shape.channels for shape in shapes)
        return self._append("concat", Concat(), xs, Shape(channels, shapes[0].height, shapes[0].width))

    def slice(self, x: Ref, start: int, stop: int) -> Ref:
        """Append a selection of consecutive channels.

        Parameters
        ----------
        x
            Input.
        start
            First channel, counted from 0.
        stop
            Channel after the last one.
        """
        channels, height, width = self._nodes[x].shape
        if not 0 <= start < stop <= channels:
            raise SpecError(f"slice: [{start}, {stop}) is not within {channels} channels")
        return self._append("slice", Slice(start, stop), (x,), Shape(stop - start, height, width))

    def channel_shuffle(self, x: Ref, groups: int) -> Ref:
        """Append an operator that interleaves groups of channels (Zhang et al. 2018, fig. 1).

        Parameters
        ----------
        x
            Input.
        groups
            Number of groups; the number of channels must be a multiple of it.
        """
        shape = self._nodes[x].shape
        if shape.channels % groups:
            raise SpecError(f"channel_shuffle: {shape.channels} channels do not divide into {groups} groups")
        return self._append("shuffle", ChannelShuffle(groups), (x,), shape)

    def max_pool(self, x: Ref, *, kernel: int = 3, stride: int = 2) -> Ref:
        """Append a max-pooling, padded by `kernel` // 2, so that the output has the size ceil(size / stride).

        Parameters
        ----------
        x
            Input.
        kernel
            Height and width of the window, an odd number.
        stride
            Stride along both axes.
        """
        channels, height, width = self._nodes[x].shape
        if kernel % 2 == 0:
            raise SpecError(f"max_pool: kernel must be odd, not {kernel}")
        shape = Shape(channels, (height - 1) // stride + 1, (width - 1) // stride + 1)
        return self._append("max_pool", MaxPool(kernel, stride), (x,), shape)

    def global_pool(self, x: Ref) -> Ref:
        """Append the mean over height and width.

        Parameters
        ----------
        x
            Input.
        """
        return self._append("pool", GlobalPool(), (x,), Shape(self._nodes[x].shape.channels, 1, 1))

    def shortcut(self, x: Ref, width: int, stride: int) -> Ref:
        """Return the other branch of a residual block: the input, or its 1x1 projection if the shape changes.

        Parameters
        ----------
        x
            Input of the block.
        width
            Number of output channels of the block.
        stride
            Stride of the block.
        """
        if stride == 1 and self._nodes[x].shape.channels == width:
            return x
        return self.conv(x, width, kernel=1, stride=stride, act=None, name="shortcut")

    def squeeze_excite(self, x: Ref, *, reduced: int | None = None, act: Act = "relu", gate: Act = "sigmoid") -> Ref:
        """Append Squeeze-and-Excitation, which scales channels by a gate of their means (Hu et al. 2018, fig. 2).

        Parameters
        ----------
        x
            Input.
        reduced
            Number of channels in the bottleneck. By default it is 1/16 of the input's, as in the paper, and at least 8,
            which keeps the gate useful in narrow networks.
        act
            Activation function in the bottleneck.
        gate
            Activation function of the gate.
        """
        channels = self._nodes[x].shape.channels
        y = self.global_pool(x)
        y = self.conv(y, reduced or max(channels // 16, 8), kernel=1, act=act, norm=False, name="se_reduce")
        y = self.conv(y, channels, kernel=1, act=gate, norm=False, name="se_expand")
        return self.multiply(x, y)

    def repeat_block(self, x: Ref, block: int, stage: int = 0) -> Ref:
        """Append a copy of the last block, in a fraction of the time that writing it takes.

        The last block must end with its output, and read only its input and its own nodes.

        Parameters
        ----------
        x
            Output of the last block, which the copy reads.
        block
            Number of the copy in its stage.
        stage
            Number of the stage; 0 if blocks are numbered throughout the network.
        """
        self._check_repeatable(x)
        start, prefix = self._start, len(self._prefix)
        count = len(self._nodes) - start
        self._enter(scope := _block_scope(block, stage))
        nodes = [
            Node._make((self._prefix + name[prefix:], op, tuple([s + count for s in inputs]), shape, act, bits, scope))
            for name, op, inputs, shape, act, bits, _ in self._nodes[start:]
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
        """Return the graph of all nodes so far."""
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
        self._nodes.append(Node(name, op, inputs, shape, act, bits, self._scope))
        return Ref(len(self._nodes) - 1)


def _block_scope(block: int, stage: int) -> Scope:
    return Scope(f"stage{stage}_block{block}" if stage else f"block{block}", stage, block)
