"""What `resfront export` writes: files that run elsewhere as the study reported, or nothing at all."""

import copy
import io
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import runners.verification.check_files as files
import studies.export as export
import studies.export.models as models
from runners.config import CONVENTIONS, DataConfig, TrainingConfig
from runners.network_weights import load_network
from runners.storage.study_files import weights_path
from runners.training.batches import DeviceImages
from runners.training.load_images import load_images
from runners.training.loop import measure_accuracy
from runners.verification.answer_agreement import run_reference
from runners.verification.check_files import FileCheck
from search_space.architectures import architecture_from_dict
from search_space.backends.network_values import LayerValues, NetworkValues
from search_space.backends.torch_network import GraphNetwork
from search_space.graph import Graph
from studies.cli import main
from studies.dashboard.exports import Exporter
from studies.results.reading import load_results
from studies.results.study_results import StudyResults
from studies.study.record import open_study_record
from tests.studies.cli.test_cli import CONFIG
from tests.studies.command import Resfront

pytestmark = [pytest.mark.slow, pytest.mark.numbers]

SMALL = """
[space]
depth = [18, 18]
base_width = [8, 8]
blocks = ["basic"]
resolution = [8, 16]
bits = [32, 8, 4]
"""
ALWAYS = {"card.md", "model.onnx", "model.pt2", "predict.py", "spec.json", "weights.safetensors"}


class Exported(NamedTuple):
    """A directory that `resfront export` wrote, and the row of its trial."""

    path: Path
    row: Any
    validation: DeviceImages

    @property
    def card(self) -> str:
        return (self.path / "card.md").read_text()

    @property
    def models(self) -> list[Path]:
        return sorted(self.path.glob("*.onnx"))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyResults:
    """Small ResNet-18s of 32, 8 and 4 bits, at 8 and at 16 px, of whose epochs the first trains at 8 px."""
    runs = tmp_path_factory.mktemp("runs")
    config = re.sub(r"\[space\].*?(?=\[training\])", SMALL, CONFIG, flags=re.DOTALL)
    config = re.sub("objectives = .*", 'objectives = ["accuracy", "latency_ms"]', config)
    config = config.replace("batch_size = 32", "batch_size = 32\nresolution_scale = 0.5")
    config = config.replace("trials = 5", "trials = 4").replace("seed = 1", "seed = 2")
    (runs / "tiny.toml").write_text(config)
    command = [sys.executable, "-m", "studies.cli", "search", str(runs / "tiny.toml"), "--runs", str(runs)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    return load_results(runs / "tiny")


def trial_of(study: StudyResults, bits: int, resolution: int) -> Any:
    """The first completed trial of these bits and this resolution."""
    rows = [
        row
        for _, row in study.trials[study.trials["status"] == "completed"].iterrows()
        if (row["record"].spec["stages"][0]["bits"], row["record"].spec["resolution"]) == (bits, resolution)
    ]
    assert rows, "the study's seed no longer gives this network"
    return rows[0]


KINDS = {"float": (32, 8, ()), "open": (8, 16, ("--dynamic-batch",)), "few": (4, 8, ("--symmetric",)), "8": (8, 8, ())}


@pytest.fixture(scope="module")
def exports(study: StudyResults, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Exported]:
    """Writes the directory of a kind once."""
    folder = tmp_path_factory.mktemp("exports")
    record = open_study_record(study.directory)

    def export(kind: str) -> Exported:
        bits, resolution, options = KINDS[kind]
        row = trial_of(study, bits, resolution)
        if not (folder / kind).exists():
            # Its output is not that of the command that a test runs next.
            with (
                pytest.MonkeyPatch.context() as patch,
                redirect_stdout(io.StringIO()),
                pytest.raises(SystemExit) as caught,
            ):
                command = ["resfront", *export_arguments(study, row, folder / kind), *options]
                patch.setattr(sys, "argv", command)
                main()
            assert not caught.value.code
        _, validation = load_images(record.config.data, record.config.training, resolution, torch.device("cpu"))
        return Exported(folder / kind, row, validation)

    return export


def export_arguments(study: StudyResults, row: Any, output: Path) -> list[str]:
    return [
        "export",
        study.name,
        "--trial",
        str(row["trial"]),
        "-o",
        str(output),
        "--runs",
        str(study.directory.parent),
    ]


def session(path: Path) -> onnxruntime.InferenceSession:
    """As the card says it has to be made where the processor has no VNNI, so that the outputs are the same on all."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def outputs(path: Path, images: DeviceImages, count: int | None = None) -> NDArray[np.float32]:
    """Logits, image by image."""
    runtime = session(path)
    array = np.ascontiguousarray(images.normalised(slice(0, count)).numpy())
    return np.concatenate([runtime.run(None, {"images": array[i : i + 1]})[0] for i in range(len(array))])


def axes(path: Path) -> list[Any]:
    (image,) = session(path).get_inputs()
    return list(image.shape)


# --- what is written ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("float", set()),
        ("8", {"model.int8.onnx"}),
        ("open", {"model.int8.onnx"}),
        ("few", {"model.int8.onnx", "model.int8.symmetric.onnx"}),
    ],
)
def test_the_files_of_a_network(exports: Callable[[str], Exported], kind: str, more: set[str]) -> None:
    exported = exports(kind)
    assert {path.name for path in exported.path.iterdir()} == ALWAYS | more
    assert not [path for path in exported.path.parent.iterdir() if path.name.startswith(".")]
    for path in exported.models:
        onnx.checker.check_model(onnx.load(path), full_check=True)
    assert json.loads((exported.path / "spec.json").read_text()) == exported.row["record"].spec


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_reaches_what_the_card_says(exports: Callable[[str], Exported], kind: str) -> None:
    """Sizes as on disk, accuracies as counted here; the file for use and the program are as good as reported."""
    exported = exports(kind)
    listed = dict(re.findall(r"^\| (\S+) \| ([\d,]+) \|", exported.card, re.MULTILINE))
    written = {path.name: f"{path.stat().st_size:,}" for path in exported.path.iterdir() if path.name != "card.md"}
    assert listed == written
    labels = exported.validation.labels.numpy()
    shares = {
        path.name: float((outputs(path, exported.validation).argmax(1) == labels).mean()) for path in exported.models
    }
    stated = dict(re.findall(r"^\| (\S+\.onnx) \| [\d,]+ \| ([\d.]+) % \|$", exported.card, re.MULTILINE))
    assert {name: float(share) for name, share in stated.items()} == {
        name: pytest.approx(100 * share, abs=0.006) for name, share in shares.items()
    }
    runnable = "model.onnx" if kind == "float" else "model.int8.onnx"
    assert shares[runnable] == pytest.approx(exported.row["accuracy"], abs=0.005)
    images = exported.validation.normalised(slice(0, len(labels)))
    with torch.inference_mode():
        theirs = torch.export.load(exported.path / "model.pt2").module()(images)  # type: ignore[arg-type]
    weights = (exported.path / "weights.safetensors").read_bytes()
    ours = load_network(architecture_from_dict(exported.row["record"].spec), weights)
    # Not by digits: on some processors a value of a few images falls to the other side of an integer's border.
    assert run_reference(ours, exported.validation).compare(theirs.numpy()).holds
    assert float((theirs.argmax(1).numpy() == labels).mean()) == pytest.approx(exported.row["accuracy"], abs=0.005)


@pytest.mark.parametrize("kind", ["float", "few"])
def test_the_card_says_how_figures_are_known_and_what_int8_needs(exports: Callable[[str], Exported], kind: str) -> None:
    exported = exports(kind)
    (line,) = [line for line in exported.card.splitlines() if line.startswith("| Latency")]
    facts = exported.row["record"].latency["latency_ms"]
    precision = "float32" if kind == "float" else "int8"
    assert f"{exported.row['latency_ms']:.3g} ms" in line
    assert f"measured in {precision} on cpu ({facts['processor']}), 1 thread, batch 1, onnxruntime" in line
    assert f"p90 {facts['p90_ms']:.3g} ms" in line
    assert ("session.x64quantprecision" in exported.card) is (kind == "few")
    assert re.search(
        r"^\| Accuracy of these weights \| [\d.]+ % \| measured on 287 validation images", exported.card, re.MULTILINE
    )


@pytest.mark.parametrize("kind", ["float", "8", "few"])
def test_the_card_says_which_weights_the_float_file_has(exports: Callable[[str], Exported], kind: str) -> None:
    card = exports(kind).card
    assert ("the weights that the 4-bit integers stand for" in card) is (kind == "few")
    assert ("the weights before quantization" in card) is (kind == "8")


@pytest.mark.parametrize(("kind", "shortfall"), [("few", 0.031), ("few", 0.029), ("8", 0.031)])
def test_a_float_file_that_falls_short_is_left_out(
    study: StudyResults,
    resfront: Resfront,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kind: str,
    shortfall: float,
) -> None:
    """And the directory says so; more than three points are too much."""
    row = trial_of(study, *KINDS[kind][:2])
    original = models.check_onnx_file

    def less(*args: Any, int8: bool = False, **options: Any) -> FileCheck:
        check = original(*args, int8=int8, **options)
        return check if int8 else replace(check, accuracy=row["accuracy"] - shortfall)

    monkeypatch.setattr(models, "check_onnx_file", less)
    done = resfront(*export_arguments(study, row, tmp_path / "out"))
    assert done.code == 0, done.err
    names, card = {path.name for path in (tmp_path / "out").iterdir()}, (tmp_path / "out" / "card.md").read_text()
    if shortfall < 0.03:
        assert "model.onnx" in names and "warning" not in done.err + card
        return
    assert names == ALWAYS - {"model.onnx"} | {"model.int8.onnx"}
    words = f"warning: no model.onnx: in float this {row['record'].spec['stages'][0]['bits']}-bit network reaches "
    assert words + f"{row['accuracy'] - shortfall:.2%}, more than 3 points below" in done.err
    assert f"- {words}" in card and "| model.onnx |" not in card
    assert models.class_names_of(tmp_path / "out") == tuple("0123456789")


@pytest.mark.parametrize("kind", ["open", "few"])
def test_sensitivity_starts_from_the_network_as_it_is(
    exports: Callable[[str], Exported], resfront: Resfront, kind: str
) -> None:
    """At the network's own bits and resolution; no stage gets more bits."""
    exported = exports(kind)
    spec, weights = (
        architecture_from_dict(exported.row["record"].spec),
        (exported.path / "weights.safetensors").read_bytes(),
    )
    whole = TrainingConfig(validation_images=0)
    _, held_out = load_images(DataConfig(name="digits"), whole, spec.resolution, torch.device("cpu"))
    found = resfront("sensitivity", exported.path, "--data", "digits", "--max-packed-bytes", "1M", "--json").json
    own = KINDS[kind][0]
    assert found["accuracy"] == measure_accuracy(load_network(spec, weights), held_out)
    assert found["own_bits"] == [own] * 3 and max(found["mix"]["bits"]) <= own
    assert {row["bits"] for row in found["rows"]} == {bits for bits in (8, 6, 4, 3, 2) if bits < own}
    text = resfront("sensitivity", exported.path, "--data", "digits").out
    assert f"baseline: {100 * found['accuracy']:.2f} % at the network's own {own} bits" in text


# --- options --------------------------------------------------------------------------------------


def test_the_batch_axis_is_1_or_open_as_asked(exports: Callable[[str], Exported]) -> None:
    assert [axes(path) for path in exports("few").models] == [[1, 1, 8, 8]] * 3
    exported = exports("open")
    for path in exported.models:
        assert axes(path)[0] == "batch"
        batch = np.ascontiguousarray(exported.validation.normalised(slice(0, 5)).numpy())
        (found,) = session(path).run(None, {"images": batch})
        np.testing.assert_allclose(found, outputs(path, exported.validation, 5), atol=1e-5)


def test_a_network_takes_the_size_at_which_the_study_measured_it(exports: Callable[[str], Exported]) -> None:
    """Its first epoch trained at 8 px; accuracy, latency and file are those at its own 16."""
    exported = exports("open")
    assert exported.row["record"].spec["resolution"] == 16
    assert len(exported.models) == 2
    for path in exported.models:
        assert axes(path)[2:] == [16, 16]
        assert json.loads(session(path).get_modelmeta().custom_metadata_map["resolution"]) == 16
    assert "at 16 px, at the network's bits" in exported.card
    weights = (exported.path / "weights.safetensors").read_bytes()
    network = load_network(architecture_from_dict(dict(exported.row["record"].spec)), weights)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert exported.validation.images.shape[-1] == 16
    assert measure_accuracy(network, exported.validation) == pytest.approx(exported.row["accuracy"], abs=0.005)


def test_the_symmetric_file_has_no_zero_points(exports: Callable[[str], Exported]) -> None:
    exported = exports("few")
    zeros = {
        path.name: [
            onnx.numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer if t.name.endswith("_zero")
        ]
        for path in exported.models
    }
    assert not any(zero.any() for zero in zeros["model.int8.symmetric.onnx"])
    assert {zero.dtype for zero in zeros["model.int8.symmetric.onnx"]} == {np.dtype(np.int8), np.dtype(np.int32)}
    assert any(zero.any() for zero in zeros["model.int8.onnx"])
    assert any(zero.dtype == np.uint8 for zero in zeros["model.int8.onnx"])


def test_measure_times_the_files_of_a_directory(exports: Callable[[str], Exported], resfront: Resfront) -> None:
    exported = exports("few")
    rows = resfront("measure", exported.path, "--json").json
    assert [row["network"] for row in rows] == [path.name for path in exported.models]
    assert [row["precision"] for row in rows] == ["int8", "int8", "float32"]
    assert all(0 < row["latency_ms"] <= row["p90_ms"] < 100 and row["kind"] == "measured" for row in rows)
    (other,) = resfront("measure", exported.path, "--bits", 8, "--json").json
    assert (other["network"], other["precision"]) == (exported.path.name, "int8")
    assert len(resfront("measure", exports("open").path, "--json").json) == 2


def test_files_of_another_network_are_not_taken_for_the_specs(
    exports: Callable[[str], Exported], resfront: Resfront, tmp_path: Path
) -> None:
    mixed = Path(shutil.copytree(exports("few").path, tmp_path / "mixed"))
    shutil.copy(exports("open").path / "model.int8.onnx", mixed)
    done = resfront("measure", mixed)
    assert done.code == 2 and "model.int8.onnx: is the file of another network than spec.json" in done.err
    (mixed / "model.int8.onnx").unlink()
    assert resfront("measure", mixed).code == 0


def test_sensitivity_is_of_the_networks_own_classes(
    exports: Callable[[str], Exported], resfront: Resfront, tmp_path: Path
) -> None:
    letters = Path(shutil.copytree(exports("few").path, tmp_path / "letters"))
    for path in letters.glob("*.onnx"):
        model = onnx.load(path)
        entry = next(entry for entry in model.metadata_props if entry.key == "class_names")
        entry.value = json.dumps(list("abcdefghij"))
        onnx.save(model, path)
    done = resfront("sensitivity", letters, "--data", "digits")
    assert done.code == 2 and "its weights tell a, b, c ... apart, and the classes of digits are 0, 1, 2" in done.err


# --- predict.py -----------------------------------------------------------------------------------


def run_alone(*arguments: str, cwd: Path) -> list[list[str]]:
    """What Python prints, in words, with neither this project's folder nor PYTHONPATH on its path."""
    command = [sys.executable, "-I", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


@pytest.mark.parametrize("kind", ["float", "open", "few"])
def test_predict_classifies_image_files_far_from_the_project(
    study: StudyResults, exports: Callable[[str], Exported], tmp_path: Path, kind: str
) -> None:
    """The files hold the data set's own images, of 8 px, whatever the network's resolution."""
    exported, config = exports(kind), open_study_record(study.directory).config
    script = str(shutil.copytree(exported.path, tmp_path / "taken home") / "predict.py")
    files = [str(tmp_path / f"{number}.png") for number in range(20)]
    _, own = load_images(config.data, config.training, 8, torch.device("cpu"))
    for file, image in zip(files, own.images, strict=False):
        Image.fromarray(image[0].numpy()).save(file)
    model = exported.path / ("model.onnx" if kind == "float" else "model.int8.onnx")
    logits = outputs(model, exported.validation, 20).astype(float)
    printed = run_alone(script, *files, cwd=tmp_path)
    assert [line[0] for line in printed[::6]] == files
    guesses = [int(line[1]) for line in printed[1::6]]
    assert len(printed) == 120 and len(set(guesses)) > 4
    assert sum(guesses == logits.argmax(1)) >= 18
    missing = subprocess.run(
        [sys.executable, "-I", script, "nothing.png", files[0]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert missing.returncode == 1 and len(missing.stderr.splitlines()) == 1 and "nothing.png" in missing.stderr
    assert len(missing.stdout.splitlines()) == 6, "the others are classified"
    no_model = subprocess.run(
        [sys.executable, "-I", script, files[0], "--model", files[1]], capture_output=True, text=True, check=False
    )
    assert no_model.returncode == 1 and len(no_model.stderr.splitlines()) == 1
    best = run_alone(script, files[0], cwd=tmp_path)
    order = logits[0].argsort()[::-1][:5]
    shares = np.exp(logits[0]) / np.exp(logits[0]).sum()
    assert [int(line[1]) for line in best] == list(order)
    assert [float(line[0].rstrip("%")) for line in best] == pytest.approx(list(100 * shares[order]), abs=0.01)


# --- refusals -------------------------------------------------------------------------------------

Patch = pytest.MonkeyPatch


def checker_complains(patch: Patch) -> None:
    patch.setattr(files, "structural_error", lambda model: "Nodes in a graph must be topologically sorted")


def weights_are_off(patch: Patch, by: float = 0.05) -> None:
    """The classifier's bias in every ONNX file is off by a little."""
    original = models.network_values

    def perturbed(network: Any) -> NetworkValues:
        values = original(network)
        layer = values.layers["head_linear1"]
        return replace(
            values, layers={**values.layers, "head_linear1": replace(layer, bias=layer.bias + np.float32(by))}
        )

    patch.setattr(models, "network_values", perturbed)


def integers_are_off(patch: Patch) -> None:
    """The int8 file's classes are in another order."""
    original = models.build_onnx

    def shuffled(graph: Graph, values: NetworkValues, **options: Any) -> onnx.ModelProto:
        if options.get("int8"):
            layer = values.layers["head_linear1"]
            assert layer.steps is not None
            order = np.roll(np.arange(10), 1)
            moved = LayerValues(weight=layer.weight[order], bias=layer.bias[order], steps=layer.steps[order])
            values = replace(values, layers={**values.layers, "head_linear1": moved})
        return original(graph, values, **options)

    patch.setattr(models, "build_onnx", shuffled)


def accuracy_is_off(patch: Patch, by: float = 0.05) -> None:
    """What onnxruntime classifies right is a little less."""
    original = models.check_onnx_file

    def less(*args: Any, **options: Any) -> FileCheck:
        check = original(*args, **options)
        return replace(check, accuracy=check.accuracy - by)

    patch.setattr(models, "check_onnx_file", less)


def layers_do_not_fuse(patch: Patch) -> None:
    """An operator that changes nothing stands between a convolution and its quantization."""
    original = models.build_onnx

    def with_max(*args: Any, **options: Any) -> onnx.ModelProto:
        model = original(*args, **options)
        if options.get("int8"):
            put_between(model, "stage2_block1_conv1_quantize", "Max")
        return model

    patch.setattr(models, "build_onnx", with_max)


def put_between(model: onnx.ModelProto, reader: str, kind: str) -> None:
    """Put an operator of the input, twice, in front of the node called `reader`."""
    nodes = list(model.graph.node)
    place = next(i for i, node in enumerate(nodes) if node.name == reader)
    source = nodes[place].input[0]
    nodes[place].input[0] = "between"
    nodes.insert(place, onnx.helper.make_node(kind, [source, source], ["between"], name="between"))
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def program_is_off(patch: Patch) -> None:
    original = models.export_program

    def of_other_weights(network: GraphNetwork, resolution: int) -> bytes:
        other = copy.deepcopy(network)
        next(reversed(list(other.parameters()))).data += 2e-4
        return original(other, resolution)

    patch.setattr(models, "export_program", of_other_weights)


@pytest.mark.parametrize(
    ("kind", "damage", "message"),
    [
        ("float", checker_complains, "model.onnx: onnx's checker: Nodes in a graph must be topologically sorted"),
        ("float", weights_are_off, "model.onnx: 'head_linear1' differs in 100.00% of its values"),
        ("float", accuracy_is_off, "model.onnx: reaches "),
        ("few", accuracy_is_off, "model.int8.onnx: reaches "),
        ("8", integers_are_off, "model.int8.onnx: 'head_linear1' differs in"),
        ("few", layers_do_not_fuse, "model.int8.onnx: the runtime computes stage2_block1_conv1 in float"),
        ("float", program_is_off, "model.pt2: outputs in float64 differ from torch's by"),
    ],
)  # fmt: skip
def test_what_is_not_the_network_is_not_written(
    study: StudyResults,
    resfront: Resfront,
    monkeypatch: Patch,
    tmp_path: Path,
    kind: str,
    damage: Callable[[Patch], None],
    message: str,
) -> None:
    row = trial_of(study, *KINDS[kind][:2])
    damage(monkeypatch)
    done = resfront(*export_arguments(study, row, tmp_path / "out"))
    assert done.code == 6, done.err
    last = done.err.strip().splitlines()[-1]
    assert last.startswith(f"error: {message}")
    assert last.endswith(
        f"; nothing was written; the rest can be written without it: --without {message.split(':')[0]}"
    )
    assert list(tmp_path.iterdir()) == []
    assert done.out == ""


@pytest.fixture
def without_weights(study: StudyResults) -> Iterator[Any]:
    """A trial whose weights were not kept, whether it is on the front or not."""
    row = trial_of(study, 8, 8)
    path = weights_path(study.directory, int(row["trial"]))
    kept = path.read_bytes() if path.exists() else None
    path.unlink(missing_ok=True)
    yield row
    if kept is not None:
        path.write_bytes(kept)


def another_draw(patch: Patch) -> None:
    """The training ends with other weights."""
    original = export.evaluate
    patch.setattr(export, "evaluate", lambda candidate: original(replace(candidate, seed=candidate.seed + 1)))


def test_a_trial_that_is_trained_again_elsewhere_has_an_accuracy_of_its_own(
    study: StudyResults, resfront: Resfront, monkeypatch: Patch, tmp_path: Path, without_weights: Any
) -> None:
    """On another processor other digits are no mistake, and the card says which are the file's."""
    monkeypatch.setattr("runners.provenance.processor_kind", lambda: "Z80, 8 bits")
    another_draw(monkeypatch)
    done = resfront(*export_arguments(study, without_weights, tmp_path / "out"))
    assert done.code == 0, done.err
    card = (tmp_path / "out" / "card.md").read_text()
    (note,) = re.findall(r"^- (trained again on Z80, 8 bits, 1 thread: .*)$", card, re.MULTILINE)
    assert note in done.err
    again, before = re.findall(r"([\d.]+)%", note)
    assert float(before) == pytest.approx(100 * without_weights["accuracy"], abs=0.01)
    assert again != before
    assert f"| Accuracy of these weights | {again} % |" in card


def test_a_trial_that_is_trained_again_has_the_digits_that_it_had(
    study: StudyResults, resfront: Resfront, monkeypatch: Patch, tmp_path: Path, without_weights: Any
) -> None:
    done = resfront(*export_arguments(study, without_weights, tmp_path / "out"))
    assert done.code == 0, done.err
    assert "training it again" in done.err and "trained again on" not in done.err
    another_draw(monkeypatch)
    done = resfront(*export_arguments(study, without_weights, tmp_path / "other"))
    assert done.code == 6 and "the study reported" in done.err
    assert not (tmp_path / "other").exists()


def test_a_study_of_other_conventions_neither_goes_on_nor_trains_again(
    study: StudyResults, resfront: Resfront, tmp_path: Path, without_weights: Any
) -> None:
    """Figures of two kinds would stand in one table. What has been found can still be looked at."""
    runs = tmp_path / "runs"
    shutil.copytree(study.directory.parent, runs)
    path = runs / study.name / "study.toml"
    text = path.read_text()
    assert f"conventions = {CONVENTIONS}\n" in text
    path.write_text(text.replace(f"conventions = {CONVENTIONS}\n", ""))
    done = resfront("search", "--resume", "--name", study.name, "--runs", runs)
    assert done.code == 2 and f"made by another version of resfront (conventions 1, now {CONVENTIONS})" in done.err
    arguments = ("export", study.name, "--trial", without_weights["trial"], "-o", tmp_path / "out", "--runs", runs)
    done = resfront(*arguments)
    assert done.code == 2 and "another version of resfront" in done.err
    assert not (tmp_path / "out").exists()
    for command in (
        ("fidelity", study.name),
        ("compare", "--study", study.name, "--as-study", "--references", "resnet8"),
    ):
        done = resfront(*command, "--runs", runs)
        assert done.code == 2 and "another version of resfront" in done.err
    assert resfront("pareto", study.name, "--runs", runs).code == 0


def test_a_difference_within_the_tolerance_is_written(
    study: StudyResults, resfront: Resfront, monkeypatch: Patch, tmp_path: Path
) -> None:
    """Last digits, as another processor may have them, and three of 287 images."""
    weights_are_off(monkeypatch, by=5e-5)
    accuracy_is_off(monkeypatch, by=3 / 287)
    done = resfront(*export_arguments(study, trial_of(study, 32, 8), tmp_path / "out"))
    assert done.code == 0, done.err
    assert re.search(r"model.onnx: .*outputs on 287 images within \d.\de-0[56] of the largest", done.err)


def test_a_directory_that_is_there_is_left_alone(
    study: StudyResults, resfront: Resfront, exports: Callable[[str], Exported]
) -> None:
    exported = exports("float")
    before = {path.name: path.read_bytes() for path in exported.path.iterdir()}
    done = resfront(*export_arguments(study, exported.row, exported.path))
    assert done.code == 3
    assert "exists already" in done.err
    assert {path.name: path.read_bytes() for path in exported.path.iterdir()} == before


def test_the_dashboard_exports_through_the_command_line(study: StudyResults) -> None:
    """What its button starts: the command in a process of its own, below the study, with files that compute."""
    exporter, trial = Exporter(study.directory.parent), int(trial_of(study, 8, 8)["trial"])
    try:
        job = exporter.start("tiny", trial)
        deadline = time.monotonic() + 120
        while job is not None and job.state == "running":
            assert time.monotonic() < deadline, job.lines
            time.sleep(0.2)
            job = exporter.job("tiny", trial)
    finally:
        exporter.close()
    assert job is not None and job.state == "done", job
    assert job.directory == study.directory / "exports" / f"trial-{trial:05d}"
    assert {name for name, _ in job.files} >= {"model.onnx", "model.int8.onnx", "spec.json", "weights.safetensors"}
    (logits,) = session(job.directory / "model.int8.onnx").run(None, {"images": np.zeros((1, 1, 8, 8), np.float32)})
    assert logits.shape == (1, 10) and np.isfinite(logits).all()
