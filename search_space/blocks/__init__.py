"""Which blocks is a stage built of? One file each; `@block` registers the function that writes it on a graph."""

from collections.abc import Callable
from dataclasses import dataclass

from ..graph import GraphBuilder, Ref
from ..named_registry import Registry

BuildBlock = Callable[[GraphBuilder, Ref, int, int, bool], Ref]
"""(graph, input, width, stride, se) -> output of `width` channels, 1/stride of the input's size.

The output must be the last node that it writes, and its nodes may read only the input and each other
(`repeat_block`).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A residual block that a stage repeats."""

    name: str
    layers: int
    """Weighted layers on the main path, as the papers count depth."""
    width_multiple: int
    """The width must be a multiple of this."""
    build: BuildBlock


BLOCKS: Registry[Block] = Registry("block", "search_space.blocks", plugins="blocks")


def block(name: str, *, layers: int, width_multiple: int = 1) -> Callable[[BuildBlock], BuildBlock]:
    """Register the decorated function as the block `name`."""

    def register(build: BuildBlock) -> BuildBlock:
        BLOCKS.add(name, Block(name=name, layers=layers, width_multiple=width_multiple, build=build))
        return build

    return register
