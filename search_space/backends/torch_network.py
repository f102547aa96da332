"""How does a graph run in torch? One generic module executes the nodes; nothing here knows a block by name."""

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..graph import (
    Act,
    Add,
    ChannelShuffle,
    Concat,
    Conv,
    GlobalPool,
    Graph,
    Linear,
    MaxPool,
    Multiply,
    Node,
    Operator,
    Slice,
)
from ..spec import Architecture

# In place where the backward pass does not need the tensor that is overwritten.
APPLY_ACT: dict[Act, Callable[[Tensor], Tensor]] = {
    "relu": F.relu_,
    "relu6": lambda x: F.relu6(x, inplace=True),
    "hard_swish": F.hardswish,
    "silu": F.silu,
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": F.hardsigmoid,
}


def _shuffle(op: ChannelShuffle, x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    return x.view(n, op.groups, c // op.groups, h, w).transpose(1, 2).reshape(n, c, h, w)


# Operators without weights: operator -> function of the operator and its input tensors (N, C, H, W).
APPLY: dict[type[Operator], Callable[..., Tensor]] = {
    Add: lambda op, x, y: x + y,
    Multiply: lambda op, x, gate: x * gate,
    Concat: lambda op, *xs: torch.cat(xs, 1),
    Slice: lambda op, x: x[:, op.start : op.stop],
    ChannelShuffle: _shuffle,
    MaxPool: lambda op, x: F.max_pool2d(x, op.kernel, op.stride, op.kernel // 2),
    GlobalPool: lambda op, x: F.adaptive_avg_pool2d(x, 1),
}


class ConvLayer(nn.Module):
    """Convolution with its batch-norm, or with a bias."""

    def __init__(self, op: Conv) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            op.in_channels,
            op.out_channels,
            op.kernel,
            op.stride,
            op.kernel // 2,
            groups=op.groups,
            bias=not op.norm,
        )
        self.norm = nn.BatchNorm2d(op.out_channels) if op.norm else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride))."""
        y: Tensor = self.conv(x)
        return y if self.norm is None else self.norm(y)


class LinearLayer(nn.Module):
    """Fully connected layer on (N, C, 1, 1)."""

    def __init__(self, op: Linear) -> None:
        super().__init__()
        self.linear = nn.Linear(op.in_channels, op.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, 1, 1) -> (N, out_channels, 1, 1)."""
        y: Tensor = self.linear(x.flatten(1))
        return y[:, :, None, None]


LAYERS: dict[type[Operator], Callable[..., nn.Module]] = {Conv: ConvLayer, Linear: LinearLayer}


class GraphNetwork(nn.Module):
    """Torch module that runs the nodes of a graph; `build_network` makes one.

    Parameters
    ----------
    graph
        The network.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        """The network."""
        self.layers = nn.ModuleDict(
            {node.name: LAYERS[type(node.op)](node.op) for node in graph.nodes if type(node.op) in LAYERS}
        )
        """Modules of the nodes that have weights, by the name of the node."""
        self._last_uses = graph.last_uses
        self._initialise()

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of normalised images.

        Parameters
        ----------
        images
            Tensor of shape (N, in_channels, resolution, resolution).

        Returns
        -------
        torch.Tensor
            Logits of shape (N, num_classes).
        """
        values: list[Tensor | None] = [images]
        for position, node in enumerate(self.graph.nodes[1:], start=1):
            values.append(self.run_node(node, *(values[source] for source in node.inputs)))
            for source in node.inputs:
                if self._last_uses[source] == position:
                    values[source] = None  # free what nothing reads any more
        logits = values[-1]
        assert logits is not None
        return logits.flatten(1)

    def run_node(self, node: Node, *inputs: Tensor | None) -> Tensor:
        """Output (N, C, H, W) of one node."""
        return self.run_activation(node, self.run_operator(node, *inputs))

    def run_operator(self, node: Node, *inputs: Tensor | None) -> Tensor:
        """Output (N, C, H, W) of one node before its activation."""
        if node.name in self.layers:
            return cast(Tensor, self.layers[node.name](*inputs))
        return APPLY[type(node.op)](node.op, *inputs)

    def run_activation(self, node: Node, x: Tensor) -> Tensor:
        """Output (N, C, H, W) of a node's activation, which may overwrite `x`; `x` itself where there is none."""
        return x if node.act is None else APPLY_ACT[node.act](x)

    def _initialise(self) -> None:
        """Normal weights of variance 2 / fan-out (He et al. 2015b, eq. 14); torch's defaults elsewhere."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


def build_network(architecture: Architecture | Graph) -> GraphNetwork:
    """Return the trainable torch module of a network, with freshly initialised weights.

    The weights are drawn from torch's global random number generator. The module computes in float whatever the bits of
    the network are.

    Parameters
    ----------
    architecture
        An `ArchSpec`, a reference, or the graph of one.

    Returns
    -------
    GraphNetwork
        Module from images of shape (N, in_channels, resolution, resolution) to logits of shape (N, num_classes).

    Raises
    ------
    SpecError
        If the network cannot be built at its resolution.
    """
    graph = architecture if isinstance(architecture, Graph) else architecture.build_graph()
    return GraphNetwork(graph)
