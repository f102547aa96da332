"""A spec is a value: it survives JSON, has one key, refuses what it cannot mean, and counts depth as the papers do."""

import dataclasses
import hashlib
import json
from typing import Any

import pytest

from search_space.errors import SpecError
from search_space.graph import BITS, Weighted
from search_space.references import reference
from search_space.spec import Architecture, ArchSpec, StageSpec


def stage(**changes: Any) -> StageSpec:
    settings: dict[str, Any] = {"block": "basic", "num_blocks": 3, "width": 16, "stride": 2}
    return StageSpec(**settings | changes)


def spec(**changes: Any) -> ArchSpec:
    """ResNet-20."""
    stages = (stage(stride=1), stage(width=32), stage(width=64))
    settings: dict[str, Any] = {"stem": "3x3", "stem_width": 16, "stages": stages}
    return ArchSpec(**settings | changes)


MIXED = spec(
    stem="7x7",
    stages=(
        stage(stride=1, bits=8),
        stage(block="ghost", se=True, bits=4),
        stage(block="bottleneck", width=64),
        stage(block="depthwise", se=True, bits=2),
    ),
    in_channels=1,
    resolution=57,
    num_classes=3,
)


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", [spec(), MIXED])
def test_round_trip_through_json(one: ArchSpec) -> None:
    again = ArchSpec.from_dict(json.loads(json.dumps(one.to_dict())))
    assert again == one
    assert again.key == one.key
    assert hash(again) == hash(one)
    assert isinstance(one, Architecture)


def test_key_is_pinned() -> None:
    """Keys name files and rows of old studies: a change of the canonical JSON needs a new schema."""
    assert spec().key == "02f7d8ed9817"
    assert MIXED.key == "217fecdbc90f"


def test_key_is_the_sha256_of_sorted_json() -> None:
    text = json.dumps(MIXED.to_dict(), sort_keys=True).replace(", ", ",").replace(": ", ":")
    assert MIXED.key == hashlib.sha256(text.encode()).hexdigest()[:12]


def test_every_field_tells_specs_apart() -> None:
    variants = [
        spec(),
        spec(stem="7x7"),
        spec(stem_width=8),
        spec(in_channels=1),
        spec(resolution=28),
        spec(num_classes=100),
        spec(stages=(*spec().stages, stage())),
        *(
            spec(stages=(*spec().stages[:2], stage(**{"width": 64} | change)))
            for change in (
                {"block": "ghost"},
                {"num_blocks": 2},
                {"width": 48},
                {"stride": 1},
                {"se": True},
                {"bits": 8},
            )
        ),
    ]
    assert len({variant.key for variant in variants}) == len(set(variants)) == len(variants)


def test_spelt_out_defaults_and_key_order_do_not_matter() -> None:
    short = {
        "stages": [{"stride": 1, "width": 16, "num_blocks": 3, "block": "basic"}]
        + [{"stride": 2, "width": width, "num_blocks": 3, "block": "basic"} for width in (32, 64)],
        "stem_width": 16,
        "stem": "3x3",
        "schema": 1,
    }
    assert ArchSpec.from_dict(short) == spec()
    assert ArchSpec.from_dict(short).key == spec().key


def test_specs_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec().resolution = 64  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        stage().bits = 8  # type: ignore[misc]


def test_from_dict_leaves_its_argument_alone() -> None:
    data = MIXED.to_dict()
    before = json.dumps(data)
    ArchSpec.from_dict(data)
    assert json.dumps(data) == before


# --- derived --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("num_blocks", "depth"), [(3, 20), (5, 32), (7, 44), (9, 56), (18, 110)])
def test_depth_of_cifar_resnets(num_blocks: int, depth: int) -> None:
    assert spec(stages=tuple(stage(num_blocks=num_blocks) for _ in range(3))).depth == depth


@pytest.mark.parametrize(
    ("block", "counts", "depth"),
    [
        ("basic", (2, 2, 2, 2), 18),
        ("basic", (3, 4, 6, 3), 34),
        ("bottleneck", (3, 4, 6, 3), 50),
        ("bottleneck", (3, 4, 23, 3), 101),
        ("depthwise", (2, 2, 2, 2), 18),
        ("ghost", (2, 2, 2, 2), 18),
    ],
)
def test_depth_of_imagenet_resnets(block: str, counts: tuple[int, ...], depth: int) -> None:
    one = spec(stages=tuple(stage(block=block, num_blocks=count, se=True) for count in counts))
    assert one.depth == depth
    assert [part.layers for part in one.stages] == [count * (depth - 2) // sum(counts) for count in counts]


def test_with_bits_for_all_and_for_each_stage() -> None:
    assert spec().bits == (32, 32, 32)
    assert spec().with_bits(8).bits == (8, 8, 8)
    assert spec().with_bits(32, 8, 4).bits == (32, 8, 4)
    assert MIXED.with_bits(2, 3, 4, 6).bits == (2, 3, 4, 6)
    assert MIXED.with_bits(8).with_bits(*MIXED.bits) == MIXED
    for bits in ((8, 4), (8, 8, 8, 8), ()):
        with pytest.raises(SpecError, match="bits: must be 1 or 3 values"):
            spec().with_bits(*bits)
    with pytest.raises(SpecError, match="bits: must be one of"):
        spec().with_bits(5)


@pytest.mark.parametrize("bits", BITS)
def test_edge_layers_keep_eight_bits(bits: int) -> None:
    nodes = spec().with_bits(bits).build_graph().nodes
    layers = [node for node in nodes if isinstance(node.op, Weighted)]
    assert nodes[0].bits == layers[0].bits == layers[-1].bits == max(8, bits)
    assert {node.bits for node in layers[1:-1]} == {bits}


def test_edge_layers_follow_their_own_stage() -> None:
    nodes = spec().with_bits(32, 4, 2).build_graph().nodes
    assert (nodes[0].bits, nodes[1].bits, nodes[-1].bits) == (32, 32, 8)
    by_stage = {name: {node.bits for node in nodes if node.name.startswith(name)} for name in ("stage1", "stage2")}
    assert by_stage == {"stage1": {32}, "stage2": {4}}


def test_published_resnets_equal_their_spec() -> None:
    assert reference("resnet20") == spec()


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"block": "botleneck"}, "block: unknown block 'botleneck'; did you mean 'bottleneck'?"),
        ({"block": "x"}, "block: unknown block 'x'; known: basic, bottleneck, depthwise, ghost"),
        ({"block": ["basic"]}, "block: unknown block"),
        ({"num_blocks": 0}, "num_blocks: must be a whole number from 1, not 0"),
        ({"num_blocks": 2.0}, "num_blocks: must be a whole number from 1, not 2.0"),
        ({"num_blocks": True}, "num_blocks: must be a whole number from 1, not True"),
        ({"width": 0}, "width: must be a whole number from 1, not 0"),
        ({"width": "16"}, "width: must be a whole number from 1, not '16'"),
        ({"block": "bottleneck", "width": 18}, "width: must be a multiple of 4 for bottleneck, not 18"),
        ({"block": "ghost", "width": 15}, "width: must be a multiple of 2 for ghost, not 15"),
        ({"stride": 0}, "stride: must be 1 or 2, not 0"),
        ({"stride": 3}, "stride: must be 1 or 2, not 3"),
        ({"se": 1}, "se: must be true or false, not 1"),
        ({"se": None}, "se: must be true or false, not None"),
        ({"bits": 16}, "bits: must be one of (2, 3, 4, 6, 8, 32), not 16"),
        ({"bits": 1}, "bits: must be one of"),
        ({"bits": 8.0}, "bits: must be one of"),
    ],
)
def test_a_stage_out_of_bounds_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        stage(**changes)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stem": "3x4"}, "stem: unknown stem '3x4'; did you mean '3x3'?"),
        ({"stem": None}, "stem: unknown stem 'None'"),
        ({"stem_width": 0}, "stem_width: must be a whole number from 1, not 0"),
        ({"in_channels": 0}, "in_channels: must be a whole number from 1, not 0"),
        ({"resolution": 3}, "resolution: must be a whole number from 4, not 3"),
        ({"resolution": 32.0}, "resolution: must be a whole number from 4, not 32.0"),
        ({"num_classes": 0}, "num_classes: must be a whole number from 1, not 0"),
        ({"num_classes": True}, "num_classes: must be a whole number from 1, not True"),
        ({"stages": (stage(),) * 2}, "stages: must be 3 or 4 stages, not 2"),
        ({"stages": (stage(),) * 5}, "stages: must be 3 or 4 stages, not 5"),
        ({"stages": ()}, "stages: must be 3 or 4 stages, not 0"),
        ({"stages": [stage()] * 3}, "stages: must be a tuple of StageSpec, not ["),
        ({"stages": ("basic",) * 3}, "stages: must be a tuple of StageSpec, not ("),
    ],
)
def test_a_spec_out_of_bounds_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        spec(**changes)
    assert str(caught.value).startswith(message)


def test_least_values_are_allowed_and_build() -> None:
    least = spec(
        stem="7x7",
        stem_width=1,
        stages=(stage(num_blocks=1, width=1, bits=2),) * 4,
        in_channels=1,
        resolution=4,
        num_classes=2,
    )
    assert least.build_graph().nodes[-1].shape == (2, 1, 1)


def changed(path: str, value: Any) -> dict[str, Any]:
    """ResNet-20's dict with the entry at `path` set, or removed where `value` is `...`."""
    data: dict[str, Any] = json.loads(json.dumps(spec().to_dict()))
    table: Any = data
    *parents, last = path.split(".")
    for part in parents:
        table = table[int(part)] if part.isdigit() else table[part]
    if value is ...:
        del table[last]
    else:
        table[last] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("schema", 2, "spec: schema: must be 1, not 2"),
        ("schema", ..., "spec: schema: must be 1, not None"),
        ("stem", ..., "spec: missing key 'stem'"),
        ("stages", ..., "spec: missing key 'stages'"),
        ("resolutoin", 32, "spec: unknown key 'resolutoin'; did you mean 'resolution'?"),
        ("xyz", 32, "spec: unknown key 'xyz'; known: in_channels, num_classes, resolution, stages, stem, stem_width"),
        ("stages", {}, "stages: must be a list, not {}"),
        ("stages", "basic", "stages: must be a list, not 'basic'"),
        ("stages", ["basic"], "stages[1]: must be an object, not 'basic'"),
        ("stages.1.width", ..., "stages[2]: missing key 'width'"),
        ("stages.1.wdith", 8, "stages[2]: unknown key 'wdith'; did you mean 'width'?"),
        ("stages.1.schema", 1, "stages[2]: unknown key 'schema'"),
        ("stages.2.bits", 5, "stages[3].bits: must be one of (2, 3, 4, 6, 8, 32), not 5"),
        ("stages.0.block", "basci", "stages[1].block: unknown block 'basci'; did you mean 'basic'?"),
        ("num_classes", None, "num_classes: must be a whole number from 1, not None"),
    ],
)
def test_a_bad_dict_is_refused_where_it_is_wrong(path: str, value: Any, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        ArchSpec.from_dict(changed(path, value))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["stem", "stem_width", "stages"])
def test_required_keys(name: str) -> None:
    with pytest.raises(SpecError, match=f"missing key '{name}'"):
        ArchSpec.from_dict(changed(name, ...))


@pytest.mark.parametrize("name", ["in_channels", "resolution", "num_classes", "stages.2.se", "stages.2.bits"])
def test_optional_keys_have_defaults(name: str) -> None:
    assert ArchSpec.from_dict(changed(name, ...)) == spec()
