"""Which channels does a trained network need least? Their importance, and the network without the least of them.

What is pruned is gone: the result is a network of a smaller graph with the weights that are left, so that every cost
can be counted and its file timed.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from search_space.channels import ChannelGroups, Mask, channel_groups, makes_channels
from search_space.errors import UserError
from search_space.graph import Conv, Graph, Slice, Weighted
from search_space.network import ConvLayer, GraphNetwork, LinearLayer, build_network
from search_space.pruned import prune_architecture
from search_space.spec import Architecture

from .images import DeviceImages
from .quantization import gain_and_shift

Importance = Literal["taylor", "magnitude"]
Scores = NDArray[np.float64]
Fits = Callable[[Architecture], bool]
LEAST_CHANNELS = 2
"""Of every layer, so that none becomes a bottleneck of one number."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """A smaller network, with the weights that were kept."""

    architecture: Architecture
    network: GraphNetwork


def prune(
    network: GraphNetwork,
    architecture: Architecture,
    images: DeviceImages,
    fits: Fits,
    *,
    importance: Importance = "taylor",
    stage: int | None = None,
) -> Pruned:
    """Remove the least important channels until the architecture `fits`, and no more.

    `network` is in float. With `stage` (1 is the first) only that stage's channels are removed. Raises UserError where
    nothing that can be removed is enough.
    """
    graph = network.graph
    groups = channel_groups(graph)
    scores = channel_importance(network, groups, images, importance) / group_macs(graph, groups)
    order = removal_order(graph, groups, scores, stage)

    def kept(count: int) -> Mask:
        keep = np.ones(groups.count, dtype=bool)
        keep[order[:count]] = False
        return keep

    if fits(architecture):
        return Pruned(architecture, network)
    low, high = 0, len(order)
    if not fits(prune_architecture(architecture, groups, kept(high))):
        raise UserError("prune: not even the smallest network that pruning leaves is small enough")
    while high - low > 1:
        middle = (low + high) // 2
        if fits(prune_architecture(architecture, groups, kept(middle))):
            high = middle
        else:
            low = middle
    return without_channels(network, architecture, groups, kept(high))


def removal_order(graph: Graph, groups: ChannelGroups, scores: Scores, stage: int | None = None) -> list[int]:
    """Groups that can go, the one of the lowest score first; every layer and slice keeps LEAST_CHANNELS."""
    members: list[list[int]] = [[] for _ in range(groups.count)]
    left: dict[int, int] = {}
    for position, node in enumerate(graph.nodes):
        if makes_channels(node) or isinstance(node.op, Slice):
            left[position] = node.shape.channels
            for group in groups.of_node[position].tolist():
                members[group].append(position)
    order = []
    for group in np.argsort(scores, kind="stable").tolist():
        if groups.fixed[group] or (stage is not None and _stage(graph, members[group]) != stage):
            continue
        after = {position: left[position] - members[group].count(position) for position in members[group]}
        if min(after.values(), default=LEAST_CHANNELS) >= LEAST_CHANNELS:
            left |= after
            order.append(group)
    return order


def _stage(graph: Graph, positions: Sequence[int]) -> int | None:
    """The first stage in which a group of channels is made; None for those that the stem makes."""
    found = [re.match(r"stage(\d+)_", graph.nodes[position].name) for position in positions]
    stages = [int(match.group(1)) for match in found if match]
    return min(stages) if len(stages) == len(found) and stages else None


def group_macs(graph: Graph, groups: ChannelGroups) -> Scores:
    """MACs that go with each group to first order, (groups.count,): those that make it and those that read it."""
    total = np.zeros(groups.count)
    for position, node in enumerate(graph.nodes):
        if isinstance(node.op, Weighted):
            outputs, inputs = groups.of_node[position], groups.of_node[node.inputs[0]]
            np.add.at(total, outputs, node.macs / len(outputs))
            if not (isinstance(node.op, Conv) and node.op.groups > 1):
                np.add.at(total, inputs, node.macs / len(inputs))
    return np.maximum(total, 1.0)


def channel_importance(
    network: GraphNetwork, groups: ChannelGroups, images: DeviceImages, kind: Importance = "taylor"
) -> Scores:
    """How much each group of channels matters, (groups.count,), summed over the layers that make it.

    taylor: the squared change of the loss that removal causes to first order, by the parameters that scale a channel,
    over up to 2,048 training images (Molchanov et al. 2019, eq. 8). magnitude: the squares of its filter with
    batch-norm folded, as a share of the layer's mean (Fang et al. 2023, sec. 3.3).
    """
    if kind == "taylor":
        _collect_gradients(network, images)
    scores = np.zeros(groups.count)
    for position, node in enumerate(network.graph.nodes):
        if isinstance(node.op, Weighted):
            layer = cast(ConvLayer | LinearLayer, network.layers[node.name])
            found = _loss_change(layer) if kind == "taylor" else _magnitude(layer)
            np.add.at(scores, groups.of_node[position], found.double().cpu().numpy())
    network.zero_grad(set_to_none=True)
    return scores


def _collect_gradients(network: GraphNetwork, images: DeviceImages, batch_size: int = 256) -> None:
    network.eval()  # with the running statistics, as it is deployed
    network.zero_grad(set_to_none=True)
    for start in range(0, min(2048, len(images)), batch_size):
        batch = slice(start, min(start + batch_size, len(images)))
        loss = F.cross_entropy(network(images.normalised(batch)), images.labels[batch])
        loss.backward()  # type: ignore[no-untyped-call]


def _loss_change(layer: ConvLayer | LinearLayer) -> Tensor:
    """(out_channels,): by scale and shift of the batch-norm, or by weight and bias."""
    scaling = layer.linear if isinstance(layer, LinearLayer) else layer.norm or layer.conv
    parts = [parameter for parameter in (scaling.weight, scaling.bias) if parameter is not None]
    changes = [(part.detach() * cast(Tensor, part.grad)).reshape(len(part), -1).sum(1) for part in parts]
    return torch.stack(changes).sum(0).square()


def _magnitude(layer: ConvLayer | LinearLayer) -> Tensor:
    """(out_channels,), of mean 1."""
    weight = layer.linear.weight if isinstance(layer, LinearLayer) else layer.conv.weight
    squares = weight.detach().square().flatten(1).sum(1)
    if isinstance(layer, ConvLayer) and layer.norm is not None:
        squares = squares * gain_and_shift(layer.norm)[0].square()
    return squares / squares.mean().clamp(min=1e-20)


def without_channels(network: GraphNetwork, architecture: Architecture, groups: ChannelGroups, keep: Mask) -> Pruned:
    """The network of the groups in `keep` (count,); what it computes is what it did with the others' outputs at 0."""
    smaller = prune_architecture(architecture, groups, keep)
    result = build_network(smaller)
    for position, node in enumerate(network.graph.nodes):
        if not isinstance(node.op, Weighted):
            continue
        outputs = torch.from_numpy(groups.mask(keep, position))
        inputs = torch.from_numpy(groups.mask(keep, node.inputs[0]))
        source, target = network.layers[node.name], result.layers[node.name]
        state = {
            name: _kept(name, tensor.detach().cpu(), node.op, outputs, inputs)
            for name, tensor in source.state_dict().items()
        }
        target.load_state_dict(state)
    device = next(network.parameters()).device
    return Pruned(smaller, cast(Any, result).to(device, memory_format=torch.channels_last))


def _kept(name: str, tensor: Tensor, op: Any, outputs: Tensor, inputs: Tensor) -> Tensor:
    """The part of a layer's parameter that stays."""
    if tensor.ndim == 0:
        return tensor
    is_matrix = name.endswith("weight") and tensor.ndim > 1
    kept = tensor[outputs]
    return kept[:, inputs] if is_matrix and not (isinstance(op, Conv) and op.groups > 1) else kept
