"""Where do a network's parameters and MACs go? Its costs section by section: the stem, each stage, the head."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any, NamedTuple

from objectives.costs.macs import macs
from objectives.costs.packed_bytes import packed_bytes
from objectives.costs.params import params
from search_space.architectures import architecture_from_dict
from search_space.graph import Graph, Multiply, Node, Shape, Weighted
from search_space.pruning.pruned import PrunedSpec
from search_space.spec import Architecture, ArchSpec

from ..texts.wording import block_name

STAGE = "stage"


class BlockShape(NamedTuple):
    """One block as it is drawn."""

    channels: int
    """Of its output."""
    se: bool
    """Whether it has a Squeeze-and-Excitation gate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCosts:
    """One section of a network; over all sections the costs sum to the network's."""

    name: str
    """`stem`, `stage1`, ..., `head`."""
    macs: int
    params: int
    packed_bytes: int
    shape: Shape
    """Of the section's output."""
    bits: tuple[int, ...]
    """Distinct bit-widths of its layers, in their order; of most sections there is one."""
    block: str
    """What a stage repeats, `basic+SE`; empty for the stem, the head and the stages of other networks."""
    blocks: tuple[BlockShape, ...]
    """Empty for the stem and the head."""


def stage_costs(spec: Mapping[str, Any]) -> tuple[StageCosts, ...]:
    """The sections of a network in the order in which they run; raises SpecError for what is no spec.

    Blocks that their network numbers throughout, as MobileNetV3's, make a stage where their outputs are of one size.
    """
    return _stage_costs(json.dumps(spec, sort_keys=True))


@lru_cache(maxsize=512)
def _stage_costs(spec: str) -> tuple[StageCosts, ...]:
    architecture = architecture_from_dict(json.loads(spec))
    kinds = _block_names(architecture)
    return tuple(_costs(name, scopes, kinds.get(name, "")) for name, scopes in _sections(architecture.build_graph()))


def _block_names(architecture: Architecture) -> dict[str, str]:
    designed = architecture.base if isinstance(architecture, PrunedSpec) else architecture
    stages = designed.stages if isinstance(designed, ArchSpec) else ()
    return {f"{STAGE}{number}": block_name(asdict(stage)) for number, stage in enumerate(stages, start=1)}


def _costs(name: str, scopes: Sequence[Sequence[Node]], block: str) -> StageCosts:
    nodes = [node for scope in scopes for node in scope]
    part = Graph(tuple(nodes))
    blocks = [
        BlockShape(scope[-1].shape.channels, any(isinstance(node.op, Multiply) for node in scope))
        for scope in scopes
        if scope[0].scope.block
    ]
    return StageCosts(
        name=name,
        macs=macs(part),
        params=params(part),
        packed_bytes=packed_bytes(part),
        shape=nodes[-1].shape,
        bits=tuple(dict.fromkeys(node.bits for node in nodes if isinstance(node.op, Weighted))),
        block=block,
        blocks=tuple(blocks),
    )


def _sections(graph: Graph) -> Iterator[tuple[str, list[list[Node]]]]:
    """Name and scopes of each section; a scope is the nodes of one block, or of the whole stem or head."""
    scopes = [list(nodes) for _, nodes in groupby(graph.nodes, key=lambda node: node.scope)]
    numbered = 0
    for section, members in groupby(scopes, key=_section):
        if isinstance(section, Shape):
            numbered += 1
        yield f"{STAGE}{numbered}" if isinstance(section, Shape) else section, list(members)


def _section(scope: Sequence[Node]) -> str | Shape:
    """A stage's name, or the size of the output where a network numbers its blocks throughout."""
    part = scope[0].scope
    if part.stage:
        return f"{STAGE}{part.stage}"
    return scope[-1].shape._replace(channels=0) if part.block else part.name
