"""Numbers that describe a network, worked out by hand for small ones."""

import math

import numpy as np
import pytest

from runners.prior.features import NAMES, features_of
from search_space import ArchSpec, StageSpec, reference
from search_space.references import reference_names


def network(*blocks: str, se: bool = False, bits: int = 32) -> ArchSpec:
    stages = tuple(
        StageSpec(block=block, num_blocks=2, width=16 * 2**i, stride=1 + (i > 0), se=se, bits=bits)
        for i, block in enumerate(blocks)
    )
    return ArchSpec(stem="3x3", stem_width=16, stages=stages)


def described(spec: ArchSpec) -> dict[str, float]:
    return dict(zip(NAMES, features_of(spec.build_graph()).tolist(), strict=True))


def test_blocks_show_at_their_scale() -> None:
    found = described(network("basic", "depthwise", "ghost"))
    assert found["depthwise_1"] == found["concats_1"] == 0 and found["dense_1"] == 1
    # Depthwise-separable at width 32: 9 x 32 against 32 x 32 weights, so most of its work is 1 x 1.
    assert found["pointwise_2"] > 0.7 and found["depthwise_2"] > 0.1 and found["dense_2"] == 0
    assert found["concats_3"] == 2 and found["gates_3"] == 0
    assert [round(10 ** found[f"log_width_{scale}"]) for scale in (1, 2, 3)] == [16, 32, 64]


def test_gates_count_for_each_sum() -> None:
    found = described(network("basic", "basic", "basic", se=True))
    assert [found[f"gates_{scale}"] for scale in (1, 2, 3)] == [1, 1, 1]
    without = described(network("basic", "basic", "basic"))
    assert found["log_layers_1"] == without["log_layers_1"], "the gates' own layers are not the scale's"


def test_paths_and_costs_of_resnet20() -> None:
    found = dict(zip(NAMES, features_of(reference("resnet20").build_graph()).tolist(), strict=True))
    # Stem, two projections and the classifier on the shortest path; 20 layers on the longest.
    assert 10 ** found["log_shortest"] == pytest.approx(4) and 10 ** found["log_longest"] == pytest.approx(20)
    assert 10 ** found["log_params"] == pytest.approx(272_474) and found["bits"] == 5
    assert 10 ** found["log_resolution"] == pytest.approx(32)


def test_bits_are_weighted_by_parameters() -> None:
    whole, half = described(network("basic", "basic", "basic", bits=8)), network("basic", "basic", "basic")
    assert whole["bits"] == pytest.approx(3)
    mixed = described(half.with_bits(32, 32, 8))
    assert 3 < mixed["bits"] < 4, "most parameters are in the last stage"


@pytest.mark.parametrize("name", reference_names())
def test_any_network_has_them(name: str) -> None:
    found = features_of(reference(name).build_graph())
    assert found.shape == (len(NAMES),) and np.isfinite(found).all()
    shares = [
        found[[NAMES.index(f"{kind}_{scale}") for kind in ("dense", "pointwise", "depthwise")]] for scale in (1, 2, 3)
    ]
    assert all(math.isclose(share.sum(), 1.0) or share.sum() == 0 for share in shares)
