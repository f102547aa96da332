"""Which channels hang together? Those that an addition, a gate or a shuffle ties are kept or removed as one.

`channel_groups` numbers them, channel by channel, so that concatenations, slices and shuffles need no rule of
their own; `narrowed` is the graph without some of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import SpecError, shown
from ..graph import Add, ChannelShuffle, Concat, Conv, Graph, Input, Linear, Multiply, Node, Operator, Shape, Slice

Groups = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelGroups:
    """Channels of a graph, by the group with which they stay or go."""

    of_node: tuple[Groups, ...]
    """For each node the group of every channel of its output, numbers from 0 to `count` - 1."""
    fixed: Mask
    """(count,): groups that cannot go: the image, the logits, and what a grouped convolution mixes."""

    @property
    def count(self) -> int:
        return len(self.fixed)

    def mask(self, keep: Mask, position: int) -> Mask:
        """Which output channels of a node stay, where the groups in `keep` (count,) do."""
        found: Mask = keep[self.of_node[position]]
        return found


def channel_groups(graph: Graph) -> ChannelGroups:
    """Follow every channel through the graph (the dependency graph of Fang et al. 2023, at the grain of channels)."""
    parents: list[int] = []

    def new(count: int) -> list[int]:
        parents.extend(range(len(parents), len(parents) + count))
        return parents[-count:]

    def root(group: int) -> int:
        while parents[group] != group:
            parents[group] = group = parents[parents[group]]
        return group

    def tie(some: list[int], others: list[int]) -> list[int]:
        for one, other in zip(some, others, strict=True):
            parents[root(one)] = root(other)
        return some

    fixed: list[int] = []
    outputs: list[list[int]] = []
    for node in graph.nodes:
        sources = [outputs[source] for source in node.inputs]
        match node.op:
            case Conv(groups=groups) if groups > 1 and groups == node.op.in_channels == node.op.out_channels:
                output = sources[0]
            case Input() | Conv() | Linear():
                output = new(node.shape.channels)
                if isinstance(node.op, Input) or node is graph.nodes[-1]:
                    fixed += output
                if isinstance(node.op, Conv) and node.op.groups > 1:
                    fixed += [*output, *sources[0]]
            case Add() | Multiply():
                output = tie(sources[0], sources[1])
            case Concat():
                output = [channel for source in sources for channel in source]
            case Slice(start=start, stop=stop):
                output = sources[0][start:stop]
            case ChannelShuffle(groups=groups):
                parts = np.array(sources[0]).reshape(groups, -1)
                for part in parts[1:]:
                    tie(parts[0].tolist(), part.tolist())  # else fewer channels could not be shuffled alike
                output = parts.T.ravel().tolist()
            case _:
                output = sources[0]
        outputs.append(output)
    numbers = {group: number for number, group in enumerate(dict.fromkeys(root(i) for i in range(len(parents))))}
    is_fixed = np.zeros(len(numbers), dtype=bool)
    is_fixed[[numbers[root(group)] for group in fixed]] = True
    of_node = tuple(np.array([numbers[root(group)] for group in output]) for output in outputs)
    return ChannelGroups(of_node=of_node, fixed=is_fixed)


def makes_channels(node: Node) -> bool:
    """Whether a layer's output has channels of its own; a depthwise convolution has those of its input."""
    return isinstance(node.op, Linear) or (isinstance(node.op, Conv) and node.op.groups == 1)


def kept_channels(graph: Graph, groups: ChannelGroups, keep: Mask) -> tuple[dict[str, int], dict[str, tuple[int, int]]]:
    """What `narrowed` needs: output channels of the layers, and the borders of the slices, that change."""
    channels: dict[str, int] = {}
    slices: dict[str, tuple[int, int]] = {}
    for position, node in enumerate(graph.nodes):
        count = int(groups.mask(keep, position).sum())
        if makes_channels(node) and count != node.shape.channels:
            channels[node.name] = count
        elif isinstance(node.op, Slice):
            source = groups.mask(keep, node.inputs[0])
            border = int(source[: node.op.start].sum()), int(source[: node.op.stop].sum())
            if border != (node.op.start, node.op.stop):
                slices[node.name] = border
    return channels, slices


def narrowed(graph: Graph, channels: Mapping[str, int], slices: Mapping[str, tuple[int, int]]) -> Graph:
    """The graph with other numbers of channels; raises SpecError where they do not fit together."""
    if unknown := {*channels, *slices} - {node.name for node in graph.nodes}:
        raise SpecError(f"channels: the network has no layer '{sorted(unknown)[0]}'")
    if (last := graph.nodes[-1].name) in channels:
        raise SpecError(f"channels: '{last}' gives the classes; it cannot have fewer")
    nodes: list[Node] = []
    for node in graph.nodes:
        sources = [nodes[source].shape.channels for source in node.inputs]
        op = _narrowed(node, sources, channels.get(node.name), slices.get(node.name))
        count = _output_channels(node, op, sources)
        nodes.append(node._replace(op=op, shape=Shape(count, node.shape.height, node.shape.width)))
    return Graph(tuple(nodes))


def _narrowed(node: Node, sources: list[int], channels: int | None, border: tuple[int, int] | None) -> Operator:
    op = node.op
    if channels is not None and not (makes_channels(node) and 1 <= channels <= node.shape.channels):
        raise SpecError(f"channels: '{node.name}' cannot have {shown(channels)}")
    if border is not None and not (isinstance(op, Slice) and 0 <= border[0] < border[1] <= sources[0]):
        raise SpecError(f"slices: '{node.name}' cannot be {shown(border)}")
    if isinstance(op, Conv):
        if op.groups == 1:
            return op._replace(in_channels=sources[0], out_channels=channels or op.out_channels)
        if op.groups == op.in_channels == op.out_channels:
            return op._replace(in_channels=sources[0], out_channels=sources[0], groups=sources[0])
        if sources[0] != op.in_channels:
            raise SpecError(f"channels: the input of '{node.name}' must have {op.in_channels}, not {sources[0]}")
    if isinstance(op, Linear):
        return op._replace(in_channels=sources[0], out_channels=channels or op.out_channels)
    return op if border is None else Slice(*border)


def _output_channels(node: Node, op: Operator, sources: list[int]) -> int:
    if isinstance(op, Conv | Linear):
        return op.out_channels
    if isinstance(op, Input):
        return node.shape.channels
    if isinstance(op, Concat):
        return sum(sources)
    if isinstance(op, Slice):
        if op.stop > sources[0]:
            raise SpecError(f"slices: '{node.name}' ends at {op.stop} of {sources[0]} channels")
        return op.stop - op.start
    if isinstance(op, Add | Multiply) and sources[0] != sources[1]:
        raise SpecError(f"channels: '{node.name}' gets {sources[0]} and {sources[1]}")
    if isinstance(op, ChannelShuffle) and sources[0] % op.groups:
        raise SpecError(f"channels: '{node.name}' cannot shuffle {sources[0]} in {op.groups} groups")
    return sources[0]
