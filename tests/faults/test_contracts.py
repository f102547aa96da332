"""What one part of the program promises another: blocks that can be repeated, names that are known."""

from collections.abc import Callable
from typing import Any

import pytest

from objectives import OBJECTIVES
from objectives.devices import load_profile, profile_names
from search_space.blocks import BLOCKS, Block
from search_space.errors import UserError
from search_space.graph import Graph, GraphBuilder, Ref
from search_space.spec import ArchSpec, StageSpec

from .conftest import Saw

# --- blocks that repeat ---------------------------------------------------------------------------


def network(block: str, blocks: int = 4) -> ArchSpec:
    stages = [StageSpec(block=block, num_blocks=blocks, width=8, stride=1 + (i > 0)) for i in range(3)]
    return ArchSpec(stem="3x3", stem_width=8, stages=tuple(stages))


def ends_elsewhere(g: GraphBuilder, x: Ref, width: int, stride: int, se: bool) -> Ref:
    """Its output comes before its last node."""
    y = g.add(g.conv(x, width, kernel=3, stride=stride), g.shortcut(x, width, stride), act="relu")
    g.conv(y, width, kernel=1)
    return y


def ends_elsewhere_without_projection(g: GraphBuilder, x: Ref, width: int, stride: int, se: bool) -> Ref:
    """Where the shape changes its output comes last, else not."""
    y = g.conv(x, width, kernel=3, stride=stride)
    if stride == 1 and g.shape(x).channels == width:
        g.global_pool(x)
        return y
    return g.add(y, g.shortcut(x, width, stride))


def reads_the_image(g: GraphBuilder, x: Ref, width: int, stride: int, se: bool) -> Ref:
    """It reads a node far before it."""
    y = g.conv(x, width, kernel=3, stride=stride)
    gate = g.conv(g.global_pool(g.input), width, kernel=1, act="sigmoid", norm=False, name="gate")
    return g.multiply(y, gate)


def written_out(spec: ArchSpec, monkeypatch: pytest.MonkeyPatch) -> Graph:
    """The graph with each block written by its function."""

    def refuse(self: GraphBuilder, scope: str, x: Ref) -> Ref:
        self.enter(scope)
        stage = spec.stages[int(scope[len("stage")]) - 1]
        return BLOCKS[stage.block].build(self, x, stage.width, 1, stage.se)

    with monkeypatch.context() as patch:
        patch.setattr(GraphBuilder, "repeat", refuse)
        return spec.build_graph()


@pytest.fixture
def other_block(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], str]:
    """Registers a block that somebody else has written, for one test."""

    def register(build: Any) -> str:
        BLOCKS["basic"]
        other = Block(name="other", layers=1, width_multiple=1, build=build)
        monkeypatch.setitem(BLOCKS._entries, "other", other)
        return "other"

    return register


@pytest.mark.fault("a block that {build}", expected="an error that names the block's contract, no wrong graph")
@pytest.mark.parametrize("build", [ends_elsewhere, ends_elsewhere_without_projection, reads_the_image])
def test_a_block_that_cannot_be_repeated_is_refused(
    other_block: Callable[[Any], str], saw: Saw, build: Callable[..., Ref]
) -> None:
    spec = network(other_block(build))
    with pytest.raises(AssertionError, match=r"stage1_block2: a block (must end with|reads only) its") as error:
        spec.build_graph()
    saw(error.value)
    network("other", blocks=2).build_graph()  # is written out, and right


@pytest.mark.fault("the project's own block {block}, repeated", expected="the graph that its function writes")
@pytest.mark.parametrize("block", sorted(BLOCKS))
def test_own_blocks_are_repeated_as_they_are_written(monkeypatch: pytest.MonkeyPatch, saw: Saw, block: str) -> None:
    spec = network(block)
    graph = spec.build_graph()
    assert graph == written_out(spec, monkeypatch)
    saw(f"{len(graph.nodes)} nodes")


# --- names ----------------------------------------------------------------------------------------

KNOWN = {
    "latency_ms": True,
    "latency_ms@rpi4": True,
    "latency_ms@cpu": True,
    "latency_ms@ssh:user@host": True,
    "latency_ms@rpi": False,
    "latency_ms@": False,
    "latency_ms@no.toml": False,
    "latency_ms@template": False,
    "macs@rpi4": False,
    "latency": False,
    "": False,
    3: False,
}


@pytest.mark.fault("{name!r} in OBJECTIVES", expected="as OBJECTIVES[...] has it")
@pytest.mark.parametrize("name", KNOWN)
def test_in_agrees_with_the_index(saw: Saw, name: Any) -> None:
    try:
        OBJECTIVES[name]
        found = True
    except (UserError, AttributeError):
        found = False
    saw(name in OBJECTIVES)
    assert (name in OBJECTIVES) == found == KNOWN[name]


@pytest.mark.fault("the template of device profiles as a device", expected="unknown, and listed nowhere")
@pytest.mark.parametrize("name", ["template", "latency_ms@template"])
def test_the_template_is_no_device(saw: Saw, name: str) -> None:
    assert "template" not in profile_names()
    with pytest.raises(UserError, match="unknown device 'template'") as error:
        OBJECTIVES[name] if "@" in name else load_profile(name)
    saw(error.value)
