"""Hundreds of random networks of several spaces: each can be built, counted, written down and found again."""

import dataclasses
import itertools
import json
import random
from collections.abc import Sequence
from typing import Any

import optuna
import pytest
import torch

from objectives.base import known_costs
from runners.verification.counts import fvcore_macs, torch_macs
from search_space.backends.torch_network import build_network
from search_space.errors import SpecError, UserError
from search_space.graph import BITS
from search_space.references import reference
from search_space.space import BLOCK_CHOICES, RandomTrial, SearchSpace
from search_space.spec import ArchSpec

SPACES = {
    "3 stages": SearchSpace(depth=(18, 56), width_multipliers=(0.5, 0.75, 1.0, 1.5), resolution=(8, 11, 16), bits=BITS),
    "3 stages, each its own": SearchSpace(
        depth=(18, 40),
        block_scope="stage",
        base_width=(8, 24),
        width_multipliers=(0.25, 1.0, 1.25),
        resolution=(9, 12),
        bits=(8, 4, 2),
        bits_scope="stage",
        in_channels=1,
    ),
    "4 stages": SearchSpace(
        stem="7x7", num_stages=4, depth=(20, 70), base_width=(16, 32), resolution=(32, 35), bits=BITS, num_classes=7
    ),
    "4 stages, each its own": SearchSpace(
        stem="7x7",
        num_stages=4,
        depth=(18, 30),
        block_scope="stage",
        base_width=(8, 16),
        width_multipliers=(0.5, 1.0),
        resolution=(32,),
        bits=(32, 8),
        bits_scope="stage",
    ),
}
IMAGENET = SearchSpace(
    stem="7x7", num_stages=4, base_width=(64, 256), resolution=(224,), bits=(32, 8), num_classes=1000
)
CIFAR = SearchSpace(bits=(32, 8), bits_scope="stage", block_scope="stage", width_multipliers=(0.5, 1.0))


class NotingTrial(RandomTrial):
    """A random trial that keeps what it was asked and what it answered."""

    def __init__(self, seed: int) -> None:
        super().__init__(random.Random(seed))
        self.asked: dict[str, tuple[Any, ...]] = {}
        self.params: dict[str, Any] = {}

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        self.asked[name] = (low, high, step)
        self.params[name] = super().suggest_int(name, low, high, step=step)
        return int(self.params[name])

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self.asked[name] = tuple(choices)
        self.params[name] = super().suggest_categorical(name, choices)
        return self.params[name]


class FixedTrial:
    def __init__(self, params: dict[str, Any]) -> None:
        self.params = params

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        assert self.params[name] in range(low, high + 1, step)
        return int(self.params[name])

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        assert self.params[name] in choices
        return self.params[name]


def drawn(space: SearchSpace, count: int) -> list[ArchSpec]:
    return [space.sample(NotingTrial(seed)) for seed in range(count)]


# --- properties of hundreds of networks -----------------------------------------------------------


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_every_network_keeps_the_spaces_promises(space: SearchSpace) -> None:
    for spec in drawn(space, 75):
        assert space.depth[0] <= spec.depth <= space.depth[1]
        assert all(width % 8 == 0 and width >= 8 for width in (spec.stem_width, *(s.width for s in spec.stages)))
        assert space.base_width[0] <= spec.stages[0].width <= space.base_width[1]
        assert [stage.stride for stage in spec.stages] == [1] + [2] * (space.num_stages - 1)
        assert (spec.stem, spec.in_channels, spec.num_classes) == (space.stem, space.in_channels, space.num_classes)
        assert spec.resolution in space.resolution
        assert set(spec.bits) <= set(space.bits)
        if space.block_scope == "net":
            assert len({(stage.block, stage.se) for stage in spec.stages}) == 1
        if space.bits_scope == "net":
            assert len(set(spec.bits)) == 1
        assert ArchSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
        names = [node.name for node in spec.build_graph().nodes]
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_params_of_inverts_sample(space: SearchSpace) -> None:
    for seed in range(75):
        trial = NotingTrial(seed)
        spec = space.sample(trial)
        params = space.params_of(spec)
        assert params.keys() == trial.params.keys()
        assert space.sample(FixedTrial(params)) == spec
        exact = {name: value for name, value in params.items() if name.startswith(("block", "bits", "res", "base"))}
        assert exact.items() <= trial.params.items()


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_every_trial_is_asked_the_same(space: SearchSpace) -> None:
    """Optuna's NSGA-II and GP samplers look only at the intersection of the trials' spaces."""
    first, *others = (NotingTrial(seed) for seed in range(75))
    space.sample(first)
    for trial in others:
        space.sample(trial)
        assert list(trial.asked.items()) == list(first.asked.items())
    assert list(space.choices) == list(first.asked)
    assert space.choices["depth"] == tuple(range(space.depth[0], space.depth[1] + 1))
    assert space.choices["base_width"] == tuple(range(space.base_width[0], space.base_width[1] + 1, 8))


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_torch_counts_the_same(space: SearchSpace) -> None:
    """Parameters, MACs and the logits' shape, on torch's meta device: shapes without data."""
    for spec in drawn(dataclasses.replace(space, depth=(18, 22)), 15):
        network = build_network(spec).to("meta").eval()
        images = torch.empty(1, spec.in_channels, spec.resolution, spec.resolution, device="meta")
        costs = known_costs(network.graph)
        assert costs["params"] == sum(parameter.numel() for parameter in network.parameters())
        assert costs["macs"] == torch_macs(network, images)
        assert network(images).shape == (1, spec.num_classes)


def shallow(spec: ArchSpec) -> ArchSpec:
    """The same with one block in the first stage and at most two in the others: fvcore traces slowly."""
    counts = (1, *(min(2, stage.num_blocks) for stage in spec.stages[1:]))
    stages = (dataclasses.replace(stage, num_blocks=n) for stage, n in zip(spec.stages, counts, strict=True))
    return dataclasses.replace(spec, stages=tuple(stages))


@pytest.mark.slow
def test_fvcore_counts_the_same() -> None:
    """64 networks, with every block and every bit-width."""
    specs = [shallow(spec) for space in SPACES.values() for spec in drawn(space, 16)]
    assert {(stage.block, stage.se) for spec in specs for stage in spec.stages} == set(BLOCK_CHOICES.values())
    assert {bits for spec in specs for bits in spec.bits} == set(BITS)
    for spec in specs:
        network = build_network(spec).eval()
        images = torch.zeros(1, spec.in_channels, spec.resolution, spec.resolution)
        assert known_costs(network.graph)["macs"] == fvcore_macs(network, images)


# --- size -----------------------------------------------------------------------------------------

SMALL = {
    "blocks and widths": SearchSpace(
        depth=(18, 40), base_width=(8, 24), width_multipliers=(0.5, 0.75, 1.0), resolution=(16, 32)
    ),
    "multipliers that round to the same": SearchSpace(
        depth=(18, 22), blocks=("basic",), base_width=(8, 16), width_multipliers=(0.9, 1.0, 1.1, 3.0), bits=(8, 4)
    ),
    "blocks by stage": SearchSpace(
        depth=(19, 24), blocks=("basic", "se", "bottleneck"), block_scope="stage", base_width=(8, 8)
    ),
    "bits by stage": SearchSpace(
        depth=(18, 26), blocks=("ghost", "bottleneck"), base_width=(8, 8), bits=(8, 4, 2), bits_scope="stage"
    ),
    "four stages": SearchSpace(
        stem="7x7",
        num_stages=4,
        depth=(18, 30),
        blocks=("basic", "bottleneck"),
        block_scope="stage",
        base_width=(8, 16),
        width_multipliers=(0.5, 1.0),
    ),
    "one network": SearchSpace(depth=(18, 19), blocks=("basic",), base_width=(8, 8)),
}


@pytest.mark.parametrize("space", SMALL.values(), ids=SMALL)
def test_size_is_what_enumeration_counts(space: SearchSpace) -> None:
    names, values = zip(*space.choices.items(), strict=True)
    specs = {space.sample(FixedTrial(dict(zip(names, row, strict=True)))) for row in itertools.product(*values)}
    assert space.size == len(specs)
    assert len({spec.key for spec in specs}) == len(specs)
    assert {spec.depth for spec in specs} <= set(range(space.depth[0], space.depth[1] + 1))


def test_size_of_one_network() -> None:
    assert SMALL["one network"].size == 1


# --- the papers' networks -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("space", "name"),
    [
        *((IMAGENET, name) for name in ("resnet18", "resnet34", "resnet50", "resnet101", "se_resnet50")),
        *((CIFAR, f"resnet{depth}") for depth in (20, 32, 44, 56, 110)),
        (CIFAR, "se_resnet56"),
        (CIFAR, "ghost_resnet56"),
        (CIFAR, "resnet20@0.5"),
    ],
)
@pytest.mark.parametrize("bits", [32, 8])
def test_the_papers_networks_are_points(space: SearchSpace, name: str, bits: int) -> None:
    spec = reference(name, bits=bits)
    assert isinstance(spec, ArchSpec)
    assert space.sample(FixedTrial(space.params_of(spec))) == spec


def test_parameters_that_mean_resnet50() -> None:
    params = {"depth": 50, "block": "bottleneck", "base_width": 256, "resolution": 224, "bits": 32}
    params |= {f"width_multiplier{stage}": 1.0 for stage in (2, 3, 4)}
    assert IMAGENET.params_of(reference("resnet50")) == params  # type: ignore[arg-type]
    assert [stage.num_blocks for stage in IMAGENET.sample(FixedTrial(params)).stages] == [3, 4, 6, 3]


@pytest.mark.parametrize(
    ("depth", "block", "counts"),
    [
        (18, "basic", (2, 3, 3)),  # 16 layers are 8 blocks; the second and the third stage come first
        (20, "basic", (3, 3, 3)),
        (21, "basic", (3, 3, 3)),  # an odd depth means the next lower one
        (110, "basic", (18, 18, 18)),
        (110, "bottleneck", (12, 12, 12)),
        (109, "bottleneck", (11, 12, 12)),
    ],
)
def test_blocks_per_stage(depth: int, block: str, counts: tuple[int, ...]) -> None:
    spec = SearchSpace(blocks=(block,)).sample(
        FixedTrial(
            {"depth": depth, "block": block, "base_width": 8, "resolution": 32, "bits": 32}
            | {f"width_multiplier{stage}": 1.0 for stage in (2, 3)}
        )
    )
    assert tuple(stage.num_blocks for stage in spec.stages) == counts


def test_widths_double_and_round_to_eight() -> None:
    space = SearchSpace(width_multipliers=(0.3, 1.0, 1.2))
    params = {"depth": 20, "block": "basic", "base_width": 24, "resolution": 32, "bits": 32}
    spec = space.sample(FixedTrial(params | {"width_multiplier2": 0.3, "width_multiplier3": 1.2}))
    assert [stage.width for stage in spec.stages] == [24, 16, 112]  # 14.4 and 115.2
    assert spec.stem_width == 24


# --- optuna ---------------------------------------------------------------------------------------


def test_a_real_study_asks_and_takes_known_networks() -> None:
    space = SPACES["3 stages, each its own"]
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    known = drawn(space, 3)
    for spec in known:
        study.enqueue_trial(space.params_of(spec))
    asked = []
    for _ in range(20):
        trial = study.ask()
        spec = space.sample(trial)
        asked.append(spec)
        assert trial.params.keys() == space.choices.keys()
        assert space.sample(optuna.trial.FixedTrial(space.params_of(spec))) == spec
        study.tell(trial, spec.depth)
    assert asked[:3] == known
    assert len({spec.key for spec in asked}) > 15
    assert optuna.search_space.intersection_search_space(study.trials).keys() == space.choices.keys()


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stem": "3x4"}, "stem: unknown stem '3x4'; did you mean '3x3'?"),
        ({"num_stages": 5}, "num_stages: must be 3 or 4, not 5"),
        ({"depth": (7, 40)}, "depth: must be [low, high] within 8 to 110, not [7, 40]"),
        ({"depth": (18, 111)}, "depth: must be [low, high] within 8 to 110, not [18, 111]"),
        ({"depth": (40, 20)}, "depth: must be [low, high] within 8 to 110, not [40, 20]"),
        ({"depth": (18, 19)}, "depth: no network of bottleneck blocks has a depth in [18, 19]"),
        ({"depth": (21, 21), "blocks": ("basic",)}, "depth: no network of basic blocks has a depth in [21, 21]"),
        (
            {"depth": (20, 20), "blocks": ("basic", "bottleneck"), "block_scope": "stage"},
            "depth: no network of basic, bottleneck, basic blocks has a depth in [20, 20]",
        ),
        ({"base_width": (4, 32)}, "base_width: must be [low, high] within 8 to 1024 in steps of 8, not [4, 32]"),
        ({"base_width": (8, 20)}, "base_width: must be [low, high] within 8 to 1024 in steps of 8, not [8, 20]"),
        ({"base_width": (8, 1032)}, "base_width: must be [low, high] within 8 to 1024"),
        ({"blocks": ()}, "blocks: needs at least one choice"),
        ({"blocks": ("basic", "basic")}, "blocks: a choice is given twice in ['basic', 'basic']"),
        ({"blocks": ("basic", "gost")}, "blocks: unknown block 'gost'; did you mean 'ghost'?"),
        ({"block_scope": "layer"}, "block_scope: must be 'net' or 'stage', not 'layer'"),
        ({"bits_scope": "nte"}, "bits_scope: must be 'net' or 'stage', not 'nte'"),
        ({"bits": ()}, "bits: needs at least one choice"),
        ({"bits": (8, 5)}, "bits: must be among (2, 3, 4, 6, 8, 32), not 5"),
        ({"width_multipliers": ()}, "width_multipliers: needs at least one choice"),
        ({"width_multipliers": (1.0, 0.05)}, "width_multipliers: must be from 0.1 to 10, not 0.05"),
        ({"width_multipliers": (float("nan"),)}, "width_multipliers: must be a number, not nan"),
        ({"resolution": ()}, "resolution: needs at least one choice"),
        ({"resolution": (32, 7)}, "resolution: must be from 8 to 1024 pixels, not 7"),
        ({"resolution": (1025,)}, "resolution: must be from 8 to 1024 pixels, not 1025"),
        ({"in_channels": 0}, "in_channels: must be at least 1, not 0"),
        ({"num_classes": 0}, "num_classes: must be at least 1, not 0"),
    ],
)
def test_a_space_that_cannot_be_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        SearchSpace(**settings)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("num_stages", [3, 4])
@pytest.mark.parametrize("block_scope", ["net", "stage"])
def test_a_narrow_depth_is_refused_or_always_kept(num_stages: int, block_scope: str) -> None:
    """No accepted space may propose a depth out of its range, or fail on a combination of blocks."""
    accepted = 0
    for low, high in itertools.product(range(18, 34), range(4)):
        try:
            space = SearchSpace(
                num_stages=num_stages,
                depth=(low, low + high),
                blocks=("basic", "bottleneck"),
                block_scope=block_scope,  # type: ignore[arg-type]
            )
        except SpecError:
            continue
        accepted += 1
        assert all(low <= spec.depth <= low + high for spec in drawn(space, 30))
    assert accepted > 16


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet8", "depth: 8 is not in this space (18, 19 ... 110)"),
        ("resnet20@3", "base_width: 48 is not in this space (8, 16, 24, 32)"),
        ("resnet18", "base_width: 64 is not in this space"),
    ],
)
def test_a_network_outside_is_refused(name: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        CIFAR.params_of(reference(name, resolution=32, num_classes=10))  # type: ignore[arg-type]
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "changes",
    [
        {"stem": "7x7"},
        {"stem_width": 8},
        {"num_classes": 11},
        {"in_channels": 1},
        {"resolution": 28},
        {"bits": 4},
        {"counts": (2, 3, 4)},
        {"counts": (4, 3, 3)},
        {"widths": (16, 40, 64)},
        {"widths": (16, 24, 64)},
        {"strides": (1, 1, 2)},
        {"blocks": ("basic", "basic", "depthwise")},
        {"stages": 4},
    ],
    ids=str,
)
def test_one_change_leaves_the_space(changes: dict[str, Any]) -> None:
    space = SearchSpace(blocks=("basic", "depthwise"), resolution=(32,))
    spec = reference("resnet20")
    assert isinstance(spec, ArchSpec)
    space.params_of(spec)
    per_stage = {"counts": "num_blocks", "widths": "width", "strides": "stride", "blocks": "block"}
    (name, value), *_ = changes.items()
    if name in per_stage:
        pairs = zip(spec.stages, value, strict=True)
        stages = tuple(dataclasses.replace(stage, **{per_stage[name]: entry}) for stage, entry in pairs)
        other = dataclasses.replace(spec, stages=stages)
    elif name == "bits":
        other = spec.with_bits(value)
    elif name == "stages":
        other = dataclasses.replace(spec, stages=(*spec.stages, spec.stages[-1]))
    else:
        other = dataclasses.replace(spec, **changes)
    with pytest.raises(SpecError):
        space.params_of(other)
