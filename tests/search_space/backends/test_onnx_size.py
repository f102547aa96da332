"""The size of the file that would ship against the file that is written, to the byte where the metadata is known."""

import itertools
import json
import random
from dataclasses import replace
from typing import Any

import pytest
from onnx import ModelProto, helper

from objectives.costs.file_bytes import file_bytes
from search_space.backends.network_values import random_values
from search_space.backends.onnx_model import build_onnx
from search_space.backends.onnx_size import metadata_bytes, onnx_bytes
from search_space.blocks import BLOCKS
from search_space.graph import Graph, GraphBuilder
from search_space.pruning.channels import channel_groups
from search_space.pruning.pruned import prune_architecture
from search_space.references import POINTS, reference
from search_space.references.base import NETWORKS
from search_space.space import RandomTrial, SearchSpace
from search_space.spec import Architecture, ArchSpec, StageSpec

BITS = (32, 8, 4, 2)
CLASS_NAMES = {
    2: ("cat", "dog"),
    10: ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    43: tuple(f"{number:02}" for number in range(43)),
    1000: tuple(f"n{1440764 + 9173 * number:08}" for number in range(1000)),
}


def written(graph: Graph, metadata: dict[str, Any] | None = None) -> int:
    """Bytes of the file, as an export writes it."""
    model = build_onnx(graph, random_values(graph), int8=True, metadata=metadata)
    return len(model.SerializeToString())


def without_metadata(graph: Graph) -> int:
    return onnx_bytes(graph) - metadata_bytes(graph.nodes[-1].shape.channels)


def assert_within_a_percent(architecture: Architecture) -> None:
    """Against the file with the metadata of `studies.export`."""
    graph = architecture.build_graph()
    metadata = {
        "class_names": CLASS_NAMES[architecture.num_classes],
        "mean": 121 / 255,
        "std": 0.2518342129873891,
        "resolution": architecture.resolution,
        "image_size": 32,
        "grey_bits": 16,
        "spec": architecture.to_dict(),
    }
    size = written(graph, metadata)
    assert abs(file_bytes(graph) - size) <= 0.01 * size, (architecture, file_bytes(graph), size)


def spec_of(block: str, bits: int, *, classes: int = 10, **options: Any) -> ArchSpec:
    values = {"stem": "3x3", "num_blocks": 3, "se": False, "width": 8, "stages": 3, "resolution": 32} | options
    stages = tuple(
        StageSpec(
            block=block,
            num_blocks=values["num_blocks"],
            width=values["width"] * 2**number,
            stride=1 + (number > 0),
            se=values["se"],
            bits=bits,
        )
        for number in range(values["stages"])
    )
    return ArchSpec(
        stem=values["stem"],
        stem_width=values["width"],
        stages=stages,
        resolution=values["resolution"],
        num_classes=classes,
    )


@pytest.mark.parametrize("se", [False, True])
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("block", [*BLOCKS])
def test_every_block_at_every_bits(block: str, bits: int, se: bool) -> None:
    for spec in (
        spec_of(block, bits, se=se),
        spec_of(block, bits, se=se, num_blocks=12, width=16),
        spec_of(block, bits, se=se, stages=4, stem="7x7", resolution=128, width=16, classes=43),
    ):
        assert without_metadata(spec.build_graph()) == written(spec.build_graph())
        assert_within_a_percent(spec)


@pytest.mark.parametrize("classes", [*CLASS_NAMES])
@pytest.mark.parametrize("bits", [32, 8])
def test_any_number_of_classes(classes: int, bits: int) -> None:
    for resolution, in_channels in itertools.product((20, 32, 224), (1, 3)):
        spec = ArchSpec.from_dict(
            {**spec_of("basic", bits, classes=classes, resolution=resolution).to_dict(), "in_channels": in_channels}
        )
        assert_within_a_percent(spec)


@pytest.mark.parametrize("classes", [2, 10, 43])
@pytest.mark.parametrize("block", [*BLOCKS])
def test_the_smallest_networks(block: str, classes: int) -> None:
    """Of which the metadata is the largest part: 8 channels throughout, and as few layers as can be searched."""
    for bits in (32, 8):
        spec = spec_of(block, bits, classes=classes, num_blocks=2)
        stages = tuple(replace(stage, width=8) for stage in spec.stages)
        assert_within_a_percent(replace(spec, stages=stages))


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("name", [*POINTS, *NETWORKS])
def test_every_reference(name: str, bits: int) -> None:
    architecture = reference(name, bits=bits, resolution=32, num_classes=10)
    assert without_metadata(architecture.build_graph()) == written(architecture.build_graph())
    assert_within_a_percent(architecture)


def test_bits_that_differ_by_stage() -> None:
    space = SearchSpace(
        depth=(18, 40),
        block_scope="stage",
        width_multipliers=(0.5, 1.0),
        resolution=(16, 21),
        bits=(32, 8, 6, 4, 3, 2),
        bits_scope="stage",
    )
    generator = random.Random(0)
    for _ in range(60):
        spec = space.sample(RandomTrial(generator))
        assert without_metadata(spec.build_graph()) == written(spec.build_graph())
        assert_within_a_percent(spec)


@pytest.mark.parametrize("bits", [32, 8])
@pytest.mark.parametrize("name", ["resnet20", "ghost_resnet56", "shufflenetv2", "mobilenetv3_small"])
def test_pruned_networks(name: str, bits: int) -> None:
    """Their specs are longer, as they have the channels of every layer."""
    architecture = reference(name, bits=bits, resolution=32, num_classes=10)
    groups = channel_groups(architecture.build_graph())
    generator = random.Random(0)
    keep = groups.fixed.copy()
    keep |= [generator.random() < 0.7 for _ in keep]
    pruned = prune_architecture(architecture, groups, keep)
    assert pruned != architecture
    assert without_metadata(pruned.build_graph()) == written(pruned.build_graph())
    assert_within_a_percent(pruned)


def test_a_graph_of_ones_own() -> None:
    """A gate that is concatenated, a last node that is no classifier, and an output that is read in two ways."""
    for bits in BITS:
        g = GraphBuilder(3, 8, bits)
        x = g.conv(g.input, 8, kernel=3, act="silu")
        y = g.conv(x, 8, kernel=1, act="sigmoid")
        z = g.max_pool(g.concat(x, y, g.slice(x, 0, 4)))
        g.conv(g.add(z, z), 5, kernel=1, act="hard_swish")
        assert without_metadata(g.build()) == written(g.build())


def test_operators_of_equal_fields_are_told_apart() -> None:
    """A sum and a concatenation that differ in nothing but the operator: names, channels and inputs are alike."""
    g = GraphBuilder(3, 8)
    x = g.conv(g.input, 8, kernel=3)
    g.enter("ab")
    g.add(x, x)
    summed = g.build()
    g = GraphBuilder(3, 8)
    x = g.conv(g.input, 4, kernel=3)
    g.concat(x, x)
    joined = g.build()
    assert len(summed.nodes[-1].name) == len(joined.nodes[-1].name)
    for graph in (summed, joined, summed):
        assert without_metadata(graph) == written(graph)


def test_fewer_bits_than_8_do_not_make_the_file_smaller() -> None:
    sizes = {bits: file_bytes(reference("resnet20", bits=bits).build_graph()) for bits in BITS}
    assert sizes[32] > 3 * sizes[8]
    assert sizes[8] <= sizes[4] == sizes[2] <= 1.05 * sizes[8]


def test_the_metadata_is_of_a_usual_length() -> None:
    """Beside that of CIFAR-10's ResNet-20."""
    model = ModelProto()
    spec = reference("resnet20").to_dict()
    values = {"class_names": CLASS_NAMES[10], "mean": 121 / 255, "std": 0.2518, "resolution": 32, "spec": spec}
    helper.set_model_props(model, {key: json.dumps(value) for key, value in values.items()})
    assert abs(metadata_bytes(10) - model.ByteSize()) < 150
