"""`resfront measure`, `devices`, `compare` as a user types them, and their mistakes, each in one line."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from objectives.devices import load_profile, profile_names
from objectives.devices.roofline import estimate_latency
from search_space import reference
from search_space.backends.network_values import random_values
from search_space.backends.onnx_model import build_onnx
from studies.comparison.device_comparison import Comparison, Contender, compare
from studies.comparison.device_figure import DeviceSeries, devices_info, plot_devices, unbeaten
from tests.studies.command import Resfront, run_main


@pytest.fixture
def resfront(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Resfront:
    """As in a home of its own: without the calibrations that this machine may have."""
    monkeypatch.setenv("RESFRONT_DATA", str(tmp_path / "data"))
    return lambda *args: run_main(capsys, monkeypatch, args)


def test_measure_says_how_long_and_how_it_is_known(resfront: Resfront) -> None:
    (found,) = resfront("measure", "--reference", "resnet8", "--json").json
    assert (found["kind"], found["precision"], found["device"], found["threads"]) == ("measured", "float32", "cpu", 1)
    assert 0 < found["latency_ms"] <= found["p90_ms"]
    assert "predicted_ms" not in found
    (low,) = resfront("measure", "--reference", "resnet8", "--bits", 4, "--json").json
    assert low["precision"] == "int8"
    assert "below 8 bits there are no faster kernels" in low["note"].lower()
    table = resfront("measure", "--reference", "resnet8", "--bits", 8).out
    assert "measured, int8" in table


def test_a_larger_network_takes_longer(resfront: Resfront) -> None:
    small, large = (resfront("measure", "--reference", name, "--json").json[0] for name in ("resnet8", "resnet56"))
    assert large["latency_ms"] > small["latency_ms"]  # of ten times the MACs


def test_measure_on_a_profile_is_an_estimate(resfront: Resfront) -> None:
    (found,) = resfront("measure", "--reference", "resnet18", "--device", "rpi4", "--threads", 4, "--json").json
    expected = estimate_latency(reference("resnet18").build_graph(), load_profile("rpi4"), threads=4)
    assert (found["kind"], found["latency_ms"]) == ("estimated", expected.latency_ms)
    overheads = sum(operator.bound == "overhead" for operator in expected.operators)
    assert "Estimated for ncnn" in found["note"]
    assert f"{overheads} of {len(expected.operators)} operators are mostly overhead" in found["note"]


def test_devices_lists_all_and_shows_sources(resfront: Resfront) -> None:
    listed = resfront("devices", "--json").json
    assert [entry["device"] for entry in listed] == ["cpu", "ssh:user@host", *profile_names()]
    shown = resfront("devices", "edgetpu", "--json").json
    assert all(figure["source"] for figure in shown["figures"].values())
    table = resfront("devices", "edgetpu").out
    assert all(figure["source"] in table for figure in shown["figures"].values())


def test_compare_is_a_table_and_a_plot(resfront: Resfront, tmp_path: Path) -> None:
    plot = tmp_path / "plot.html"
    names = "resnet8,resnet20"
    args = ("compare", "--references", names, "--bits", 8, "--devices", "cpu,rpi4,jetson_nano_gpu", "-o", plot)
    found = resfront(*args, "--json").json
    assert [(d["device"], d["kind"]) for d in found["devices"]] == [
        ("cpu", "measured"),
        ("rpi4", "estimated"),
        ("jetson_nano_gpu", "estimated"),
    ]
    for network in found["networks"]:
        graph = reference(network["name"], bits=8).build_graph()
        assert network["latency_ms"]["rpi4"] == estimate_latency(graph, load_profile("rpi4")).latency_ms
        assert network["latency_ms"]["jetson_nano_gpu"] is None
        assert "runs fp16 alone" in network["cannot"]["jetson_nano_gpu"]
    text = plot.read_text()
    assert "Inference time across hardware" in text
    assert '<script src="http' not in text, "it must open offline"
    table = resfront(*args).out
    assert "cannot" in table and "resnet20 on jetson_nano_gpu: jetson_nano_gpu runs fp16 alone" in table
    assert "batch 1, 1 thread; estimated for rpi4 with ncnn, jetson_nano_gpu with tensorrt" in table


def test_a_comparison_with_accuracies_is_drawn_against_them() -> None:
    graphs = {name: reference(name, bits=8) for name in ("resnet8", "resnet20", "resnet56")}
    contenders = [
        Contender(name=name, architecture=graphs[name], accuracy=accuracy)
        for name, accuracy in (("resnet8", 0.8), ("resnet20", 0.9), ("resnet56", math.nan))
    ]
    found: Comparison = compare(contenders, ["edgetpu", "cortex_m7"])
    info = devices_info(found)
    assert info.by_accuracy and info.left_out == ("resnet56",)
    assert [one.name for one in info.series] == ["edgetpu (estimated)", "cortex_m7 (estimated)"]
    for one, device in zip(info.series, ("edgetpu", "cortex_m7"), strict=True):
        assert one.y == (0.8, 0.9)
        expected = [
            estimate_latency(graphs[n].build_graph(), load_profile(device)).latency_ms for n in list(graphs)[:2]
        ]
        assert list(one.x_ms) == expected
    figure = plot_devices(found)
    assert (figure.layout.xaxis.type, figure.layout.xaxis.tickformat) == ("log", "~g")
    assert figure.layout.yaxis.title.text == "Accuracy"
    of_study = [replace(contender, from_study=True) for contender in contenders]
    assert devices_info(compare(of_study, ["edgetpu"])).accuracy_title == "Accuracy of the proxy"
    mixed = [of_study[0], *contenders[1:]]
    assert devices_info(compare(mixed, ["edgetpu"])).accuracy_title == "Accuracy of the proxy, or a final one"
    assert [list(trace.x) for trace in figure.data if trace.mode == "markers"] == [
        list(one.x_ms) for one in info.series
    ]


def test_lines_join_what_no_quicker_network_reaches() -> None:
    series = DeviceSeries(name="x", x_ms=(3.0, 1.0, 2.0, 4.0), y=(0.8, 0.5, 0.4, 0.9), text=("",) * 4)
    assert unbeaten(series) == [1, 0, 3]


def test_nothing_that_any_device_can_run_is_said() -> None:
    found = compare([Contender(name="resnet8", architecture=reference("resnet8"))], ["edgetpu"])
    assert found.columns[0].reasons[0].startswith("edgetpu runs int8 alone")
    assert devices_info(found).message == "No device can run any of the networks."


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["measure"], 2, "--reference"),
        (["measure", "nothing.json"], 2, "no such file"),
        (["measure", "--reference", "resnet8", "--device", "rpi5"], 2, "did you mean 'rpi4'"),
        (["measure", "--reference", "resnet8", "--device", "ssh:-oProxyCommand=x"], 2, "ssh:user@host"),
        (["measure", "--reference", "resnet8", "--device", "ssh:127.0.0.1:1"], 3, "cannot connect"),
        (["measure", "--reference", "resnet8", "--device", "none.toml"], 2, "none.toml"),
        (["measure", "--reference", "resnet8", "--device", "edgetpu"], 2, "edgetpu runs int8 alone"),
        (["measure", "--reference", "resnet8", "--device", "rpi4", "--threads", "3"], 2, "knows 1, 4, not 3"),
        (["measure", "--reference", "resnet8", "--threads", "999"], 2, "cores of this host"),
        (["measure", "--reference", "resnet8", "--calibration", "no.json"], 2, "no.json: no such file"),
        (["devices", "rpi5"], 2, "did you mean 'rpi4'"),
        (["compare"], 2, "--references"),
        (["compare", "--references", "resnet8", "--devices", "cpu,rpi5"], 2, "did you mean 'rpi4'"),
        (["compare", "--references", "resnet7"], 2, "did you mean"),
        (["compare", "--study", "nothing"], 3, "no study"),
        (["calibrate", "cifar11"], 2, "did you mean 'cifar10'"),
        (["calibrate", "quick", "--device", "rpi4"], 2, "cannot be measured"),
        (["calibrate", "quick", "--device", "ssh:127.0.0.1:1"], 3, "cannot connect"),
        (["calibrate", "quick", "--timeout", "0"], 2, "give it more time"),
        (["search", "quick", "--max", "latency_ms@rpi5=3"], 2, "did you mean 'rpi4'"),
        (["search", "quick", "--max", "macs@rpi4=3"], 2, "does not depend on a device"),
        (["search", "quick", "--objectives", "latency_ms,latency_ms@cpu"], 2, "given twice"),
        (["search", "quick", "--objectives", "accuracy,latency_ms@ssh:127.0.0.1:1"], 3, "cannot connect"),
        (["search", "quick", "--set", "latency.threads=0"], 2, "latency.threads"),
        (["search", "quick", "--max", "latency_ms@cortex_m7=0.001"], 5, "nearest"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_writes_nothing(
    resfront: Resfront, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: list[str], code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = resfront(*args)
    assert done.code == code, done.err
    errors = [line for line in done.err.strip().splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and message in errors[0], done.err
    assert done.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_model_file_in_place_of_a_spec_is_said(resfront: Resfront, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x08\x08\xff\xfe")
    done = resfront("measure", tmp_path / "model.onnx")
    assert done.code == 2 and "give spec.json or the directory" in done.err


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"schema": 9}', '{"schema": 1, "device": "cpu"}'])
def test_a_broken_calibration_is_one_line(resfront: Resfront, tmp_path: Path, text: str) -> None:
    file = tmp_path / "broken.json"
    file.write_text(text)
    done = resfront("measure", "--reference", "resnet8", "--calibration", file)
    assert done.code == 2
    assert "broken.json" in done.err and "resfront calibrate" in done.err and len(done.err.strip().splitlines()) == 1


@pytest.mark.slow
def test_calibrate_predicts_what_is_measured_then(resfront: Resfront, tmp_path: Path) -> None:
    found = resfront("calibrate", "quick", "--nets", 20, "--json").json
    assert found["nets"] == 20 and set(found["errors"]) == {"float32", "int8"}
    assert all(0 < error["mean"] < 2 for error in found["errors"].values())
    assert Path(found["file"]).is_relative_to(tmp_path / "data")
    (measured,) = resfront("measure", "--reference", "resnet20", "--resolution", 28, "--bits", 8, "--json").json
    # Whatever else the machine does meanwhile, they are of one order.
    assert 1 / 4 < measured["predicted_ms"] / measured["latency_ms"] < 4
    out = tmp_path / "exported"
    out.mkdir()
    network = reference("resnet20", resolution=28, bits=8)
    (out / "spec.json").write_text(json.dumps(network.to_dict()))
    values, graph = random_values(network.build_graph()), network.build_graph()
    for name, layout in {
        "model": {},
        "model.int8": {"int8": True},
        "model.int8.symmetric": {"int8": True, "symmetric": True},
    }.items():
        (out / f"{name}.onnx").write_bytes(build_onnx(graph, values, **layout).SerializeToString())
    files = {row["network"]: row for row in resfront("measure", out, "--json").json}
    assert "predicted_ms" not in files["model.int8.symmetric.onnx"], "it was calibrated on the other layout"
    assert files["model.int8.onnx"]["predicted_ms"] == measured["predicted_ms"]
    plain = resfront("measure", "--reference", "resnet20", "--resolution", 28, "--json").json[0]
    assert files["model.onnx"]["predicted_ms"] == plain["predicted_ms"]
    stale = json.loads(Path(found["file"]).read_text())
    stale["fingerprint"]["runtime"] = "onnxruntime 1.0"
    Path(found["file"]).write_text(json.dumps(stale))
    done = resfront("measure", "--reference", "resnet20", "--resolution", 28, "--json").json[0]
    assert "predicted_ms" not in done and "made with runtime 'onnxruntime 1.0'" in done["note"]
    refused = resfront("measure", "--reference", "resnet20", "--calibration", found["file"])
    assert refused.code == 2 and "run resfront calibrate again" in refused.err
