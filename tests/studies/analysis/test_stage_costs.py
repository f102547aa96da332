"""Costs by section against those of the whole network, and against sections known from the papers."""

import random
from itertools import pairwise
from typing import Any

import pytest

from objectives import known_costs
from search_space.errors import SpecError
from search_space.graph import Shape
from search_space.references import reference, reference_names
from search_space.space import SearchSpace
from search_space.spec import ArchSpec
from studies.analysis.stage_costs import StageCosts, stage_costs
from tests.studies.conftest import RandomTrial

SPACE = SearchSpace(
    depth=(18, 110),
    block_scope="stage",
    bits=(2, 3, 4, 6, 8, 32),
    bits_scope="stage",
    resolution=(24, 32),
)
COSTS = ("macs", "params", "packed_bytes")


def sums(sections: tuple[StageCosts, ...]) -> dict[str, int]:
    return {name: sum(getattr(section, name) for section in sections) for name in COSTS}


def test_sections_of_random_networks_sum_to_the_whole() -> None:
    rng = random.Random(5)
    for _ in range(60):
        spec = SPACE.sample(RandomTrial(rng))
        found = stage_costs(spec.to_dict())
        whole = known_costs(spec.build_graph())
        assert sums(found) == {name: whole[name] for name in COSTS}
        assert [section.name for section in found] == ["stem", "stage1", "stage2", "stage3", "head"]
        for section, stage in zip(found[1:-1], spec.stages, strict=True):
            assert [block.channels for block in section.blocks] == [stage.width] * stage.num_blocks
            assert {block.se for block in section.blocks} == {stage.se}
            assert section.bits == (stage.bits,)
            assert section.block == (f"{stage.block}+SE" if stage.se else stage.block)


@pytest.mark.parametrize("bits", [4, 32])
@pytest.mark.parametrize("name", reference_names())
def test_sections_of_references_sum_to_the_whole(name: str, bits: int) -> None:
    spec = reference(name, bits=bits)
    found = stage_costs(spec.to_dict())
    whole = known_costs(spec.build_graph())
    assert sums(found) == {cost: whole[cost] for cost in COSTS}
    assert [found[0].name, found[-1].name] == ["stem", "head"]
    assert found[-1].shape == Shape(spec.num_classes, 1, 1)
    stages = found[1:-1]
    assert [section.name for section in stages] == [f"stage{number}" for number in range(1, len(stages) + 1)]
    assert all(section.blocks and section.shape.channels == section.blocks[-1].channels for section in stages)
    assert all(before.shape.height >= after.shape.height for before, after in pairwise(found))


@pytest.mark.parametrize(
    ("name", "blocks", "widths"),
    [
        ("resnet110", [18, 18, 18], [16, 32, 64]),
        ("resnet50", [3, 4, 6, 3], [256, 512, 1024, 2048]),
        ("mobilenetv2", [1, 2, 3, 4, 3, 3, 1], [16, 24, 32, 64, 96, 160, 320]),
        ("shufflenetv2", [4, 8, 4], [116, 232, 464]),
    ],
)
def test_stages_are_those_of_the_papers(name: str, blocks: list[int], widths: list[int]) -> None:
    found = stage_costs(reference(name).to_dict())[1:-1]
    assert [len(section.blocks) for section in found] == blocks
    assert [section.shape.channels for section in found] == widths


def test_blocks_numbered_throughout_make_a_stage_of_one_size() -> None:
    found = stage_costs(reference("ghostnet").to_dict())
    assert [section.shape.height for section in found] == [112, 112, 56, 28, 14, 7, 1]
    assert [len(section.blocks) for section in found[1:-1]] == [1, 2, 2, 6, 5]
    assert [block.channels for block in found[4].blocks] == [80, 80, 80, 80, 112, 112]
    assert [block.se for block in found[4].blocks] == [False] * 4 + [True] * 2


def test_edges_are_never_below_8_bits() -> None:
    spec = reference("resnet20", bits=2)
    assert isinstance(spec, ArchSpec)
    assert [section.bits for section in stage_costs(spec.to_dict())] == [(8,), (2,), (2,), (2,), (8,)]
    assert stage_costs(reference("mobilenetv2", bits=4).to_dict())[-1].bits == (4, 8), "its 1x1 convolution, then"


def test_no_spec() -> None:
    wrong: dict[str, Any] = {"schema": 1, "stem": "3x3"}
    with pytest.raises(SpecError):
        stage_costs(wrong)
