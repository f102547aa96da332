"""Estimates against published latencies, what a device turns down, and profiles: their sources and their mistakes."""

import subprocess
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.published_latencies import FURTHER_ROWS, ROWS, Published
from objectives.costs.file_bytes import file_bytes
from objectives.costs.packed_bytes import packed_bytes
from objectives.costs.peak_memory_bytes import peak_memory_bytes
from objectives.devices import DeviceError, Figure, Limits, load_profile, profile_names, runtime_names
from objectives.devices.roofline import Unsupported, estimate_latency, unsupported_reason
from search_space.errors import UserError
from search_space.graph import Graph
from search_space.references import reference


def graph_of(name: str, bits: int = 32, resolution: int | None = None) -> Graph:
    return reference(name, bits=bits, resolution=resolution).build_graph()


def estimated(row: Published) -> float:
    graph = graph_of(row.network, row.bits, row.resolution)
    return estimate_latency(graph, load_profile(row.device), threads=row.threads).latency_ms


# --- published ------------------------------------------------------------------------------------


def test_the_published_rows() -> None:
    assert len(ROWS) == len(set(ROWS)) == 33
    assert sum(row.latency_ms for row in ROWS if row.device == "rpi4") == pytest.approx(2129.4)
    assert sum(row.latency_ms for row in ROWS if row.device == "snapdragon855") == pytest.approx(252.0)
    assert sum(row.latency_ms for row in ROWS if row.device == "jetson_nano_cpu") == pytest.approx(541)


def test_three_quarters_of_the_published_latencies_are_met_within_a_quarter() -> None:
    ratios = {row: estimated(row) / row.latency_ms for row in ROWS}
    close = [row for row, ratio in ratios.items() if abs(ratio - 1) <= 0.25]
    assert len(close) >= 0.75 * len(ROWS)
    assert all(1 / 1.4 < ratio < 1.4 for ratio in ratios.values()), ratios


def test_further_rows_of_the_jetsons() -> None:
    assert all(abs(estimated(row) / row.latency_ms - 1) <= 0.15 for row in FURTHER_ROWS)


def test_networks_are_ranked_as_published_on_every_device() -> None:
    groups: dict[tuple[str, int, int], list[Published]] = defaultdict(list)
    for row in ROWS + FURTHER_ROWS:
        groups[row.device, row.threads, row.bits].append(row)
    assert max(map(len, groups.values())) == 6
    for rows in groups.values():
        assert sorted(rows, key=lambda row: row.latency_ms) == sorted(rows, key=estimated)


def test_the_cpus_share_one_set_of_efficiencies() -> None:
    runtimes = {load_profile(name).runtime.name for name in ("rpi4", "snapdragon855", "jetson_nano_cpu")}
    assert runtimes == {"ncnn"}
    assert load_profile("rpi4").runtime is load_profile("snapdragon855").runtime


def test_cortex_m7_spends_about_a_mac_a_cycle() -> None:
    """FACTS of MLPerf Tiny: 0.95 int8 MACs a cycle at the fastest submission, 0.81 at the slowest."""
    graph = graph_of("resnet8", 8)
    cycles = estimate_latency(graph, load_profile("cortex_m7")).latency_ms * 1e-3 * 280e6
    assert 0.8 < sum(node.macs for node in graph.nodes) / cycles < 0.97


# --- what a device turns down ---------------------------------------------------------------------


def test_float_on_the_edge_tpu() -> None:
    reason = unsupported_reason(graph_of("resnet20"), load_profile("edgetpu"))
    assert reason == "edgetpu runs int8 alone, but 'stem_conv1' is float (32 bits)"
    with pytest.raises(Unsupported, match="edgetpu runs int8 alone"):
        estimate_latency(graph_of("resnet20"), load_profile("edgetpu"))
    assert issubclass(Unsupported, UserError)


def test_int8_on_a_gpu_without_it() -> None:
    reason = unsupported_reason(graph_of("resnet20", 8), load_profile("jetson_nano_gpu"))
    assert reason == "jetson_nano_gpu runs fp16 alone, but 'stem_conv1' has 8 bits"


def test_unsupported_activation() -> None:
    graph = graph_of("mobilenetv3_small", 8)
    reason = unsupported_reason(graph, load_profile("edgetpu"))
    assert reason is not None
    assert reason.startswith("edgetpu cannot run 'hard_swish', which '")
    assert unsupported_reason(graph, load_profile("rpi4")) is None


def test_unsupported_operator() -> None:
    profile = replace(load_profile("rpi4"), unsupported={"channel_shuffle": "a list"})
    reason = unsupported_reason(graph_of("shufflenetv2"), profile)
    assert reason is not None
    assert reason.startswith("rpi4 cannot run 'channel_shuffle', which '")


def test_activations_beyond_the_microcontrollers_memory() -> None:
    graph = graph_of("mobilenetv2", 8)
    assert peak_memory_bytes(graph) == 1_404_928
    reason = unsupported_reason(graph, load_profile("cortex_m7"))
    assert reason == "cortex_m7 has 1,048,576 bytes for activations, but 1,404,928 are needed at once"
    assert unsupported_reason(graph_of("resnet20", 8), load_profile("cortex_m7")) is None


def test_activations_below_8_bits_take_a_byte_each() -> None:
    in_int8, in_4_bits = graph_of("mobilenetv2", 8), graph_of("mobilenetv2", 4)
    assert peak_memory_bytes(in_4_bits) == peak_memory_bytes(in_int8)
    profile = load_profile("cortex_m7")
    assert unsupported_reason(in_4_bits, profile) == unsupported_reason(in_int8, profile)


def test_weights_in_flash_take_a_byte_each_at_least() -> None:
    """Without the file around them; 4-bit weights are unpacked for kernels that read bytes."""
    needed = packed_bytes(graph_of("resnet20", 8))
    assert packed_bytes(graph_of("resnet20", 4)) < needed < file_bytes(graph_of("resnet20", 8))
    for limit, fits in ((needed, True), (needed - 1, False)):
        profile = replace(load_profile("cortex_m7"), limits=Limits(flash_bytes=Figure(value=limit, source="-")))
        reason = f"cortex_m7 has {limit:,} bytes of flash, but the weights take {needed:,}"
        for bits in (8, 4):
            assert unsupported_reason(graph_of("resnet20", bits), profile) == (None if fits else reason)


# --- the files ------------------------------------------------------------------------------------


def test_built_in_names() -> None:
    known = {"rpi4", "snapdragon855", "jetson_nano_cpu", "jetson_nano_gpu", "jetson_xavier", "edgetpu", "cortex_m7"}
    assert set(profile_names()) == known
    assert runtime_names() == ("cube_ai", "edgetpu", "ncnn", "tensorrt")


@pytest.mark.parametrize("name", profile_names())
def test_every_figure_has_a_source(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert len(profile.description) > 20
    assert len(profile.figures) >= 12
    for key, figure in profile.figures.items():
        assert len(figure.source) > 8, key
        assert figure.value >= 0, key
    assert all(len(source) > 8 for source in profile.unsupported.values())


TEMPLATE = Path(__file__).parents[3] / "objectives" / "devices" / "template.toml"


def changed(tmp_path: Path, old: str, new: str) -> Path:
    """The template with one change, as a user's file."""
    text = TEMPLATE.read_text()
    assert old in text
    path = tmp_path / "board.toml"
    path.write_text(text.replace(old, new, 1))
    return path


def test_a_users_own_device(tmp_path: Path) -> None:
    profile = load_profile(str(changed(tmp_path, "4.0e9", "8.0e9")))
    assert profile.name == "board"
    graph = graph_of("resnet18")
    assert estimate_latency(graph, profile).latency_ms < estimate_latency(graph, load_profile(str(TEMPLATE))).latency_ms


def test_a_users_own_runtime(tmp_path: Path) -> None:
    ncnn = (TEMPLATE.parent / "runtimes" / "ncnn.toml").read_text()
    own = "\n".join(f"[runtime.{line[1:]}" if line.startswith("[") else line for line in ncnn.splitlines())
    own = "[runtime]\n" + own.replace("efficiency = 2.0", "efficiency = 1.0")
    path = tmp_path / "board.toml"
    path.write_text(TEMPLATE.read_text().replace('runtime = "ncnn"\n', "") + own)
    profile = load_profile(str(path))
    assert profile.runtime.float is not None and profile.runtime.float.conv3x3.efficiency == 1.0
    assert profile.runtime.int8 == load_profile("rpi4").runtime.int8


BAD: list[tuple[str, str, str]] = [
    ('float = "fp32"', "float = ", "is not TOML"),
    (
        'runtime = "ncnn"',
        'runtime = "ncn"',
        "board.toml: runtime: must be one of cube_ai, edgetpu, ncnn, tensorrt, not 'ncn'",
    ),
    ('runtime = "ncnn"', "runtime = 3", "board.toml: runtime: must be a text, not 3"),
    (
        'runtime = "ncnn"',
        'runtime = "edgetpu"',
        "board.toml: float: must be none: runtime 'edgetpu' has no float kernels",
    ),
    ('float = "fp32"', 'float = "fp64"', "board.toml: float: must be 'fp32', 'fp16' or 'none', not 'fp64'"),
    ('float = "fp32"', 'float = "fp16"', "board.toml: peak: has no 'fp16', which 'float' names"),
    ('float = "fp32"\n', "", "board.toml: float: is missing"),
    (
        "[overhead.layer_us]",
        "[overhead.layer_ms]",
        "board.toml: overhead.layer_ms: unknown key; did you mean 'layer_us'",
    ),
    (
        "[memory.on_chip_bytes]",
        "[memory.on_chip_byte]",
        "memory.on_chip_byte: unknown key; did you mean 'on_chip_bytes'",
    ),
    ("[peak.int8]", "[peak.int9]", "board.toml: peak.int9: unknown key; did you mean 'int8'"),
    ("[threads.4]", "[threads.four]", "board.toml: threads: must have whole numbers from 2 to 256 as keys"),
    ("value = 2.7", "value = 5", "board.toml: threads.4.value: must be from 0.5 to 4, not 5"),
    ("value = 6.0e9", "value = -1", "memory.bytes_per_second.value: must be from 1e+06 to 1e+14, not -1"),
    ("value = 6.0e9", "value = nan", "memory.bytes_per_second.value: must be a number"),
    ("value = 6.0e9", "value = true", "memory.bytes_per_second.value: must be a number"),
    ("value = 6.0e9", 'value = "fast"', "memory.bytes_per_second.value: must be a number"),
    ("value = 6.0e9\n", "", "board.toml: memory.bytes_per_second.value: is missing"),
    ('source = "1 MB of L2"', 'source = " "', "memory.on_chip_bytes.source: must be a text"),
    ('source = "1 MB of L2"', 'from = "1 MB of L2"', "memory.on_chip_bytes.from: unknown key; known: source, value"),
    ("channel_multiple = 4", "channel_multiple = 4.5", "peak.fp32.channel_multiple: must be a whole number, not 4.5"),
    ("channel_multiple = 4", "channel_multiple = 0", "peak.fp32.channel_multiple: must be from 1 to 256"),
    (
        "channel_multiple = 4",
        "sustained = 1.5",
        "board.toml: peak.fp32.sustained: must be from 0.01 to 1, not 1.5",
    ),
    (
        "[unsupported]",
        "[unsupported]\nhard_swich = 'x'",
        "board.toml: unsupported: unknown key 'hard_swich'; did you mean 'hard_swish'",
    ),
    ("[limits.flash_bytes]", "[limits.flash]", "board.toml: limits.flash: unknown key; did you mean 'flash_bytes'"),
    (
        '[overhead.layer_us]\nvalue = 20\nsource = "as on the Raspberry Pi 4"\n',
        "[overhead]\nlayer_us = 20\n",
        "board.toml: overhead.layer_us: must be a table, not 20",
    ),
    ("description =", "descripton =", "board.toml: descripton: unknown key; did you mean 'description'"),
]


@pytest.mark.parametrize(("old", "new", "message"), BAD)
def test_broken_profiles_are_one_clear_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(DeviceError) as caught:
        load_profile(str(changed(tmp_path, old, new)))
    text = str(caught.value)
    assert message in text
    assert "board.toml: " in text
    assert "\n" not in text


def test_broken_runtimes(tmp_path: Path) -> None:
    text = TEMPLATE.read_text().replace('runtime = "ncnn"\n', "")
    path = tmp_path / "board.toml"
    path.write_text(text + '[runtime]\ndescription = "mine"\nfuses_add = true\n')
    with pytest.raises(DeviceError, match=r"board.toml: runtime.activation_passes: is missing"):
        load_profile(str(path))
    start = '[runtime]\ndescription = "mine"\nactivation_passes = { value = 1, source = "counted" }\n'
    path.write_text(text + start + "fuses_add = true\n")
    with pytest.raises(DeviceError, match=r"board.toml: runtime.float: is missing, and so is 'int8'"):
        load_profile(str(path))
    path.write_text(text + start + "fuses_add = 1\n[runtime.int8]\n")
    with pytest.raises(DeviceError, match=r"board.toml: runtime.int8.conv3x3: is missing"):
        load_profile(str(path))


def test_unknown_names_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(
        DeviceError, match=r"unknown device 'rpi'; did you mean 'rpi4'\?; or give the path of a .toml file"
    ):
        load_profile("rpi")
    with pytest.raises(DeviceError, match=r"none.toml: cannot be read: No such file or directory"):
        load_profile(str(tmp_path / "none.toml"))
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(DeviceError, match=r"bytes.toml: is not TOML"):
        load_profile(str(tmp_path / "bytes.toml"))


def test_estimates_need_no_torch() -> None:
    code = """
import sys
from objectives.devices import load_profile
from objectives.devices.roofline import estimate_latency
from search_space.references import reference
assert estimate_latency(reference("resnet20").build_graph(), load_profile("rpi4")).latency_ms > 0
loaded = [name for name in sys.modules if name.partition(".")[0] in ("torch", "onnx", "runners", "studies")]
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
