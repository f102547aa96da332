"""Which channels does a trained network need least? Their importance, and the network without the least of them.

What is pruned is gone: the result is a network of a smaller graph with the weights that are left, so that every cost
can be counted and its file timed.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from search_space.backends.torch_network import ConvLayer, GraphNetwork, LinearLayer, build_network
from search_space.errors import UserError
from search_space.graph import Conv, Graph, Slice, Weighted
from search_space.pruning.channels import ChannelGroups, Mask, channel_groups, makes_channels
from search_space.pruning.pruned import prune_architecture
from search_space.spec import Architecture

from ..quantization.folding import gain_and_shift
from ..training.batches import DeviceImages

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
    multiple: int = 1,
) -> Pruned:
    """Remove the least important channels until the architecture `fits`, and no more.

    `network` is in float. With `stage` (1 is the first) only that stage's channels are removed. Layers are left with
    multiples of `multiple` channels: kernels work in blocks, and 17 channels can take longer than 32. Raises UserError
    where nothing that can be removed is enough.
    """
    graph = network.graph
    groups = channel_groups(graph)
    scores = channel_importance(network, groups, images, importance) / group_macs(graph, groups)
    order = removal_order(graph, groups, scores, stage=stage, multiple=multiple)

    def kept(count: int) -> Mask:
        keep = np.ones(groups.count, dtype=bool)
        keep[[group for portion in order[:count] for group in portion]] = False
        return keep

    if fits(architecture):
        return Pruned(architecture, network)
    low, high = 0, len(order)
    if not fits(prune_architecture(architecture, groups, kept(high))):
        raise UserError(
            "prune: not even the smallest network that pruning leaves is small enough"
            + (f"; channels go {multiple} at a time, so --channel-multiple 1 leaves less" if multiple > 1 else "")
        )
    while high - low > 1:
        middle = (low + high) // 2
        if fits(prune_architecture(architecture, groups, kept(middle))):
            high = middle
        else:
            low = middle
    return without_channels(network, architecture, groups, kept(high))


def removal_order(
    graph: Graph, groups: ChannelGroups, scores: Scores, *, stage: int | None = None, multiple: int = 1
) -> list[list[int]]:
    """Groups that can go, in portions, the one of the lowest mean score first.

    Groups of one tensor go `multiple` at a time, those of low scores first, so that a layer is left with a multiple of
    it (unless a shuffle mixes halves of different tensors). Every layer and slice keeps LEAST_CHANNELS, and a layer of
    no more than one multiple keeps all.
    """
    members: list[list[int]] = [[] for _ in range(groups.count)]
    left: dict[int, int] = {}
    for position, node in enumerate(graph.nodes):
        if makes_channels(node) or isinstance(node.op, Slice):
            left[position] = node.shape.channels
            for group in groups.of_node[position].tolist():
                members[group].append(position)
    portions = []
    for family in _families(graph, groups):
        free = [g for g in family if not groups.fixed[g] and (stage is None or _stage(graph, members[g]) == stage)]
        if len(free) == len(family):
            portions += _portions(sorted(free, key=lambda group: scores[group]), multiple)
    order = []
    for portion in sorted(portions, key=lambda portion: float(np.mean(scores[portion]))):
        lost = Counter(position for group in portion for position in members[group])
        if all(left[position] - count >= LEAST_CHANNELS for position, count in lost.items()):
            for position, count in lost.items():
                left[position] -= count
            order.append(portion)
    return order


def _families(graph: Graph, groups: ChannelGroups) -> list[list[int]]:
    """Groups that stand together in the output of a layer."""
    parents = list(range(groups.count))

    def root(group: int) -> int:
        while parents[group] != group:
            parents[group] = group = parents[parents[group]]
        return group

    for position, node in enumerate(graph.nodes):
        if makes_channels(node):
            first, *others = set(groups.of_node[position].tolist())
            for other in others:
                parents[root(other)] = root(first)
    families: dict[int, list[int]] = {}
    for group in range(groups.count):
        families.setdefault(root(group), []).append(group)
    return list(families.values())


def _portions(family: list[int], multiple: int) -> list[list[int]]:
    """The family without its last `multiple`, so many at a time; the first portion takes what is over."""
    over = len(family) % multiple
    ends = range(over or multiple, len(family) - multiple + 1, multiple)
    starts = [0, *ends]
    return [family[start:end] for start, end in zip(starts, ends, strict=False)]


def _stage(graph: Graph, positions: Sequence[int]) -> int | None:
    """The first stage in which a group of channels is made; None for those that the stem makes."""
    stages = [graph.nodes[position].scope.stage for position in positions]
    return min(stages, default=None) if all(stages) else None


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
