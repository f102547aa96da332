"""Which blocks is a stage built of? One file each; `@block` registers the function that writes it on a graph."""

from collections.abc import Callable
from dataclasses import dataclass

from ..graph import GraphBuilder, Ref
from ..named_registry import Registry

BuildBlock = Callable[[GraphBuilder, Ref, int, int, bool], Ref]
"""Function (graph, input, width, stride, se) -> output that writes one block.

The output has `width` channels and 1/`stride` of the height and width of the input; `se` says whether the block has
Squeeze-and-Excitation. The output must be the last node that the function writes, and the nodes may read only the input
and each other, so that `GraphBuilder.repeat_block` can copy them.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A residual block that a stage repeats."""

    name: str
    """Name in a spec."""
    layers: int
    """Number of weighted layers on the main path, as the papers count depth."""
    width_multiple: int
    """Number of which the width must be a multiple."""
    build: BuildBlock
    """Function that writes the block on a graph."""


BLOCKS: Registry[Block] = Registry("block", "search_space.blocks", plugins="blocks")


def block(name: str, *, layers: int, width_multiple: int = 1) -> Callable[[BuildBlock], BuildBlock]:
    """Register the decorated function as a block.

    Parameters
    ----------
    name
        Name of the block in `StageSpec.block` and ``space.blocks``.
    layers
        Number of weighted layers on the main path, as the papers count depth.
    width_multiple
        Number of which the width of a stage of these blocks must be a multiple.

    Returns
    -------
    Callable
        Decorator of a `BuildBlock`.
    """

    def register(build: BuildBlock) -> BuildBlock:
        BLOCKS.add(name, Block(name=name, layers=layers, width_multiple=width_multiple, build=build))
        return build

    return register
