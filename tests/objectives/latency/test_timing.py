"""How networks are timed: the script on its own, its rule for rounds under a scripted clock, and what it is given."""

import ast
import itertools
import json
import random
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from objectives.latency import timing
from objectives.latency.device import DeviceUnavailable, Fingerprint, Timing
from objectives.latency.host import HostDevice
from objectives.latency.measurement import measure_graphs, runs_in_int8, timed_model
from objectives.latency.open_device import open_device
from objectives.machine import usable_cores
from runners.quantization.simulation import QuantizedNetwork
from runners.training.batches import to_device
from runners.verification.torch_export import network_values
from search_space import ArchSpec, SearchSpace, UserError, build_network, reference
from search_space.backends.network_values import quantized_tensors, random_values
from search_space.backends.onnx_model import build_onnx
from search_space.graph import Graph
from search_space.space import RandomTrial

SPACE = SearchSpace(depth=(18, 24), base_width=(8, 24), resolution=(16,), bits=(32, 8, 4), bits_scope="stage")


def graph_of(*, resolution: int = 16, bits: int = 32, block: str = "basic") -> Graph:
    space = SearchSpace(depth=(18, 20), base_width=(8, 8), blocks=(block,), resolution=(resolution,), bits=(bits,))
    return space.sample(RandomTrial(random.Random(0))).build_graph()


# --- the script alone -----------------------------------------------------------------------------


def run_script(folder: Path, *options: str, python: Sequence[str] = ("-I",)) -> "subprocess.CompletedProcess[str]":
    """A copy of `timing.py` far from the project, by a python that does not look at the environment."""
    script = folder / "timing.py"
    script.write_bytes(Path(timing.__file__).read_bytes())
    command = [sys.executable, *python, str(script), *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)


def test_the_script_needs_only_the_standard_library_numpy_and_onnxruntime() -> None:
    """And is Python 3.8, as far as its syntax goes."""
    tree = ast.parse(Path(timing.__file__).read_text(), feature_version=(3, 8))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} - sys.stdlib_module_names == {"numpy", "onnxruntime"}


def test_the_script_prints_the_fingerprint_and_a_line_for_each_model(tmp_path: Path) -> None:
    graphs = [graph_of(resolution=8), graph_of(resolution=48)]
    for number, graph in enumerate(graphs):
        (tmp_path / f"{number}.onnx").write_bytes(timed_model(graph))
    done = run_script(tmp_path, "--threads", "1", "--profile", "0.onnx", "1.onnx")
    assert done.returncode == 0, done.stderr
    fingerprint, *lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert fingerprint == timing.fingerprint()
    timings = [Timing.from_json(line) for line in lines]
    for graph, found in zip(graphs, timings, strict=True):
        assert 0 < found.latency_ms <= found.p90_ms
        assert found.rounds >= timing.MIN_ROUNDS and found.runs >= timing.MIN_RUNS
        convolutions = [kernel for kernel in found.kernels if kernel.operator.endswith("Conv")]
        assert len(convolutions) == sum(type(node.op).__name__ == "Conv" for node in graph.nodes)
    assert timings[1].latency_ms > 2 * timings[0].latency_ms  # 36 times the MACs


def test_an_open_size_must_be_given(tmp_path: Path) -> None:
    graph = graph_of()
    model = build_onnx(graph, random_values(graph), dynamic_batch=True)
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = "size"
    (tmp_path / "open.onnx").write_bytes(model.SerializeToString())
    refused = run_script(tmp_path, "open.onnx")
    assert refused.returncode == 1
    assert refused.stderr.strip().splitlines()[-1].endswith("open: give --size")
    small, large = (run_script(tmp_path, "--size", size, "open.onnx") for size in ("8", "48"))
    ratio = (
        json.loads(large.stdout.splitlines()[1])["latency_ms"] / json.loads(small.stdout.splitlines()[1])["latency_ms"]
    )
    assert ratio > 2


def test_a_python_without_onnxruntime_has_its_own_exit_code(tmp_path: Path) -> None:
    done = run_script(tmp_path, python=("-I", "-S"))
    assert done.returncode == timing.NO_RUNTIME
    assert done.stdout == ""
    assert done.stderr.splitlines() == ["No module named 'onnxruntime'"]


def test_a_profile_is_the_mean_of_each_kernel_without_the_slowest_runs() -> None:
    """20 runs of two kernels: the first 4 warm up, and of the rest the slowest fifth does not count."""

    class Profiled:
        def __init__(self, path: Path) -> None:
            self.path = path
            self.events: list[dict[str, Any]] = [{"cat": "Session", "name": "model_run", "dur": 999}]

        def get_inputs(self) -> list[Any]:
            return [SimpleNamespace(name="images", shape=[1, 3, 8, 8])]

        def run(self, outputs: None, feed: dict[str, Any]) -> None:
            assert feed["images"].shape == (1, 3, 8, 8)
            run = len(self.events) // 4
            slow = 1000 if run < 4 or run in (7, 12, 19) else 0
            for name, us in (("conv", 6 + run % 2 + slow), ("add", 2 + slow)):
                self.events += [
                    {"cat": "Node", "name": f"{name}_kernel_time", "dur": us, "args": {"op_name": name.title()}},
                    {"cat": "Node", "name": f"{name}_fence_after", "dur": 555, "args": {"op_name": name.title()}},
                ]

        def end_profiling(self) -> str:
            self.path.write_text(json.dumps(self.events))
            return str(self.path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing, "make_session", lambda model, threads, prefix: Profiled(Path(prefix + ".json")))
        found = timing.profile_model("any.onnx", 1, runs=20)
    kept = sorted(6 + run % 2 for run in range(4, 20) if run not in (7, 12, 19))[:12]
    assert found == [("conv", "Conv", statistics.fmean(kept)), ("add", "Add", 2.0)]


# --- rounds ---------------------------------------------------------------------------------------

Script = Callable[..., dict[str, Any]]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Script:
    """`time_session` where round i takes the given milliseconds a run; the one run that warms up takes 5."""

    def run(*rounds: float | Sequence[float]) -> dict[str, Any]:
        runs = [[entry] * 10 if isinstance(entry, float) else list(entry) for entry in rounds]
        script: Iterator[float] = itertools.chain([5.0], *runs)
        monkeypatch.setattr(timing, "WARMUP_RUNS", 1)
        monkeypatch.setattr(timing, "WARMUP_S", 0.0)
        monkeypatch.setattr(timing, "_run_ms", lambda session, feed: next(script))
        found = timing.time_session(None, {})
        assert found["runs"] == 10
        assert len(list(script)) == 10 * (len(rounds) - found["rounds"])
        return found

    return run


def test_three_rounds_that_agree_are_enough(scripted: Script) -> None:
    found = scripted(5.08, 5.0, 9.0, 1.0)
    assert (found["rounds"], found["latency_ms"]) == (3, 5.0)
    assert found["spread"] == pytest.approx(0.016)


def test_rounds_are_repeated_until_the_two_fastest_agree(scripted: Script) -> None:
    found = scripted(6.0, 9.0, 5.0, 5.05, 1.0)
    assert (found["rounds"], found["latency_ms"]) == (4, 5.0)
    assert found["spread"] == pytest.approx(0.01)


def test_rounds_that_never_agree_end_and_say_so(scripted: Script) -> None:
    found = scripted(*[10.0 * 0.9**n for n in range(12)])
    assert found["rounds"] == timing.MAX_ROUNDS
    assert found["latency_ms"] == 10.0 * 0.9 ** (timing.MAX_ROUNDS - 1)
    assert found["spread"] == pytest.approx(1 / 0.9 - 1)


def test_latency_and_p90_are_those_of_the_round_with_the_least_median(scripted: Script) -> None:
    rng = np.random.default_rng(0)
    rounds = [rng.uniform(4, 6, 10).tolist() for _ in range(timing.MAX_ROUNDS)]
    rounds[1] = [1.0] + [8.0] * 9  # the fastest run, in the slowest round
    found = scripted(*rounds)
    best = min(rounds[: found["rounds"]], key=lambda runs: float(np.median(runs)))
    assert found["latency_ms"] == np.median(best)
    assert found["p90_ms"] == np.percentile(best, 90, method="lower") > found["latency_ms"]


@pytest.mark.parametrize("run_s", [1e-5, 1e-3, 0.3])
def test_a_session_warms_up_and_a_round_takes_a_while(run_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that only the session moves on; its first run takes 50 times as long and counts for nothing."""

    class Session:
        def __init__(self) -> None:
            self.runs, self.now = 0, 0.0

        def run(self, outputs: None, feed: dict[str, Any]) -> None:
            self.runs += 1
            self.now += run_s * (50 if self.runs == 1 else 1)

    session = Session()
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: session.now))
    found = timing.time_session(session, {})
    warming = session.runs - found["runs"] * found["rounds"]
    assert warming >= timing.WARMUP_RUNS and (warming - 1) * run_s > 0.99 * timing.WARMUP_S
    assert found["latency_ms"] == pytest.approx(1e3 * run_s)
    assert found["runs"] == pytest.approx(np.clip(timing.ROUND_S / run_s, timing.MIN_RUNS, timing.MAX_RUNS), abs=1)


# --- devices --------------------------------------------------------------------------------------


def test_this_host_times_models_with_their_kernels() -> None:
    with open_device("cpu") as device:
        small, large = device.time([timed_model(graph_of(resolution=size)) for size in (8, 48)], kernels=True)
        assert device.time([timed_model(graph_of(resolution=8))])[0].kernels == ()
        assert device.fingerprint == timing.fingerprint()
    assert 2 * small.latency_ms < large.latency_ms <= large.p90_ms
    assert small.kernels and {kernel.name for kernel in small.kernels} == {kernel.name for kernel in large.kernels}


@pytest.mark.parametrize("threads", [0, -1, usable_cores() + 1])
def test_this_host_refuses_more_threads_than_cores(threads: int) -> None:
    assert HostDevice(usable_cores()).threads == usable_cores()
    with pytest.raises(UserError, match=rf"threads: must be from 1 to {usable_cores()},.*not {threads}$"):
        HostDevice(threads)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rpi4", "'rpi4': is a profile, which is estimated and cannot be measured; use cpu or ssh:user@host"),
        ("boards/mine.toml", "mine.toml': is a profile"),
        ("cpuu", "unknown device 'cpuu'; did you mean 'cpu'"),
        ("rpi5", "unknown device 'rpi5'; did you mean 'rpi4'"),
        ("", "known: .*cpu.*rpi4.*or ssh:user@host"),
    ],
)
def test_only_what_can_be_measured_is_opened(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        open_device(name)
    assert not isinstance(caught.value, DeviceUnavailable)


# --- what is timed --------------------------------------------------------------------------------


def operators(graph: Graph) -> Counter[str]:
    model = onnx.load_from_string(timed_model(graph))
    onnx.checker.check_model(model, full_check=True)
    return Counter(node.op_type for node in model.graph.node)


@pytest.mark.parametrize("block", ["basic", "bottleneck", "depthwise", "ghost", "se", "se_ghost"])
def test_a_float_network_is_timed_in_float_and_a_low_bit_one_in_int8(block: str) -> None:
    in_float, in_int8, in_4_bits = (graph_of(bits=bits, block=block) for bits in (32, 8, 4))
    counts = operators(in_float)
    assert not counts.keys() & {"QuantizeLinear", "DequantizeLinear", "Clip"}
    assert counts["Conv"] == sum(type(node.op).__name__ == "Conv" for node in in_float.nodes)
    counts = operators(in_int8)
    assert counts["QuantizeLinear"] == len(quantized_tensors(in_int8)) > counts["Conv"]
    assert counts["Clip"] == 0
    counts = operators(in_4_bits)
    assert counts["QuantizeLinear"] == len(quantized_tensors(in_4_bits))
    assert counts["Clip"] == sum(tensor.bits == 4 for tensor in quantized_tensors(in_4_bits).values()) > 0


def exported_model(spec: ArchSpec) -> onnx.ModelProto:
    """What a study exports of the network, after a calibration instead of a training."""
    graph, network = spec.build_graph(), build_network(spec)
    if runs_in_int8(graph):
        pixels = np.random.default_rng(0).integers(0, 256, (8, spec.resolution, spec.resolution, 3), dtype=np.uint8)
        labels, cpu = np.zeros(8, dtype=np.int64), torch.device("cpu")
        images = to_device(pixels, labels, mean=0.5, std=0.25, resolution=spec.resolution, device=cpu)
        network = QuantizedNetwork(network)
        network.calibrate(images)
        network.finish()
    return build_onnx(graph, network_values(network), int8=runs_in_int8(graph))


def test_the_timed_model_is_the_exported_one_but_for_the_numbers() -> None:
    """Same operators between the same tensors as in the file of a real network."""
    generator = random.Random(0)
    for _ in range(12):
        spec = SPACE.sample(RandomTrial(generator))
        timed, exported = onnx.load_from_string(timed_model(spec.build_graph())).graph, exported_model(spec).graph
        assert timed.node == exported.node
        assert timed.input == exported.input
        constants = [{i.name: (i.data_type, tuple(i.dims)) for i in graph.initializer} for graph in (timed, exported)]
        assert constants[0] == constants[1]


class SlowDevice:
    """A `Device` whose n-th model takes n ms."""

    name, threads = "bench", 2
    fingerprint: Fingerprint = MappingProxyType({"processor": "Z80", "runtime": "onnxruntime 1.0"})

    def time(self, models: Sequence[bytes], *, size: int | None = None, kernels: bool = False) -> list[Timing]:
        return [
            Timing(latency_ms=float(n), p90_ms=n + 0.5, spread=0.0, runs=10, rounds=3)
            for n, _ in enumerate(models, start=1)
        ]


def test_a_measurement_says_where_and_in_what_precision() -> None:
    mixed = ArchSpec.from_dict(reference("resnet8").to_dict()).with_bits(32, 32, 4)
    found = measure_graphs([graph_of(), graph_of(bits=8), mixed.build_graph()], SlowDevice())
    assert [m.precision for m in found] == ["float32", "int8", "int8"]
    assert [m.latency_ms for m in found] == [1.0, 2.0, 3.0]
    assert json.loads(json.dumps(found[1].to_dict())) == {
        "kind": "measured",
        "latency_ms": 2.0,
        "p90_ms": 2.5,
        "spread": 0.0,
        "runs": 10,
        "rounds": 3,
        "precision": "int8",
        "device": "bench",
        "threads": 2,
        "processor": "Z80",
        "runtime": "onnxruntime 1.0",
    }
