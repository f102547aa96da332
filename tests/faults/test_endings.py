"""How commands end that find or write nothing: what they say, what they leave behind, and how to go on."""

import copy
import io
import math
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from safetensors.torch import load, save

from objectives.latency.device import DeviceUnavailable
from runners.config import CONVENTIONS
from runners.evaluate import evaluate
from runners.search.pricing import cost_check as pricing
from runners.search.pricing import latency_meter as latency
from runners.storage.study_files import weights_path
from search_space.backends.network_values import NetworkValues
from search_space.backends.torch_network import GraphNetwork
from search_space.errors import UserError
from search_space.graph import Graph
from studies.cli import main
from studies.export import models
from studies.results.reading import load_results
from tests.runners.engines.fake_engine import FakeEngine, fake_evaluation
from tests.runners.fake_device import FakeDevice
from tests.studies.command import Resfront, run_main

from .conftest import Saw

CONFIG = """
objectives = ["accuracy", "macs"]
[data]
name = "digits"
[space]
depth = [18, 18]
base_width = [8, 8]
blocks = ["basic"]
resolution = [8]
bits = [{bits}]
[training]
epochs = 5
images = 1200
batch_size = 32
[search]
trials = 1
sampler = "random"
block_starts = false
confirm = 0
references = []
[workers]
workers = 1
threads = 1
"""


@pytest.fixture
def resfront(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Resfront:
    return lambda *arguments: run_main(capsys, monkeypatch, arguments)


# --- an export that is refused --------------------------------------------------------------------


@pytest.fixture(params=["a float network", "a network of 8 bits"], scope="module")
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study of one network, which was trained in this process."""
    runs = tmp_path_factory.mktemp("runs")
    config = runs / f"{request.param.replace(' ', '-')}.toml"
    config.write_text(CONFIG.format(bits=8 if "8" in request.param else 32))
    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(io.StringIO()),
        pytest.raises(SystemExit) as caught,
    ):
        patch.setattr("studies.launch.run.make_engine", lambda config: FakeEngine(answer=evaluate))
        patch.setattr(sys, "argv", ["resfront", "search", str(config), "--runs", str(runs)])
        main()
    assert not caught.value.code
    return runs / config.stem


def answer_otherwise(patch: pytest.MonkeyPatch, *files: str) -> None:
    """Have files of these names computed that answer otherwise than the network."""
    build, export = models.build_onnx, models.export_program

    def wrong_onnx(graph: Graph, values: NetworkValues, **options: Any) -> onnx.ModelProto:
        model = build(graph, values, **options)
        if ("model.int8.onnx" if options.get("int8") else "model.onnx") in files:
            (weight,) = (tensor for tensor in model.graph.initializer if tensor.name == "head_linear1_weight")
            half = len(weight.raw_data) // 2
            weight.raw_data = weight.raw_data[half:] + weight.raw_data[:half]
        return model

    def wrong_program(network: GraphNetwork, resolution: int) -> bytes:
        other = copy.deepcopy(network)
        if "model.pt2" in files:
            biases = [parameter for parameter in other.parameters() if parameter.shape == (10,)]
            biases[-1].data += 10 * torch.arange(10.0)
        return export(other, resolution)

    patch.setattr(models, "build_onnx", wrong_onnx)
    patch.setattr(models, "export_program", wrong_program)


@pytest.mark.fault(
    "of an export of {trained}, {wrong} answer otherwise", expected="exit 6, says how; the rest is written"
)
@pytest.mark.parametrize("wrong", ["model.pt2", "an ONNX file", "two files"])
def test_a_refused_export_says_what_to_do(
    wrong: str, trained: Path, resfront: Resfront, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saw: Saw
) -> None:
    onnx_file = "model.int8.onnx" if "8-bits" in trained.name else "model.onnx"
    files = {"model.pt2": ["model.pt2"], "an ONNX file": [onnx_file], "two files": [onnx_file, "model.pt2"]}[wrong]
    answer_otherwise(monkeypatch, *files)
    out = tmp_path / "out"
    command = ["export", trained.name, "--trial", 0, "-o", out, "--runs", trained.parent]
    done = resfront(*command)
    error = done.err.strip().splitlines()[-1]
    saw(f"exit {done.code}: {error}")
    assert done.code == 6 and not out.exists()
    for file in files:
        assert re.search(rf"{re.escape(file)}: .*; \d+ of \d+ images get another answer than torch's", error)
    options = " ".join(f"--without {file}" for file in files)
    if len(files) == 2 and "8-bits" not in trained.name:  # none is left
        assert "--without" not in error
        assert resfront(*command, *options.split()).code == 2
        return
    assert error.endswith(f"; the rest can be written without it: {options}")
    again = resfront(*command, *options.split())
    assert again.code == 0, again.err
    written = {path.name for path in out.iterdir()}
    models_of = (
        {"model.onnx", "model.pt2", "model.int8.onnx"} if "8-bits" in trained.name else {"model.onnx", "model.pt2"}
    )
    assert written & {*models_of, *files} == models_of - set(files)
    assert ("predict.py" in written) == any(name.endswith(".onnx") for name in written)
    card = (out / "card.md").read_text()
    assert all(f"no {file}: it was left out" in card for file in files)
    assert ("torch.export.load" in card) == ("model.pt2" in written)


@pytest.mark.fault(
    "the weights of {trained} are others than the study trained", expected="exit 6, says which and how to mend it"
)
def test_weights_that_answer_otherwise(trained: Path, resfront: Resfront, tmp_path: Path, saw: Saw) -> None:
    weights = weights_path(trained, 0)
    kept = weights.read_bytes()
    zeros = {name: torch.zeros_like(tensor) for name, tensor in load(kept).items()}
    weights.write_bytes(save(zeros, metadata={"conventions": str(CONVENTIONS)}))
    command = ["export", trained.name, "--trial", 0, "-o", tmp_path / "out", "--runs", trained.parent]
    try:
        done = resfront(*command)
        saw(f"exit {done.code}: {done.err.splitlines()[-1]}")
        assert done.code == 6 and str(weights) in done.err
        assert re.search(r"at least \d+ of \d+ images get another answer; .*remove them", done.err)
        weights.unlink()
        assert resfront(*command).code == 0
    finally:
        weights.write_bytes(kept)


@pytest.mark.fault(
    "the file of a job that trained for long answers otherwise", expected="exit 6; the job is kept and goes on"
)
def test_a_job_whose_file_is_refused_is_kept(
    resfront: Resfront, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saw: Saw
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        answer_otherwise(patch, "model.pt2")
        done = resfront("train", "--reference", "resnet20@0.5", "--data", "digits", "--epochs", 1, "-o", out)
        saw(f"exit {done.code}: {done.err.splitlines()[-1]}")
        assert done.code == 6
        assert done.err.strip().endswith(f"--without model.pt2; the job is kept: resfront train --resume {out}")
        again = resfront("train", "--resume", out, "--without", "model.pt2")
    assert again.code == 0, again.err
    assert "[1/1]" not in again.err, "it trains again"
    assert (out / "model.onnx").exists() and not (out / "model.pt2").exists()


@pytest.mark.fault("--without {name}", expected="exit 2, names the files")
@pytest.mark.parametrize("name", ["model.pt", "card.md"])
def test_a_file_that_is_no_model(name: str, resfront: Resfront, trained: Path, tmp_path: Path, saw: Saw) -> None:
    done = resfront(
        "export", trained.name, "--trial", 0, "-o", tmp_path / "out", "--without", name, "--runs", trained.parent
    )
    saw(f"exit {done.code}: {done.err}")
    assert done.code == 2 and "model.pt2" in done.err


# --- a search that finds nothing ------------------------------------------------------------------


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """The command line's engine and its device, which times a network by its size: 0.2 ms and more."""
    engine = FakeEngine(answer=fake_evaluation)

    @contextmanager
    def open_device(name: str, threads: int) -> Iterator[FakeDevice]:
        yield FakeDevice(engine)

    monkeypatch.setattr("studies.launch.run.make_engine", lambda config: engine)
    monkeypatch.setattr(latency, "open_device", open_device)
    return engine


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    (tmp_path / "tiny.toml").write_text(CONFIG.format(bits="32, 8"))
    return tmp_path


def left_of(runs: Path, name: str = "tiny") -> list[str]:
    return sorted(path.name for path in (runs / name).rglob("*")) if (runs / name).exists() else []


LARGE = ("--set", "space.depth=[18,38]", "--set", "space.base_width=[8,24]")


@pytest.mark.fault(
    "no network keeps --max latency_ms; {space}", expected="said early and regularly; exit 5, no study is left"
)
@pytest.mark.parametrize("space", ["a large space", "a space that is soon exhausted"])
def test_infeasible_by_latency(
    space: str, engine: FakeEngine, runs: Path, resfront: Resfront, monkeypatch: pytest.MonkeyPatch, saw: Saw
) -> None:
    options = LARGE if space == "a large space" else ()
    monkeypatch.setattr(pricing, "MAX_MISSES", 45)
    monkeypatch.setattr("studies.launch.create.HOPELESS", math.inf)
    command = ["search", runs / "tiny.toml", "--max", "latency_ms=0.001", *options, "--runs", runs]
    done = resfront(*command)
    saw(f"exit {done.code}: {done.err.splitlines()[-1]}")
    assert done.code == 5 and engine.submitted == []
    assert "timed networks, the smallest among them, keeps latency_ms <= 0.001" in done.err
    if space == "a large space":
        said = [int(n) for n in re.findall(r"(\d+) networks in a row were timed and rejected", done.err)]
        assert said == [5, 20, 40]
        assert "none of 45 measured networks keeps the limits; nearest: latency_ms <= 0.001 (is " in done.err
    assert left_of(runs) == []
    loosened = resfront("search", runs / "tiny.toml", "--max", "latency_ms=50", *options, "--runs", runs)
    assert loosened.code == 0, loosened.err
    assert "study.db" in left_of(runs)


@pytest.mark.fault("the fastest networks take more than twice --max latency_ms", expected="refused at once, exit 5")
def test_hopeless_by_latency(engine: FakeEngine, runs: Path, resfront: Resfront, saw: Saw) -> None:
    done = resfront("search", runs / "tiny.toml", "--max", "latency_ms=0.001", *LARGE, "--runs", runs)
    saw(f"exit {done.code}: {done.err.splitlines()[-1]}")
    assert done.code == 5 and engine.submitted == [] and left_of(runs) == []
    assert "smallest among them, keeps latency_ms <= 0.001: " in done.err and done.err.endswith("at best; loosen it\n")
    assert "in a row were timed" not in done.err


@pytest.mark.fault("a study that has trained meets a limit that nothing keeps", expected="exit 5, the study stays")
def test_a_study_that_holds_something_stays(engine: FakeEngine, runs: Path, resfront: Resfront, saw: Saw) -> None:
    assert resfront("search", runs / "tiny.toml", *LARGE, "--max", "latency_ms=50", "--runs", runs).code == 0
    before, text = load_results(runs / "tiny").trials["key"].tolist(), (runs / "tiny" / "study.toml").read_text()
    resume = ["search", "--resume", "--name", "tiny", "--trials", 9, "--max", "latency_ms=0.001", "--runs", runs]
    done = resfront(*resume)
    saw(f"exit {done.code}: {done.err.splitlines()[-1]}")
    assert done.code == 5
    assert load_results(runs / "tiny").trials["key"].tolist() == before
    assert (runs / "tiny" / "study.toml").read_text() == text, "limits that leave nothing are not written"


@pytest.mark.fault("the search fails before anything is trained: {why}", expected="no study is left")
@pytest.mark.parametrize("why", ["the device is unplugged", "the workers cannot have the data"])
def test_a_search_that_fails_at_once_takes_no_name(
    why: str, engine: FakeEngine, runs: Path, resfront: Resfront, monkeypatch: pytest.MonkeyPatch, saw: Saw
) -> None:
    options = []
    if why == "the device is unplugged":
        options = ["--max", "latency_ms=50", *LARGE]
        monkeypatch.setattr("runners.search.coordinator.Coordinator.run", _unplugged)
    else:
        engine.answer = lambda candidate: UserError("digits: cannot be read")
    done = resfront("search", runs / "tiny.toml", *options, "--runs", runs)
    saw(f"exit {done.code}: {done.err.splitlines()[-1]}")
    assert done.code in (2, 3)
    assert left_of(runs) == []


@pytest.mark.fault("a directory with other files bears the name", expected="they stay")
def test_files_of_the_user_stay(engine: FakeEngine, runs: Path, resfront: Resfront, saw: Saw) -> None:
    (runs / "tiny").mkdir()
    (runs / "tiny" / "notes.txt").write_text("mine")
    done = resfront("search", runs / "tiny.toml", "--max", "latency_ms=0.001", "--runs", runs)
    saw(f"exit {done.code}: {left_of(runs)}")
    assert done.code == 5 and left_of(runs) == ["notes.txt"]


def _unplugged(coordinator: object) -> None:
    raise DeviceUnavailable("cpu: unplugged")
