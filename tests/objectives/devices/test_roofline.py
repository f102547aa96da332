"""The roofline: operators by hand, and properties that hold for every device."""

import itertools
from dataclasses import replace

import pytest

from objectives.devices import DeviceError, DeviceProfile, Figure, Limits, Peaks, load_profile, profile_names
from objectives.devices.operators import KINDS, OPERATORS, kernel_kind, operator_name
from objectives.devices.roofline import estimate_latency, unsupported_reason
from search_space.graph import Conv, Graph, GraphBuilder
from search_space.references import reference
from search_space.spec import ArchSpec, StageSpec


def graph_of(name: str, bits: int = 32, resolution: int | None = None) -> Graph:
    return reference(name, bits=bits, resolution=resolution).build_graph()


def one_conv(width: int = 64, bits: int = 32, kernel: int = 3, size: int = 16) -> Graph:
    """A convolution from `width` to `width` channels alone."""
    g = GraphBuilder(width, size, bits)
    g.conv(g.input, width, kernel=kernel)
    return g.build()


def network(width: int = 16, blocks: int = 1, resolution: int = 32, block: str = "basic", bits: int = 8) -> Graph:
    stages = tuple(
        StageSpec(block=block, num_blocks=blocks, width=width * scale, stride=min(scale, 2), bits=bits)
        for scale in (1, 2, 4)
    )
    return ArchSpec(stem="3x3", stem_width=16, stages=stages, resolution=resolution).build_graph()


def bits_of(profile: DeviceProfile) -> list[int]:
    return ([32] if profile.float_precision else []) + ([8] if profile.peak.int8 is not None else [])


# --- the roofline, by hand ------------------------------------------------------------------------


def test_a_compute_bound_operator_by_hand() -> None:
    """16 x 16 positions x 9 x 64 x 64 MACs at 6e9 x 2 a second; 64 KB of tensors and 590 KB of weights fit in 1 MB."""
    (operator,) = estimate_latency(one_conv(), load_profile("rpi4")).operators
    assert operator.bound == "compute"
    assert operator.latency_ms == pytest.approx(16 * 16 * 9 * 64 * 64 / (6e9 * 2.0) * 1e3 + 0.020)


def test_a_memory_bound_operator_by_hand() -> None:
    """2048 x 1000 float weights, of which 1 MiB stays in the cache."""
    g = GraphBuilder(2048, 1)
    g.linear(g.input, 1000)
    (operator,) = estimate_latency(g.build(), load_profile("rpi4")).operators
    assert operator.bound == "memory"
    assert operator.latency_ms == pytest.approx((4 * 2048 * 1000 - 2**20) / 5.5e9 * 1e3 + 0.020)


def test_an_overhead_bound_operator() -> None:
    (operator,) = estimate_latency(one_conv(width=8, size=2), load_profile("rpi4")).operators
    assert operator.bound == "overhead"
    assert 0.020 < operator.latency_ms < 0.021


def test_activations_beyond_the_cache_are_moved() -> None:
    """Two tensors of 112 x 112 x 32 floats (3.2 MB), twice each, at 5.5 GB/s, are slower than a depthwise layer."""
    profile = load_profile("rpi4")
    g = GraphBuilder(32, 112)
    g.add(g.input, g.input)
    (operator,) = estimate_latency(g.build(), profile).operators
    assert operator.bound == "memory"
    assert operator.latency_ms == pytest.approx(2 * 3 * 4 * 32 * 112 * 112 / 5.5e9 * 1e3 + 0.020)


def test_latency_is_the_sum_of_the_operators_and_the_overhead() -> None:
    for name in profile_names():
        profile = load_profile(name)
        found = estimate_latency(graph_of("resnet8", bits_of(profile)[-1]), profile)
        assert found.latency_ms == pytest.approx(sum(op.latency_ms for op in found.operators) + found.overhead_ms)
        assert found.overhead_ms == profile.overhead.inference_us.value / 1e3
        assert {op.kind for op in found.operators} <= set(KINDS)
        assert (found.device, found.threads) == (name, 1)


def test_a_sum_behind_a_convolution_is_fused_where_the_runtime_does_that() -> None:
    graph = graph_of("resnet20")
    fused = estimate_latency(graph, load_profile("jetson_xavier")).operators
    apart = estimate_latency(graph, load_profile("rpi4")).operators
    assert sum(op.name.endswith("+add") for op in fused) == 9
    assert len(apart) == len(fused) + 9 == len(graph.nodes) - 1
    assert not any(op.name.endswith("+add") for op in apart)


def test_a_convolution_that_is_read_twice_is_not_fused() -> None:
    g = GraphBuilder(8, 8)
    x = g.conv(g.input, 8, kernel=3, act=None)
    g.add(g.add(g.input, x), x)
    operators = estimate_latency(g.build(), load_profile("jetson_xavier")).operators
    assert [op.kind for op in operators] == ["conv3x3", "elementwise", "elementwise"]


def latency_of(g: GraphBuilder, profile: DeviceProfile) -> float:
    """Of a graph of one operator."""
    (operator,) = estimate_latency(g.build(), profile).operators
    return operator.latency_ms


def without_overhead(name: str, on_chip_bytes: float | None = None) -> DeviceProfile:
    """The profile where operators cost nothing beyond their work, with a cache of another size."""
    profile = load_profile(name)
    memory = profile.memory
    if on_chip_bytes is not None:
        memory = replace(memory, on_chip_bytes=Figure(value=on_chip_bytes, source="-"))
    overhead = replace(profile.overhead, layer_us=Figure(value=0, source="-"))
    return replace(profile, overhead=overhead, memory=memory)


def test_winograds_kernels_are_larger_than_the_weights() -> None:
    """512 x 512 kernels of 36 floats instead of 9: at 4 x 4 positions, reading them takes the time."""
    expected = (4 * 36 * 512 * 512 - 2**20) / 5.5e9 * 1e3 + 0.020
    (operator,) = estimate_latency(one_conv(512, size=4), load_profile("rpi4")).operators
    assert (operator.kind, operator.bound) == ("conv3x3", "memory")
    assert operator.latency_ms == pytest.approx(expected)


def test_pools_work_on_what_they_read() -> None:
    profile = without_overhead("rpi4", on_chip_bytes=1e9)
    elements_per_ms = 6e9 * 0.25 * 1e-3
    g = GraphBuilder(64, 56)
    g.global_pool(g.input)
    assert latency_of(g, profile) == pytest.approx(64 * 56 * 56 / elements_per_ms)
    g = GraphBuilder(64, 56)
    g.max_pool(g.input)
    assert latency_of(g, profile) == pytest.approx(64 * 28 * 28 * 9 / elements_per_ms)


def test_a_fused_sum_reads_the_other_summand() -> None:
    """A pointwise layer and its sum move three tensors of 64 x 112 x 112 halves, once each, at 17.9 GB/s."""
    profile = load_profile("jetson_nano_gpu")
    g = GraphBuilder(64, 112)
    g.add(g.conv(g.input, 64, kernel=1, act=None), g.input)
    expected = 3 * 2 * 64 * 112 * 112 / 17.9e9 * 1e3 + profile.overhead.layer_us.value / 1e3
    assert profile.peak.fp16 is not None
    fast = replace(profile, peak=Peaks(fp16=replace(profile.peak.fp16, macs_per_second=1e15)))
    assert latency_of(g, fast) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("kernel", "stride", "groups", "kind", "name"),
    [
        (3, 1, 1, "conv3x3", "conv"),
        (3, 2, 1, "conv", "conv"),
        (5, 1, 1, "conv", "conv"),
        (1, 1, 1, "pointwise", "conv"),
        (1, 2, 1, "pointwise", "conv"),
        (3, 1, 8, "depthwise", "depthwise_conv"),
        (3, 1, 4, "conv", "grouped_conv"),
    ],
)
def test_kinds_of_convolution(kernel: int, stride: int, groups: int, kind: str, name: str) -> None:
    op = Conv(8, 8, kernel, stride, groups, norm=True)
    assert (kernel_kind(op), operator_name(op)) == (kind, name)


def test_every_operator_has_a_name_and_a_kind() -> None:
    names = {"mobilenetv2", "mobilenetv3_small", "shufflenetv2", "efficientnet_b0", "ghostnet", "resnet50"}
    profile = load_profile("rpi4")
    kinds = {op.kind for name in names for op in estimate_latency(graph_of(name), profile).operators}
    assert kinds == set(KINDS)
    for name in names:
        everything = replace(profile, unsupported=dict.fromkeys(OPERATORS, "all of them"))
        assert unsupported_reason(graph_of(name), everything) is not None


# --- properties -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", profile_names())
def test_more_work_is_never_faster(name: str) -> None:
    """Wider, deeper, larger; from 20 channels, as at the stem's 16 the first block has no projection."""
    profile = load_profile(name)
    profile = replace(profile, limits=Limits())

    def rises(graphs: list[Graph]) -> None:
        figures = [estimate_latency(graph, profile).latency_ms for graph in graphs]
        assert all(a <= b for a, b in itertools.pairwise(figures))
        assert figures[0] < figures[-1]

    for bits in bits_of(profile):
        for block in ("basic", "bottleneck", "depthwise", "ghost"):
            rises([network(width=width, block=block, bits=bits) for width in range(20, 84, 4)])
        rises([network(blocks=blocks, bits=bits) for blocks in range(1, 6)])
        rises([network(resolution=size, bits=bits) for size in range(16, 64, 8)])


def test_narrow_layers_waste_the_vector_width() -> None:
    """20 channels cost as much as 24 in int8 on NEON (multiples of 8), and less in float (multiples of 4)."""
    profile = without_overhead("rpi4")

    def latency(width: int, bits: int) -> float:
        return estimate_latency(one_conv(width, bits), profile).latency_ms

    assert latency(20, 8) == latency(24, 8) < latency(25, 8)
    assert latency(20, 32) < latency(24, 32)


def test_the_image_is_not_padded() -> None:
    g = GraphBuilder(3, 32, 8)
    g.conv(g.input, 16, kernel=3)
    profile = load_profile("edgetpu")
    assert profile.peak.int8.channel_multiple == 16
    (operator,) = estimate_latency(g.build(), profile).operators
    assert operator.latency_ms == pytest.approx(32 * 32 * 27 * 16 / (2e12 * 0.65) * 1e3)


@pytest.mark.parametrize("name", ["jetson_xavier", "cortex_m7"])
def test_int8_is_never_slower_where_every_kernel_is_faster(name: str) -> None:
    profile = replace(load_profile(name), limits=Limits())
    precision = profile.float_precision
    assert precision is not None

    def rate(kind: str, is_float: bool) -> float:
        peak = getattr(profile.peak, precision if is_float else "int8")
        kernels = profile.runtime.float if is_float else profile.runtime.int8
        efficiency: float = peak.macs_per_second * getattr(kernels, kind).efficiency
        return efficiency

    assert all(rate(kind, is_float=False) >= 0.99 * rate(kind, is_float=True) for kind in KINDS)
    for network_name in ("resnet8", "resnet20", "resnet50", "mobilenetv2", "ghostnet"):
        in_float, in_int8 = (estimate_latency(graph_of(network_name, b), profile).latency_ms for b in (32, 8))
        assert in_int8 <= in_float * 1.01


def test_below_8_bits_nothing_is_faster() -> None:
    for name in ("rpi4", "edgetpu", "cortex_m7"):
        latencies = {estimate_latency(graph_of("resnet20", bits), load_profile(name)).latency_ms for bits in (2, 4, 8)}
        assert len(latencies) == 1


def test_mixed_bits_lie_between_float_and_int8() -> None:
    """Where int8 is faster, as on the Cortex-M7, a network of both takes a time between."""
    profile = load_profile("cortex_m7")
    spec = reference("resnet8")
    assert isinstance(spec, ArchSpec)
    latencies = [
        estimate_latency(spec.with_bits(*b).build_graph(), profile).latency_ms for b in ((8,), (32, 8, 8), (32,))
    ]
    assert latencies[0] < latencies[1] < latencies[2]


@pytest.mark.parametrize("name", ["rpi4", "snapdragon855", "jetson_nano_cpu"])
def test_four_threads_are_faster(name: str) -> None:
    profile, graph = load_profile(name), graph_of("resnet18")
    one, four = (estimate_latency(graph, profile, threads=threads).latency_ms for threads in (1, 4))
    assert one / profile.threads["4"].value < four < one
    assert estimate_latency(graph, profile).latency_ms == one


@pytest.mark.parametrize(
    ("name", "threads", "known"), [("rpi4", 3, "1, 4"), ("jetson_xavier", 4, "1"), ("rpi4", 0, "1, 4")]
)
def test_unknown_thread_counts(name: str, threads: int, known: str) -> None:
    with pytest.raises(DeviceError, match=f"threads: profile '{name}' knows {known}, not {threads}"):
        estimate_latency(graph_of("resnet8", 8), load_profile(name), threads=threads)


def test_weights_beyond_the_edge_tpus_memory_are_streamed() -> None:
    """ResNet-50 has 25.5 M weights and 6.5 MiB of room: 18.6 MB at 0.46 GB/s is most of its published 49 ms."""
    graph, profile = graph_of("resnet50", 8, 299), load_profile("edgetpu")
    roomy = replace(profile, memory=replace(profile.memory, on_chip_bytes=Figure(value=64 * 2**20, source="-")))
    tight, free = (estimate_latency(graph, each).latency_ms for each in (profile, roomy))
    weights = sum(node.op.num_weights for node in graph.nodes if isinstance(node.op, Conv)) + 2048 * 1000
    streaming_ms = (weights - 6.5 * 2**20) / 0.46e9 * 1e3
    assert 0.9 * streaming_ms < tight - free <= streaming_ms
    small = graph_of("mobilenetv2", 8)
    assert estimate_latency(small, profile).latency_ms == estimate_latency(small, roomy).latency_ms
