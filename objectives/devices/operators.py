"""Which kernel runs an operator on a device? The names that profiles and runtimes use for operators."""

from search_space.graph import (
    ACTS,
    Add,
    ChannelShuffle,
    Concat,
    Conv,
    GlobalPool,
    Input,
    Linear,
    MaxPool,
    Multiply,
    Operator,
    Slice,
)

KINDS = ("conv3x3", "conv", "pointwise", "depthwise", "linear", "elementwise")
"""Kinds of kernel, each with an efficiency of its own. `conv3x3` is the dense one of stride 1, which runtimes compute
with Winograd's algorithm where they have it; `conv` is any other dense or grouped convolution above 1 x 1;
`elementwise` is whatever has no weights."""

_NAMES = {
    Input: "input",
    Linear: "linear",
    Add: "add",
    Multiply: "multiply",
    Concat: "concat",
    Slice: "slice",
    ChannelShuffle: "channel_shuffle",
    MaxPool: "max_pool",
    GlobalPool: "global_pool",
}

OPERATORS = ("conv", "depthwise_conv", "grouped_conv", *list(_NAMES.values())[1:], *ACTS)
"""What a device may not support: operators and activations."""


def kernel_kind(op: Operator) -> str:
    """One of KINDS."""
    if isinstance(op, Conv):
        if op.groups > 1:
            return "depthwise" if op.groups == op.in_channels else "conv"
        if op.kernel == 1:
            return "pointwise"
        return "conv3x3" if op.kernel == 3 and op.stride == 1 else "conv"
    return "linear" if isinstance(op, Linear) else "elementwise"


def operator_name(op: Operator) -> str:
    """One of OPERATORS, or "input"."""
    if isinstance(op, Conv):
        if op.groups == 1:
            return "conv"
        return "depthwise_conv" if op.groups == op.in_channels else "grouped_conv"
    return _NAMES[type(op)]
