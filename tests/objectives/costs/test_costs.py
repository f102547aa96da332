"""Costs by hand on a small graph, against a second way of counting on random ones, and against published figures."""

import itertools
import math
import random
import re
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from objectives.base import OBJECTIVES, Objective, Unsupported, cost, costs_of, known_costs, objectives_named
from objectives.devices import load_profile
from objectives.devices.roofline import estimate_latency
from search_space.errors import UserError
from search_space.graph import Add, Conv, Graph, GraphBuilder, Weighted
from search_space.references import reference
from search_space.space import RandomTrial, SearchSpace
from search_space.spec import Architecture, ArchSpec

SPACE = SearchSpace(
    depth=(18, 40),
    block_scope="stage",
    width_multipliers=(0.5, 1.0),
    resolution=(16, 21),
    bits=(32, 8, 6, 4, 3, 2),
    bits_scope="stage",
)


def costs(architecture: Architecture) -> dict[str, float]:
    return known_costs(architecture.build_graph())


def drawn(count: int) -> list[ArchSpec]:
    generator = random.Random(0)
    return [SPACE.sample(RandomTrial(generator)) for _ in range(count)]


# --- by hand --------------------------------------------------------------------------------------


def mixed_graph() -> Graph:
    """8-bit stem, 4-bit residual with a 3-bit convolution, float head; 5 x 5 pixels."""
    g = GraphBuilder(3, 5, 8)
    x = g.conv(g.input, 4, kernel=3)  # 108 weights
    g.bits = 3
    y = g.conv(x, 4, kernel=1, norm=False)  # 16 weights, bias
    g.bits = 4
    x = g.add(x, g.depthwise(y))  # 36 weights
    x = g.conv(x, 5, kernel=3, stride=2)  # 180 weights, 3 x 3
    g.bits = 32
    g.linear(g.global_pool(x), 2)  # 10 weights
    return g.build()


def test_parameters_and_macs_by_hand() -> None:
    figures = known_costs(mixed_graph())
    assert figures["params"] == (108 + 8) + (16 + 4) + (36 + 8) + (180 + 10) + (10 + 2)
    assert figures["macs"] == 25 * (108 + 16 + 36) + 9 * 180 + 10


def test_packed_bytes_by_hand() -> None:
    """ceil(weights x bits / 8), 4 bytes a channel for the bias and 4 for the scale of a quantized layer."""
    expected = (108 + 4 * 8) + (6 + 4 * 8) + (18 + 4 * 8) + (90 + 5 * 8) + (40 + 2 * 4)
    assert known_costs(mixed_graph())["packed_bytes"] == expected
    g = GraphBuilder(3, 4, 3)
    g.conv(g.input, 3, kernel=1)  # 27 bits round up to 4 bytes
    assert known_costs(g.build())["packed_bytes"] == 4 + 3 * 8


def test_bops_by_hand() -> None:
    """MACs x weight bits x bits of the tensor that is read."""
    expected = 25 * 108 * 8 * 8 + 25 * 16 * 3 * 8 + 25 * 36 * 4 * 3 + 9 * 180 * 4 * 4 + 10 * 32 * 32
    assert known_costs(mixed_graph())["bops"] == expected


def test_peak_memory_by_hand() -> None:
    """The stem's output waits for the sum: three tensors of 100 values are alive, in bytes although two have 4 bits."""
    assert known_costs(mixed_graph())["peak_memory_bytes"] == 3 * 100


# --- published ------------------------------------------------------------------------------------


def test_resnet_figures_of_the_papers() -> None:
    assert costs(reference("resnet20"))["macs"] == 40_813_184
    assert costs(reference("resnet50"))["macs"] / 1e9 == pytest.approx(4.0892, abs=1e-4)
    assert costs(reference("resnet110"))["params"] == 1_730_714
    norms_and_classifier = 2 * (16 + 2 * 9 * (16 + 32 + 64) + 32 + 64) + 64 * 10 + 10
    weights = 855_770 - norms_and_classifier + 64 * 10
    channels = norms_and_classifier // 2 - (64 * 10 + 10) // 2 + 10
    assert costs(reference("resnet56"))["packed_bytes"] == 4 * weights + 4 * channels
    assert costs(reference("resnet56", bits=8))["packed_bytes"] == weights + 8 * channels


def peak_of(graph: Graph) -> int:
    """Peak memory by asking, for every node, which tensors a node from it on still reads; byte by byte."""
    nodes, peak = graph.nodes, 0

    def size(position: int) -> int:
        return math.prod(nodes[position].shape) * (4 if nodes[position].bits == 32 else 1)

    for now, node in enumerate(nodes):
        read_now_or_later = {source for later in nodes[now:] for source in later.inputs}
        read_later = {source for later in nodes[now + 1 :] for source in later.inputs}
        alive = {position for position in range(now) if position in read_now_or_later} | {now}
        assert set(node.inputs) <= alive
        if isinstance(node.op, Conv) and node.op.groups == node.op.in_channels == node.shape.channels:
            (source,) = node.inputs
            if source not in read_later and size(now) <= size(source):
                alive.discard(now)  # written over its input
        peak = max(peak, sum(size(position) for position in alive))
    return peak


def test_peak_memory_of_mobilenetv2() -> None:
    """At 224 x 224 in int8, while the first expansion runs (Lin et al. 2021, MCUNetV2, fig. 1: 1,372 KiB)."""
    graph = reference("mobilenetv2", bits=8).build_graph()
    assert known_costs(graph)["peak_memory_bytes"] == 112**2 * (16 + 96) == 1_404_928


def test_a_depthwise_convolution_writes_over_an_input_that_nothing_else_reads() -> None:
    def network(residual: bool) -> Graph:
        g = GraphBuilder(8, 8)
        x = g.conv(g.input, 8, kernel=1)
        y = g.depthwise(x)
        g.add(y, x) if residual else g.global_pool(y)
        return g.build()

    size = 4 * 8 * 8 * 8
    assert known_costs(network(residual=False))["peak_memory_bytes"] == 2 * size  # of the first convolution
    assert known_costs(network(residual=True))["peak_memory_bytes"] == 3 * size


# --- random networks ------------------------------------------------------------------------------


def test_costs_of_random_networks_counted_a_second_way() -> None:
    for spec in drawn(100):
        graph = spec.build_graph()
        figures = known_costs(graph)
        assert figures["peak_memory_bytes"] == peak_of(graph)
        layers = [node for node in graph.nodes if isinstance(node.op, Weighted)]
        assert figures["bops"] == sum(n.macs * n.bits * graph.nodes[n.inputs[0]].bits for n in layers)
        bits = sum(8 * math.ceil(n.op.num_weights * n.bits / 8) for n in layers if isinstance(n.op, Weighted))
        channels = sum((32 if n.bits == 32 else 64) * n.shape.channels for n in layers)
        assert figures["packed_bytes"] == (bits + channels) / 8


def test_float_costs_are_fixed_multiples() -> None:
    for spec in drawn(50):
        figures = costs(spec.with_bits(32))
        assert figures["bops"] == figures["macs"] * 32 * 32
        assert figures["peak_memory_bytes"] % 4 == 0
        norm_shifts_are_biases = figures["packed_bytes"] / 4
        assert figures["params"] / 2 < norm_shifts_are_biases < figures["params"]


def test_a_residual_is_alive_until_it_is_added() -> None:
    """Without its shortcut a block needs less."""
    g = GraphBuilder(8, 8)
    x = g.conv(g.input, 8, kernel=3)
    g.add(g.conv(g.conv(x, 8, kernel=3), 8, kernel=3), x)
    with_shortcut = g.build()
    without = Graph(tuple(node for node in with_shortcut.nodes if not isinstance(node.op, Add)))
    size = 4 * 8 * 8 * 8
    assert known_costs(with_shortcut)["peak_memory_bytes"] == 3 * size
    assert known_costs(without)["peak_memory_bytes"] == 2 * size


@pytest.mark.parametrize("name", ["macs", "params", "file_bytes", "packed_bytes", "bops", "peak_memory_bytes"])
def test_costs_rise_with_depth_and_width_and_fall_with_bits(name: str) -> None:
    def figure(depth: int = 26, width: int = 16, bits: int = 8, block: str = "basic") -> float:
        params: dict[str, Any] = {"depth": depth, "block": block, "base_width": width, "resolution": 32, "bits": bits}
        return costs(space.sample(Fixed(params | {"width_multiplier2": 1.0, "width_multiplier3": 1.0})))[name]

    space = SearchSpace(bits=(32, 8, 6, 4, 3, 2))
    depth_free = name == "peak_memory_bytes"
    for block in space.blocks:
        by_depth = [figure(depth=depth, block=block) for depth in (20, 32, 56, 110)]
        assert by_depth == sorted(by_depth)
        assert (len(set(by_depth)) == 1) is depth_free
        by_width = [figure(width=width, block=block) for width in (8, 16, 24, 32)]
        assert all(a < b for a, b in itertools.pairwise(by_width))
    by_bits = [figure(bits=bits) for bits in (2, 3, 4, 6, 8, 32)]
    if name in ("macs", "params"):
        assert len(set(by_bits)) == 1
    elif name == "peak_memory_bytes":  # runtimes keep activations in bytes
        assert set(by_bits[:5]) == {by_bits[-1] / 4}
    elif name == "file_bytes":  # and weights; below 8 bits the file says where they are clipped
        assert len(set(by_bits[:4])) == 1
        assert by_bits[4] <= by_bits[3] < 1.05 * by_bits[4]
        assert by_bits[4] < by_bits[5]
    else:
        assert all(a < b for a, b in itertools.pairwise(by_bits))


class Fixed:
    def __init__(self, params: dict[str, Any]) -> None:
        self.params = params

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        return int(self.params[name])

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self.params[name]


# --- the registry ---------------------------------------------------------------------------------


def test_objectives_are_known_by_name_unit_and_direction() -> None:
    found = {name: (OBJECTIVES[name].unit, OBJECTIVES[name].direction, OBJECTIVES[name].known) for name in OBJECTIVES}
    for name, unit in (
        ("macs", "MACs"),
        ("params", "parameters"),
        ("file_bytes", "bytes"),
        ("packed_bytes", "bytes"),
        ("peak_memory_bytes", "bytes"),
        ("bops", "bit operations"),
    ):
        assert found[name] == (unit, "minimize", True)
    assert found["accuracy"] == ("fraction", "maximize", False)
    assert all(OBJECTIVES[name].name == name for name in OBJECTIVES)
    assert "accuracy" not in known_costs(mixed_graph())
    assert known_costs(mixed_graph()).keys() == {name for name in found if OBJECTIVES[name].source == "exact"}
    latency = OBJECTIVES["latency_ms"]
    assert (latency.unit, latency.direction, latency.source, latency.device) == ("ms", "minimize", "measured", "cpu")
    assert latency.known and OBJECTIVES["latency_ms@cpu"] == latency


def test_an_objective_on_a_device() -> None:
    graph = reference("resnet20", bits=8).build_graph()
    estimated = OBJECTIVES["latency_ms@edgetpu"]
    assert (estimated.name, estimated.source, estimated.device) == ("latency_ms@edgetpu", "estimated", "edgetpu")
    assert "estimated" in estimated.label
    profile = load_profile("edgetpu")
    assert costs_of(graph, [estimated])["latency_ms@edgetpu"] == estimate_latency(graph, profile).latency_ms
    with pytest.raises(Unsupported, match="edgetpu runs int8 alone"):
        costs_of(reference("resnet20").build_graph(), [estimated])
    over_ssh = OBJECTIVES["latency_ms@ssh:pi@drone"]
    assert (over_ssh.source, over_ssh.device, over_ssh.compute) == ("measured", "ssh:pi@drone", None)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("latency_ms@rpi5", "unknown device 'rpi5'; did you mean 'rpi4'"),
        ("latency_ms@boards/none.toml", "boards/none.toml"),
        ("latency_ms@ssh:-oProxyCommand=x", "write ssh:user@host"),
        ("macs@rpi4", "macs does not depend on a device"),
        ("latency@cpu", "did you mean 'latency_ms'"),
    ],
)
def test_an_objective_on_no_device(name: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        OBJECTIVES[name]


def test_no_name_is_taken_twice() -> None:
    before = OBJECTIVES["macs"]
    with pytest.raises(RuntimeError, match="objective 'macs' is registered twice"):
        cost("macs", label="", unit="")(lambda graph: 0)
    assert OBJECTIVES["macs"] is before


def test_objectives_named() -> None:
    assert [objective.name for objective in objectives_named(["macs", "accuracy"])] == ["macs", "accuracy"]
    with pytest.raises(UserError, match="objective 'macs' is given twice"):
        objectives_named(("macs", "accuracy", "macs"))
    with pytest.raises(UserError, match="objective 'latency_ms' is given twice"):
        objectives_named(("latency_ms", "latency_ms@cpu"))
    with pytest.raises(UserError, match="unknown objective 'acuracy'; did you mean 'accuracy'"):
        objectives_named(["acuracy"])


def test_losses_are_minimised_and_equal_ratios_count_alike() -> None:
    macs, accuracy = OBJECTIVES["macs"], OBJECTIVES["accuracy"]
    assert (macs.maximize, accuracy.maximize) == (False, True)
    assert macs.loss(2e6) - macs.loss(1e6) == pytest.approx(macs.loss(20) - macs.loss(10))
    assert macs.loss(1000.0) == pytest.approx(3.0)
    assert accuracy.loss(0.9) == -0.9
    assert math.isnan(macs.loss(math.nan))
    assert math.isfinite(macs.loss(0.0))
    free = Objective(name="x", label="X", unit="-", direction="minimize", source="trained")
    assert not free.known


@pytest.mark.parametrize("package", ["search_space", "objectives"])
def test_costs_need_no_torch(package: str) -> None:
    """The command line asks for costs, fronts and spaces before it knows whether it needs torch, a second's import."""
    code = f"""
import sys
import {package}
import search_space
graph = search_space.reference("mobilenetv2", bits=8).build_graph()
assert search_space.SearchSpace().size > 0
if {package!r} == "objectives":
    import numpy as np
    loss = np.array([[0.1, 0.2], [0.2, 0.1]])
    assert objectives.pareto_mask(loss).all() and objectives.hypervolume(loss, (1, 1), (0, 0)) > 0
    assert objectives.known_costs(graph)["macs"] > 0
loaded = [name for name in sys.modules if name.partition(".")[0] in ("torch", "runners", "studies")]
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
