"""Kernels against what onnxruntime's profiler shows, and calibration on a made-up device whose times are known."""

import json
import math
import pickle
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest

from objectives.latency import timing
from objectives.latency.device import Fingerprint, KernelTime, Timing
from objectives.latency.measurement import runs_in_int8, timed_model
from objectives.latency.prediction import calibrate as calibrate_module
from objectives.latency.prediction.attribution import kernel_times, mean_kernel_times
from objectives.latency.prediction.calibrate import MIN_NETS, calibrate, prediction_error
from objectives.latency.prediction.calibration import Calibration, CalibrationError, read_calibration
from objectives.latency.prediction.kernels import BLOCK, CLIP, KernelKey, kernels_of
from objectives.latency.prediction.predictor import Predictor, Sample
from search_space import ArchSpec, SearchSpace, StageSpec, UserError, reference
from search_space.backends.network_values import quantized_tensors
from search_space.graph import FLOAT_BITS, Conv, Graph, GraphBuilder, Input, Node
from search_space.space import BLOCK_CHOICES, RandomTrial

SPACE = SearchSpace(
    depth=(18, 50), base_width=(8, 32), width_multipliers=(0.5, 1.0, 1.5), resolution=(24, 32), bits=(32, 8, 4)
)
MIXED = replace(SPACE, bits_scope="stage", block_scope="stage", bits=(32, 8, 6, 4), resolution=(16,))


def specs_of(space: SearchSpace, count: int, seed: int = 0) -> list[ArchSpec]:
    generator = random.Random(seed)
    return [space.sample(RandomTrial(generator)) for _ in range(count)]


def graph_of(block: str, bits: int, width: int = 24) -> Graph:
    space = SearchSpace(
        depth=(18, 20), base_width=(width, width), blocks=(block,), resolution=(16,), bits=(bits,), num_classes=7
    )
    return specs_of(space, 1)[0].build_graph()


# --- which kernels --------------------------------------------------------------------------------


@pytest.mark.parametrize("block", BLOCK_CHOICES)
@pytest.mark.parametrize("bits", [32, 8, 4])
def test_every_node_is_a_kernel_and_clips_below_8_bits(block: str, bits: int) -> None:
    graph = graph_of(block, bits)
    kernels = kernels_of(graph)
    assert [k.node for k in kernels if k.key.kind != CLIP] == list(range(len(graph.nodes)))
    computed = {name for name, tensor in quantized_tensors(graph).items() if tensor.bits < 8}
    clipped = [i for i, node in enumerate(graph.nodes) if node.name in computed]
    assert [k.node for k in kernels if k.key.kind == CLIP] == clipped
    assert {k.key.kind.startswith("int8 ") for k in kernels} == {bits != 32}
    for kernel in kernels:
        node = graph.nodes[kernel.node]
        assert (kernel.key.out_channels, kernel.key.out_size) == (node.shape.channels, node.shape.height)
        if isinstance(node.op, Conv) and kernel.key.kind != CLIP:
            assert kernel.key.in_channels == node.op.in_channels
            assert -(-kernel.key.in_size // node.op.stride) == kernel.key.out_size
            kind = f"{'depthwise' if node.op.groups > 1 else 'conv'}{node.op.kernel}"
            assert kernel.key.kind.removeprefix("int8 ").startswith(kind)


def test_clip_kernels_are_the_clips_of_the_timed_file() -> None:
    graphs = [spec.build_graph() for spec in specs_of(MIXED, 20)]
    graphs += [reference("shufflenetv2", resolution=32, bits=4).build_graph()]  # also moves values, which never clips
    for graph in graphs:
        file = onnx.load_from_string(timed_model(graph)).graph
        clips = {f"{graph.nodes[k.node].name}_clip" for k in kernels_of(graph) if k.key.kind == CLIP}
        assert clips == {node.name for node in file.node if node.op_type == "Clip"}


@pytest.mark.parametrize(
    ("block", "width", "nodes"),
    [
        # A depthwise convolution runs in blocks whatever its channels; a dense one of few channels does not read them.
        ("depthwise", 32, {"conv1": "depthwise3", "conv2": "conv1"}),
        ("depthwise", 24, {"conv1": "depthwise3", "conv2": "conv1"}),
        ("depthwise", 8, {"conv1": "depthwise3", "conv2": "conv1_direct_reordered"}),
        # Two halves of 16 channels are joined as blocks, two of 12 are not.
        ("ghost", 32, {"conv2": "depthwise3", "concat1": "concat", "conv3": "conv3"}),
        ("ghost", 24, {"conv2": "depthwise3", "concat1": "concat_2reordered", "conv3": "conv3_reordered"}),
        # A sum with a convolution that has no activation is computed with it, and a gate needs plain tensors.
        ("basic", 24, {"conv1": "conv3", "add1": "add_fused"}),
        ("se", 24, {"conv1": "conv3_reordered", "multiply1": "multiply_2reordered", "add1": "add"}),
        # The mean needs whole blocks, too.
        ("se", 24, {"pool1": "globalpool_1reordered", "se_reduce": "conv1_1px_reordered"}),
        ("se", 32, {"pool1": "globalpool", "se_reduce": "conv1_1px"}),
    ],
)
def test_layout_of_float_kernels(block: str, width: int, nodes: dict[str, str]) -> None:
    graph = graph_of(block, 32, width)
    kinds = {graph.nodes[k.node].name: k.key.kind for k in kernels_of(graph)}
    assert {name: kinds[f"stage1_block2_{name}"] for name in nodes} == nodes


def test_operators_of_equal_shapes_are_different_kernels() -> None:
    """Operators without fields are equal as tuples, and kernels are kept by operator and shapes."""
    g = GraphBuilder(8, 4, bits=8)
    mean = g.global_pool(g.input)
    again = g.global_pool(mean)
    g.multiply(g.add(mean, again), again)
    kinds = [kernel.key.kind for kernel in kernels_of(g.build())]
    assert kinds == ["int8 input", "int8 globalpool", "int8 globalpool", "int8 add", "int8 multiply"]


def cpu_flags() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text() if path.exists() else ""


@pytest.mark.skipif("avx512f" not in cpu_flags(), reason=f"blocks of {BLOCK} channels need AVX-512")
@pytest.mark.parametrize("block", BLOCK_CHOICES)
@pytest.mark.parametrize("stem", ["3x3", "7x7"])
def test_layout_is_the_one_that_the_runtime_chooses(block: str, stem: str) -> None:
    """Which kernels write blocks, and how many reorderings there are; one that two kernels share counts twice."""
    space = replace(SPACE, blocks=(block,), depth=(18, 22), resolution=(16,), stem=stem, bits=(32,))
    for spec in [specs_of(replace(space, base_width=(width, width)), 1, seed=width)[0] for width in (8, 16, 24, 32)]:
        graph = spec.build_graph()
        profile = timing.profile_model(timed_model(graph), 1, runs=5)
        kinds = {graph.nodes[k.node].name: k.key.kind for k in kernels_of(graph)}
        nodes = {node.name: node for node in graph.nodes}
        in_blocks: dict[str, bool] = {}
        for name, operator, _ in profile:
            owner = owner_of(name, graph)
            in_blocks[owner] = name.endswith("_nchwc")
            if operator == "Conv":
                assert name.endswith("_nchwc") == ("_plain" not in kinds[owner]), (name, spec)
            elif operator.endswith("Pool") and in_blocks.get(graph.nodes[nodes[owner].inputs[0]].name):
                assert name.endswith("_nchwc") == ("reordered" not in kinds[owner]), (name, spec)
        reorderings = sum(operator.startswith("Reorder") for _, operator, _ in profile)
        counted = sum(map(reorderings_of, kinds.values()))
        shared = 2 * sum(stage.num_blocks + 1 for stage in spec.stages)
        assert reorderings <= counted <= reorderings + shared, spec


def reorderings_of(kind: str) -> int:
    count = kind.removesuffix("reordered")[-1]
    return 0 if not kind.endswith("reordered") else int(count) if count.isdecimal() else 1


def owner_of(name: str, graph: Graph) -> str:
    """The node with the longest name that begins the kernel's name; '' where there is none."""
    return max((n.name for n in graph.nodes if f"{name}_".startswith(f"{n.name}_")), key=len, default="")


# --- whose time -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("block", "bits"), [("se", 32), ("ghost", 32), ("depthwise", 8), ("se_ghost", 4), ("basic", 4)]
)
def test_the_time_of_a_real_profile_goes_to_the_nodes_that_it_names(block: str, bits: int) -> None:
    graph = graph_of(block, bits)
    profile = [KernelTime(*kernel) for kernel in timing.profile_model(timed_model(graph), 1, runs=5)]
    kernels = kernels_of(graph)
    times = kernel_times(graph, profile)
    assert len(times) == len(kernels)
    assert sum(times) == pytest.approx(sum(kernel.us for kernel in profile))
    names = [graph.nodes[k.node].name + ("_clip" if k.key.kind == CLIP else "") for k in kernels]
    owners = [
        max((n for n in names if f"{k.name}_".replace("/", "_").startswith(f"{n}_")), key=len, default="")
        for k in profile
    ]
    for position, owner in enumerate(owners):
        alone = [kernel._replace(us=float(row == position)) for row, kernel in enumerate(profile)]
        expected = owner or next(filter(None, owners[position:]))  # what was inserted counts for what follows
        assert [names[row] for row, us in enumerate(kernel_times(graph, alone)) if us] == [expected]
    unnamed = set(names) - set(owners)
    for name in unnamed:  # part of another kernel
        assert bits == 32 and (name == "input" or "_add" in name)


def test_what_the_runtime_appends_to_a_name() -> None:
    graph = ArchSpec.from_dict(reference("resnet8").to_dict()).with_bits(4).build_graph()
    times = dict.fromkeys(((k.node, k.key.kind == CLIP) for k in kernels_of(graph)), 0.0)
    index = {node.name: i for i, node in enumerate(graph.nodes)}
    block = "stage1_block1"
    profile = [
        ("Transpose_token_1", 1.0),
        ("input_quantize", 2.0),
        ("stem_conv1_relu_output_nchwc", 4.0),
        ("Transpose", 8.0),
        ("Transpose_token_12/duplicated", 16.0),
        (f"{block}_conv2_quantize_token_3", 32.0),
        (f"{block}_conv1_clip", 64.0),
        (f"{block}_conv1_clip/duplicated", 128.0),
        (f"{block}_conv1_dequantize/duplicated_token_7", 256.0),
        ("head_linear1_flatten", 512.0),
        ("ReorderOutput_token_3", 1024.0),
        ("head", 2048.0),
    ]
    times[index["input"], False] = 3.0
    times[index["stem_conv1"], False] = 4.0
    times[index[f"{block}_conv2"], False] = 56.0
    times[index[f"{block}_conv1"], True] = 192.0
    times[index[f"{block}_conv1"], False] = 256.0
    times[index["head_linear1"], False] = 512.0 + 1024.0 + 2048.0  # nothing follows
    assert kernel_times(graph, [KernelTime(name, "Any", us) for name, us in profile]) == list(times.values())
    assert kernel_times(graph, []) == [0.0] * len(times)


def test_the_mean_is_over_all_occurrences_of_a_kernel() -> None:
    graphs = [graph_of("basic", bits) for bits in (4, 4, 8)]
    rng = np.random.default_rng(0)
    timings, found = [], []
    for graph in graphs:
        rows = [(k, float(rng.integers(1, 50))) for k in kernels_of(graph)]
        names = [graph.nodes[k.node].name + ("_clip" if k.key.kind == CLIP else "") for k, _ in rows]
        profile = tuple(KernelTime(name, "Any", us) for name, (_, us) in zip(names, rows, strict=True))
        timings.append(Timing(latency_ms=1.0, p90_ms=1.0, spread=0.0, runs=1, rounds=3, kernels=profile))
        found += [(k.key, us) for k, us in rows]
    means = mean_kernel_times(graphs, timings)
    assert means.keys() == {key for key, _ in found}
    for key, mean in means.items():
        assert mean == pytest.approx(np.mean([us for other, us in found if other == key]), abs=5e-4)
    assert len(means) < len(found) / 3


# --- a device whose times are known ---------------------------------------------------------------

OUTLIER = 32
"""Position of the network whose first time is doubled."""
FINGERPRINT: Fingerprint = MappingProxyType(
    {
        "host": "bench",
        "system": "Linux",
        "machine": "x86_64",
        "processor": "Z80",
        "cores": 2,
        "runtime": "onnxruntime 1.32.0",
        "python": "3.11.7",
    }
)


def node_us(node: Node, graph: Graph) -> float:
    """Operators at different speeds, three times as fast in int8, each with some time to begin with."""
    op = node.op
    if isinstance(op, Input):
        return 0.0 if node.bits == FLOAT_BITS else 1.0
    source = graph.nodes[node.inputs[0]]
    faster = 3.0 if node.bits != FLOAT_BITS and source.bits != FLOAT_BITS else 1.0
    macs_per_us = 4e4 if not isinstance(op, Conv) else 4e3 if op.groups > 1 else 3e4 if op.kernel == 1 else 5e4
    return 0.5 + (node.macs / macs_per_us + source.shape.numel / 2e4 + node.shape.numel / 8e3) / faster


def clip_us(node: Node) -> float:
    return 0.2 + node.shape.numel / 3e4


def true_ms(graph: Graph) -> float:
    clips = sum(clip_us(node) for node in graph.nodes if node.bits < 8)
    return 1e-3 * (25 + clips + sum(node_us(node, graph) for node in graph.nodes))


class KnownDevice:
    """A `Device`: true times with 1 % of noise. Its profiler adds a microsecond and counts whole ones, over 12 runs."""

    name, threads, fingerprint = "bench", 1, FINGERPRINT

    def __init__(self, outlier: int = -1) -> None:
        self.timed: list[Graph] = []
        self._outlier = outlier
        self._random = random.Random(0)

    def time(self, models: Sequence[bytes], *, size: int | None = None, kernels: bool = False) -> list[Timing]:
        return [self._time(pickle.loads(model), kernels) for model in models]

    def _time(self, graph: Graph, kernels: bool) -> Timing:
        ms = true_ms(graph) * self._random.gauss(1, 0.01) * (2 if len(self.timed) == self._outlier else 1)
        self.timed.append(graph)
        profile = tuple(self._profile(graph)) if kernels else ()
        return Timing(latency_ms=ms, p90_ms=ms, spread=0.01, runs=10, rounds=3, kernels=profile)

    def _profile(self, graph: Graph) -> Iterator[KernelTime]:
        for node in graph.nodes:
            if us := node_us(node, graph):
                yield KernelTime(f"{node.name}_nchwc", "Any", self._counted(us))
            if node.bits < 8:
                yield KernelTime(f"{node.name}_clip", "Clip", self._counted(clip_us(node)))

    def _counted(self, us: float) -> float:
        return sum(int(1 + us * self._random.uniform(0.9, 1.1)) for _ in range(12)) / 12


@pytest.fixture(scope="module", autouse=True)
def models_are_pickled_graphs() -> Iterator[None]:
    """So that the known device sees which network it is to time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibrate_module, "timed_model", pickle.dumps)
        yield


@pytest.fixture(scope="module")
def device() -> KnownDevice:
    return KnownDevice(OUTLIER)


@pytest.fixture(scope="module")
def calibration(device: KnownDevice) -> Calibration:
    """Made on the device with one of its 120 times doubled."""
    return calibrate(SPACE, device, nets=60)


def test_networks_of_the_space_are_timed_in_both_precisions(calibration: Calibration, device: KnownDevice) -> None:
    graphs = [ArchSpec.from_dict(net.spec).build_graph() for net in calibration.nets]
    assert graphs == device.timed[:120]
    assert [runs_in_int8(graph) for graph in graphs] == [False, True] * 60
    for net in calibration.nets:
        SPACE.params_of(ArchSpec.from_dict(net.spec))
    assert {min(node.bits for node in graph.nodes) for graph in graphs} == set(SPACE.bits)
    assert (calibration.device, calibration.threads, calibration.fingerprint) == ("bench", 1, dict(FINGERPRINT))
    assert len({net.spec["stages"][0]["block"] for net in calibration.nets}) == 4


def test_a_time_that_does_not_fit_is_taken_again_and_the_faster_counts(
    calibration: Calibration, device: KnownDevice
) -> None:
    assert device.timed[120:] == [device.timed[OUTLIER]]
    for graph, net in zip(device.timed, calibration.nets, strict=False):
        assert net.latency_ms == pytest.approx(true_ms(graph), rel=0.05)


def test_a_second_time_that_is_slower_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    device = KnownDevice()
    monkeypatch.setattr(calibrate_module, "REPEATED_ERROR", 0.0)
    monkeypatch.setattr(device, "_random", _Drifting())
    found = calibrate(replace(SPACE, blocks=("basic",)), device, nets=20)
    assert len(device.timed) == 80
    for graph, net in zip(device.timed, found.nets, strict=False):
        assert net.latency_ms == pytest.approx(true_ms(graph))


class _Drifting(random.Random):
    """Noise of a machine that is twice as slow from the 41st time on."""

    calls = 0

    def gauss(self, mu: float = 0.0, sigma: float = 1.0) -> float:
        self.calls += 1
        return 1.0 if self.calls <= 40 else 2.0


def test_the_reported_error_is_small_and_that_of_networks_not_seen(calibration: Calibration) -> None:
    for precision, reported in calibration.errors.items():
        bits = (32,) if precision == "float32" else (8, 4)
        graphs = [spec.build_graph() for spec in specs_of(replace(SPACE, bits=bits), 150, seed=1)]
        predicted = [calibration.predict_ms(graph) for graph in graphs]
        found = prediction_error(predicted, [true_ms(graph) for graph in graphs])
        assert found.within_10_percent >= 0.9
        for error in (reported, found):
            assert error.mean < 0.05
            assert error.rank_correlation > 0.99
        # A fit that had seen the networks would be several times better than on fresh ones.
        assert 0.5 * found.mean < reported.mean < 3 * found.mean
        assert reported.nets == 60
        assert all(calibration.error_of(graph) is reported for graph in graphs)


def test_held_out_networks_and_their_kernels_are_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    folds: list[int] = []

    class Watched(Predictor):
        def __init__(self, samples: Sequence[Sample], profile: Mapping[KernelKey, float]) -> None:
            super().__init__(samples, profile)
            self.seen = [sample.graph for sample in samples]
            if len(samples) < 20:
                folds.append(len(samples))
                assert profile.keys() == {kernel.key for graph in self.seen for kernel in kernels_of(graph)}

        def predict_ms(self, graph: Graph) -> float:
            assert len(self.seen) == 20 or graph not in self.seen
            return super().predict_ms(graph)

    monkeypatch.setattr(calibrate_module, "Predictor", Watched)
    calibrate(SPACE, KnownDevice(), nets=20)
    assert folds == [16] * 10


def test_networks_of_mixed_bits_are_timed_as_they_are() -> None:
    found = calibrate(MIXED, KnownDevice(), nets=20)
    bits = [ArchSpec.from_dict(net.spec).bits for net in found.nets]
    assert set(bits[::2]) == {(32, 32, 32)}
    assert not {(32, 32, 32)} & set(bits[1::2])
    assert sum(len(set(stages)) > 1 for stages in bits[1::2]) > 10


def test_kernels_that_were_never_timed_are_predicted(calibration: Calibration) -> None:
    """110 layers, where the calibration has at most 50, and widths between its own."""
    for bits in (32, 8, 4):
        stages = tuple(
            StageSpec(block="basic", num_blocks=18, width=width, stride=stride, bits=bits)
            for width, stride in ((20, 1), (36, 2), (76, 2))
        )
        spec = ArchSpec(stem="3x3", stem_width=20, stages=stages, resolution=28)
        assert spec.depth == 110
        graph = spec.build_graph()
        assert not {k.key for k in kernels_of(graph) if k.node > 0} & calibration.kernels.keys()
        assert calibration.predict_ms(graph) == pytest.approx(true_ms(graph), rel=0.15)


@pytest.mark.parametrize("name", ["resnet8", "resnet56", "resnet110", "se_resnet56", "ghost_resnet56"])
def test_named_networks_of_the_family_are_predicted(name: str, calibration: Calibration) -> None:
    """Shallower and deeper than any network that was timed."""
    for bits in (32, 8, 4):
        graph = reference(name, resolution=32, bits=bits).build_graph()
        assert calibration.predict_ms(graph) == pytest.approx(true_ms(graph), rel=0.1)


def test_prediction_error_by_hand() -> None:
    found = prediction_error([1.05, 2.0, 2.55, 5.0], [1.0, 2.0, 3.0, 4.0])
    assert (found.nets, found.within_10_percent) == (4, 0.5)
    assert found.rank_correlation == pytest.approx(1.0)
    assert found.mean == pytest.approx((0.05 + 0.0 + 0.15 + 0.25) / 4)
    assert found.largest == pytest.approx(0.25)
    assert prediction_error([1.0, 3.0, 2.0], [1.0, 2.0, 3.0]).rank_correlation == pytest.approx(0.5)


def test_no_network_is_begun_after_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that the device moves on by 4 s for each model: 40 s a batch of 5 networks."""
    device = KnownDevice()
    clock = SimpleNamespace(monotonic=lambda: 4.0 * len(device.timed))
    monkeypatch.setattr(calibrate_module, "time", clock)
    told: list[tuple[int, int]] = []
    found = calibrate(SPACE, device, nets=48, budget_s=170.0, progress=lambda *done: told.append(done))
    assert told == [(5, 48), (10, 48), (15, 48), (20, 48), (25, 48)]
    assert len(found.nets) == 50
    assert found.seconds == 4.0 * len(device.timed)

    device.timed.clear()
    with pytest.raises(UserError, match="only 15 networks in 100 s, 20 are needed; give it more time"):
        calibrate(SPACE, device, nets=48, budget_s=100.0)
    assert len(device.timed) == 30


# --- the file -------------------------------------------------------------------------------------


def strict(text: str) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_a_calibration_that_is_read_back_predicts_the_same(calibration: Calibration, tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text(calibration.to_json())
    strict(path.read_text())
    read = read_calibration(path)
    for name in ("device", "threads", "fingerprint", "created", "seconds", "errors", "nets", "kernels"):
        assert getattr(read, name) == getattr(calibration, name)
    assert strict(read.to_json()) == strict(calibration.to_json())
    for spec in specs_of(SPACE, 50, seed=2):
        graph = spec.build_graph()
        assert read.predict_ms(graph) == pytest.approx(calibration.predict_ms(graph), rel=1e-9)


def test_a_calibration_is_strict_json_or_nothing(calibration: Calibration) -> None:
    with pytest.raises(ValueError, match="JSON"):
        replace(calibration, seconds=math.nan).to_json()


KEYS = ("schema", "device", "threads", "fingerprint", "created", "seconds", "space", "errors", "nets", "kernels")
DAMAGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "damaged": lambda data: data["kernels"][0].pop(),
    "damaged: ": lambda data: data["nets"][3].pop("spec"),
    "unexpected keyword argument 'colour'": lambda data: data.update(colour="red"),
    "no calibration of schema 2": lambda data: data.update(schema=1),
}


def refusal(path: Path) -> str:
    """What is said of a file that cannot be used: one line that names it and what to do."""
    with pytest.raises(CalibrationError) as caught:
        read_calibration(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and len(message.splitlines()) == 1
    assert "; run resfront calibrate" in message
    assert caught.value.exit_code == 2
    return message


@pytest.mark.parametrize("key", KEYS)
def test_a_file_without_a_key_is_refused(key: str, calibration: Calibration, tmp_path: Path) -> None:
    data = json.loads(calibration.to_json())
    assert sorted(data) == sorted(KEYS)
    del data[key]
    (tmp_path / "short.json").write_text(json.dumps(data))
    assert ("schema" if key == "schema" else f"'{key}'") in refusal(tmp_path / "short.json")


@pytest.mark.parametrize("message", DAMAGES)
def test_a_damaged_file_is_refused(message: str, calibration: Calibration, tmp_path: Path) -> None:
    data = json.loads(calibration.to_json())
    DAMAGES[message](data)
    (tmp_path / "damaged.json").write_text(json.dumps(data))
    assert message in refusal(tmp_path / "damaged.json")


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe\x00", b"not json", b"[]", b"3", b"null"])
def test_what_is_no_calibration_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_bytes(content)
    refusal(tmp_path / "other.json")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "none.json")
    refusal(tmp_path)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("host", "field"),
        ("machine", "aarch64"),
        ("processor", "Z80, overclocked"),
        ("cores", 4),
        ("runtime", "onnxruntime 1.33.0"),
    ],
)
def test_another_device_is_refused(name: str, other: object, calibration: Calibration) -> None:
    calibration.check_device(device_like())
    calibration.check_device(device_like(python="3.12.0"))
    with pytest.raises(CalibrationError) as caught:
        calibration.check_device(device_like(**{name: other}))
    assert f"made with {name} '{FINGERPRINT[name]}', here it is '{other}'" in str(caught.value)
    with pytest.raises(CalibrationError, match=f"made with {name} '.*', here it is 'None'"):
        calibration.check_device(device_like(**{name: None}))


def test_another_number_of_threads_is_refused(calibration: Calibration) -> None:
    with pytest.raises(CalibrationError, match="made with threads '1', here it is '2'"):
        calibration.check_device(device_like(threads=2))


def device_like(*, threads: int = 1, **changed: object) -> KnownDevice:
    device = KnownDevice()
    device.fingerprint, device.threads = {**FINGERPRINT, **changed}, threads
    return device


def test_it_covers_its_space_and_nothing_beyond(calibration: Calibration) -> None:
    generator = random.Random(3)
    spec = SPACE.sample(RandomTrial(generator))
    assert all(calibration.covers(SPACE.sample(RandomTrial(generator)).with_bits(6)) for _ in range(200))
    assert calibration.covers(replace(spec, num_classes=100))
    assert not calibration.covers(reference("mobilenetv2", resolution=max(SPACE.resolution)))
    assert not calibration.covers(replace(spec, resolution=2 * max(SPACE.resolution)))
    wide = tuple(replace(stage, width=16 * stage.width) for stage in spec.stages)
    assert not calibration.covers(replace(spec, stages=wide))
    deep = tuple(replace(stage, num_blocks=60) for stage in spec.stages)
    assert not calibration.covers(replace(spec, stages=deep))
    assert not calibration.covers(replace(spec, stem="7x7"))


def test_no_network_is_timed_twice_and_a_small_space_ends() -> None:
    small = replace(SPACE, depth=(18, 32), blocks=("basic",), base_width=(8, 16), width_multipliers=(1.0,), bits=(8,))
    device = KnownDevice()
    found = calibrate(small, device, nets=500)
    floats = [json.dumps(net.spec) for net in found.nets[::2]]
    assert MIN_NETS <= len(floats) == len(set(floats)) == small.size
