"""Nodes of a graph: operators, with the shape and the bits of what they give."""

from typing import Literal, NamedTuple, NewType

Act = Literal["relu", "relu6", "hard_swish", "silu", "sigmoid", "hard_sigmoid"]
ACTS: tuple[Act, ...] = ("relu", "relu6", "hard_swish", "silu", "sigmoid", "hard_sigmoid")

FLOAT_BITS = 32
BITS = (2, 3, 4, 6, 8, FLOAT_BITS)

Ref = NewType("Ref", int)
"""A node of the graph under construction, by its position."""


class Shape(NamedTuple):
    """Shape of one image's activation tensor; the batch axis is left out."""

    channels: int
    """Number of channels."""
    height: int
    """Height in pixels."""
    width: int
    """Width in pixels."""

    @property
    def numel(self) -> int:
        """Number of elements."""
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


class Scope(NamedTuple):
    """Part of a network that a node belongs to."""

    name: str
    """`stem`, `stage1_block2`, `block7`, `head`, ...; begins the names of its nodes."""
    stage: int = 0
    """Number of its stage from 1 on; 0 outside of the blocks, and where blocks are numbered throughout."""
    block: int = 0
    """Number of its block from 1 on; 0 outside of the blocks."""


STEM = Scope("stem")
HEAD = Scope("head")


class Node(NamedTuple):
    """One operator of a graph, with its activation fused."""

    name: str
    """Name that no other node of the graph has."""
    op: Operator
    """The operator with its options."""
    inputs: tuple[int, ...]
    """Positions in the graph of the nodes that it reads."""
    shape: Shape
    """Shape of its output, without the batch axis."""
    act: Act | None
    """Activation function; None for none."""
    bits: int
    """Bit-width of its weights and of its output; 32 means float."""
    scope: Scope = STEM
    """Part of the network that it belongs to."""

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a convolution or linear layer (bias ignored); 0 for any other operator."""
        op = self.op
        return op.num_weights * self.shape.height * self.shape.width if isinstance(op, Weighted) else 0

    @property
    def num_params(self) -> int:
        """Number of trainable parameters."""
        return self.op.num_params if isinstance(self.op, Weighted) else 0


class Graph(NamedTuple):
    """Nodes in the order in which they run; the first is the image, the last gives the logits."""

    nodes: tuple[Node, ...]
    """The nodes."""

    @property
    def last_uses(self) -> tuple[int, ...]:
        """For each node, the position of the last node that reads it (its own where none does)."""
        last = list(range(len(self.nodes)))
        for position, node in enumerate(self.nodes):
            for source in node.inputs:
                last[source] = position
        return tuple(last)
