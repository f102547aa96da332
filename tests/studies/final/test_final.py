"""`resfront train`, `compress`, `sensitivity`: real images, every step, and every mistake in one line."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from runners.config import DataConfig, TrainingConfig
from runners.datasets import load_dataset
from runners.network_weights import load_network
from runners.recipes.recipe import trained_recipe
from runners.training.batches import to_device
from runners.training.load_images import load_images
from runners.training.loop import measure_accuracy
from search_space import ArchSpec, Graph, StageSpec, architecture_from_dict, reference
from studies.figures.trainings.run_curves import draw_run_curves
from studies.figures.trainings.waterfall import draw_waterfall, waterfall_info
from studies.final.job import Job, create_job
from tests.faults.studies import write_images
from tests.studies.command import Outcome, Resfront

pytestmark = [pytest.mark.slow, pytest.mark.numbers]
DATA = ("--data", "digits", "--set", "images=600", "--set", "batch_size=32", "--set", "flip=false", "--threads", 1)


def spec_of(block: str, se: bool = False) -> ArchSpec:
    stages = tuple(StageSpec(block=block, se=se, num_blocks=1, width=16 * 2**i, stride=1 + (i > 0)) for i in range(3))
    return ArchSpec(stem="3x3", stem_width=16, stages=stages, in_channels=1, resolution=8)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> object:
    """What is trained once is kept here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESFRONT_DATA", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spec") / "small.json"
    path.write_text(json.dumps(spec_of("basic").to_dict()))
    return path


@pytest.fixture(scope="module")
def trained(spec: Path) -> Path:
    """The spec, trained in float, by the installed command."""
    out = spec.parent / "trained"
    command = [sys.executable, "-m", "studies.cli", "train", spec, *DATA, "--epochs", 3, "-o", out]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert "train" in done.stdout and "test accuracy" in done.stdout
    assert "[3/3]" in done.stderr and "0 s left" in done.stderr
    return out


def result(directory: Path) -> dict:
    found: dict = json.loads((directory / "result.json").read_text())
    return found


def test_accuracy_on_the_test_images_is_that_of_the_weights(trained: Path) -> None:
    found = result(trained)
    data = load_dataset("digits")
    images = to_device(
        data.test_images, data.test_labels, mean=data.mean, std=data.std, resolution=8, device=torch.device("cpu")
    )
    architecture = architecture_from_dict(json.loads((trained / "spec.json").read_text()))
    network = load_network(architecture, (trained / "weights.safetensors").read_bytes())
    assert found["test_accuracy"] == measure_accuracy(network, images) > 0.7
    assert f"{100 * found['test_accuracy']:.2f} % | measured once" in (trained / "card.md").read_text()
    assert {path.name for path in trained.iterdir()} == {
        "card.md", "model.onnx", "model.pt2", "predict.py", "report.html", "result.json", "spec.json",
        "weights.safetensors",
    }  # fmt: skip


def test_compress_in_one_command(resfront: Resfront, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "shipped"
    options = ("--epochs", 2, "--prune", 0.3, "--prune-steps", 2, "--distill-from", trained, "--bits", 8)
    done = resfront("compress", trained, *DATA, *options, "-o", out)
    assert done.code == 0, done.err
    found = result(out)
    steps = {step["name"]: step for step in found["steps"]}
    assert list(steps) == ["start", "prune 1", "fine-tune 1", "prune 2", "fine-tune 2", "quantize"]
    assert steps["start"]["accuracy"] == result(trained)["steps"][-1]["accuracy"]
    assert steps["prune 2"]["costs"]["macs"] <= 0.7 * steps["start"]["costs"]["macs"]
    assert steps["quantize"]["costs"]["file_bytes"] < 0.3 * steps["start"]["costs"]["file_bytes"]
    assert steps["quantize"]["accuracy"] > 0.6
    assert [step["name"] for step in found["without_teacher"]] == list(steps)
    gain = steps["quantize"]["accuracy"] - found["without_teacher"][-1]["accuracy"]
    assert (
        f"worth {100 * gain:+.2f} points" in done.out and f"{100 * gain:+.2f} points" in (out / "card.md").read_text()
    )
    lines = done.out.splitlines()
    assert [line.split("  ")[0] for line in lines[1:7]] == list(steps)
    _file_is_as_good(out, steps["quantize"]["accuracy"])
    shown = resfront("show", out, "--json").json
    assert shown["macs"] == steps["quantize"]["costs"]["macs"]
    assert resfront("measure", out, "--json").json[0]["latency_ms"] > 0
    graph = onnx.load(out / "model.onnx").graph
    (stem,) = [init for init in graph.initializer if list(init.dims)[1:] == [1, 3, 3]][:1]
    assert stem.dims[0] % 8 == 0


def _file_is_as_good(directory: Path, accuracy: float) -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.x64quantprecision", "1")
    runtime = onnxruntime.InferenceSession(str(directory / "model.int8.onnx"), options, ["CPUExecutionProvider"])
    _, validation = load_images(
        DataConfig(name="digits"), TrainingConfig(images=600, validation_images=0), 8, torch.device("cpu")
    )
    images = np.ascontiguousarray(validation.normalised(slice(0, len(validation))).numpy())
    guesses = [runtime.run(None, {"images": image[None]})[0].argmax() for image in images]
    assert float((np.array(guesses) == validation.labels.numpy()).mean()) == pytest.approx(accuracy, abs=0.008)


@pytest.mark.usefixtures("without_program")
@pytest.mark.parametrize(("block", "se"), [("bottleneck", True), ("depthwise", False), ("ghost", True)])
def test_every_block_goes_the_whole_way(resfront: Resfront, tmp_path: Path, block: str, se: bool) -> None:
    (tmp_path / "net.json").write_text(json.dumps(spec_of(block, se).to_dict()))
    options = ("--epochs", 1, "--prune", 0.25, "--fine-tune-epochs", 1, "--bits", "8,4,8", "--qat-epochs", 1)
    options = (*options, "--channel-multiple", 4)
    done = resfront("train", tmp_path / "net.json", *DATA, *options, "-o", tmp_path / "out")
    assert done.code == 0, done.err
    names = [step["name"] for step in result(tmp_path / "out")["steps"]]
    assert names == ["start", "train", "prune", "fine-tune", "quantize"]
    macs = [step["costs"]["macs"] for step in result(tmp_path / "out")["steps"]]
    assert macs[-1] <= 0.75 * macs[0]


@pytest.mark.usefixtures("without_program")
def test_pruning_to_a_latency(
    resfront: Resfront, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device whose milliseconds are the MACs in units of 100,000."""
    from contextlib import contextmanager

    from studies.final import job

    @contextmanager
    def fake() -> object:
        yield lambda graph: sum(node.macs for node in graph.nodes) / 1e5

    monkeypatch.setattr(job, "measured_latency", fake)
    before = result(trained)["steps"][-1]["costs"]["macs"] / 1e5
    options = ("--epochs", 0, "--prune-to", f"latency_ms={0.5 * before}")
    done = resfront("compress", trained, *DATA, *options, "-o", tmp_path / "fast")
    assert done.code == 0, done.err
    steps = result(tmp_path / "fast")["steps"]
    assert [step["name"] for step in steps] == ["start", "prune"]
    assert 0.3 * before < steps[-1]["latency_ms"] <= 0.5 * before
    assert "was asked for" not in done.err


@pytest.mark.usefixtures("without_program")
def test_a_latency_that_was_met_once_and_not_again_is_said(
    resfront: Resfront, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever times a network the second time finds other work on the machine."""
    from contextlib import contextmanager

    from studies.final import job

    seen: list[object] = []

    def timed(graph: Graph) -> float:
        seen.append(graph)
        return seen.count(graph) * sum(node.macs for node in graph.nodes) / 1e5

    @contextmanager
    def fake() -> object:
        yield timed

    monkeypatch.setattr(job, "measured_latency", fake)
    asked = 0.5 * result(trained)["steps"][-1]["costs"]["macs"] / 1e5
    options = ("--epochs", 0, "--prune-to", f"latency_ms={asked}")
    done = resfront("compress", trained, *DATA, *options, "-o", tmp_path / "fast")
    assert done.code == 0, done.err
    took = result(tmp_path / "fast")["steps"][-1]["latency_ms"]
    assert took > asked
    words = f"latency_ms <= {asked:.3g} was asked for; the network that ships took {took:.3g}"
    assert f"warning: {words}" in done.err
    assert words in (tmp_path / "fast" / "card.md").read_text()


@pytest.mark.usefixtures("without_program")
def test_a_result_that_is_slower_than_what_was_given_says_so(
    resfront: Resfront, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device on which 8 bits take twice as long as float: smaller and slower; back in float, larger alone."""
    from contextlib import contextmanager

    from studies.final import job

    @contextmanager
    def fake() -> object:
        yield lambda graph: 1.0 if graph.nodes[1].bits == 32 else 2.0

    monkeypatch.setattr(job, "measured_latency", fake)
    for start, bits, words in (
        (trained, 8, "Latency, measured 2 ms instead of 1 ms"),
        (tmp_path / "8", 32, "File size "),
    ):
        out = tmp_path / str(bits)
        done = resfront("compress", start, *DATA, "--epochs", int(bits == 32), "--bits", bits, "-o", out)
        assert done.code == 0, done.err
        (note,) = [line for line in done.err.splitlines() if line.startswith("note: ")]
        assert note.startswith("note: the result is larger or slower than what was given: ") and words in note
        assert ("Latency" in note) is (bits == 8) and ("File size" in note) is (bits == 32)
        assert f"Note: {note.removeprefix('note: ')}." in (out / "card.md").read_text()


@pytest.mark.usefixtures("without_program")
def test_a_network_of_few_bits_goes_the_whole_way(resfront: Resfront, trained: Path, tmp_path: Path) -> None:
    """The float file, if there is one, is as good as the network at its bits; and the network can be gone on with."""
    out = tmp_path / "four"
    done = resfront("compress", trained, *DATA, "--epochs", 0, "--bits", 4, "--qat-epochs", 2, "-o", out)
    assert done.code == 0, done.err
    accuracy, card = result(out)["steps"][-1]["accuracy"], (out / "card.md").read_text()
    assert accuracy > 0.6
    stated = re.search(r"^\| model\.onnx \| [\d,]+ \| ([\d.]+) % \|$", card, re.MULTILINE)
    assert stated and float(stated[1]) > 100 * accuracy - 3
    assert "the weights that the 4-bit integers stand for" in card
    (out / "model.onnx").unlink()  # as where it falls short
    found = resfront("sensitivity", out, "--data", "digits", "--json").json
    assert found["accuracy"] == accuracy and found["own_bits"] == [4, 4, 4]
    again = resfront("compress", out, *DATA, "--epochs", 0, "--prune", 0.2, "-o", tmp_path / "pruned")
    assert again.code == 0, again.err
    assert result(tmp_path / "pruned")["steps"][0]["accuracy"] == accuracy


@pytest.mark.usefixtures("without_program")
def test_each_stage_has_its_share(resfront: Resfront, trained: Path, tmp_path: Path) -> None:
    options = ("--epochs", 0, "--prune", "0.3/0.3/0.6", "--channel-multiple", 1)
    done = resfront("compress", trained, *DATA, *options, "-o", tmp_path / "stages")
    assert done.code == 0, done.err
    before = spec_of("basic").build_graph()
    after = architecture_from_dict(json.loads((tmp_path / "stages" / "spec.json").read_text())).build_graph()
    for stage, share in ((1, 0.3), (2, 0.3), (3, 0.6)):
        name = f"stage{stage}_"
        was, now = (sum(n.macs for n in graph.nodes if n.name.startswith(name)) for graph in (before, after))
        assert now <= (1 - share) * was


@pytest.mark.usefixtures("without_program")
def test_interrupted_and_resumed(spec: Path, tmp_path: Path, resfront: Resfront) -> None:
    """Ctrl-C after the first epoch; the rest gives what an uninterrupted run gives, and nothing was half-written."""
    out = tmp_path / "net"
    command = [sys.executable, "-m", "studies.cli", "train", spec, *DATA, "--epochs", 12, "-o", out]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen([str(part) for part in command], stderr=log, stdout=log)
        deadline = time.monotonic() + 120
        while "[1/12]" not in (tmp_path / "log").read_text():
            assert time.monotonic() < deadline and process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(60) == 130, (tmp_path / "log").read_text()
    assert f"--resume {out}" in (tmp_path / "log").read_text()
    assert not (out / "spec.json").exists() and (out / "checkpoint.pt").exists()
    refused = resfront("train", spec, *DATA, "-o", out)
    assert refused.code == 3 and f"--resume {out}" in refused.err
    done = resfront("train", "--resume", out)
    assert done.code == 0, done.err
    assert "[12/12]" in done.err and "[1/12]" not in done.err
    assert len(result(out)["curve"]) == 12
    assert not (out / "checkpoint.pt").exists() and not (out / "job.json").exists()
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.usefixtures("without_program")
def test_a_job_whose_images_have_moved_goes_on(tmp_path: Path, resfront: Resfront) -> None:
    """With --data-dir, at the same images only; what somebody wrote into job.json is checked."""
    pictures, others = write_images(tmp_path / "pictures"), write_images(tmp_path / "others", seed=1)
    data = DataConfig(name="image-folder", path=pictures, resolution=8)
    dataset = load_dataset("image-folder", pictures, resolution=8)
    spec = reference("resnet8", num_classes=dataset.num_classes, resolution=dataset.resolution)
    training = TrainingConfig(images=0, validation_images=0, epochs=1, batch_size=4)
    recipe = trained_recipe(spec, data, training, fingerprint=dataset.fingerprint, seed=0)
    out = tmp_path / "net"
    create_job(out, Job(name="resnet8", recipe=recipe, control=False), None)
    pictures.rename(tmp_path / "moved")
    lost = resfront("train", "--resume", out)
    assert lost.code == 2, lost.err
    refused = resfront("train", "--resume", out, "--data-dir", others)
    assert refused.code == 2 and "these are other images" in refused.err
    text = (out / "job.json").read_text()
    (out / "job.json").write_text(text.replace('"threads": 1', '"threads": "many"'))
    broken = resfront("train", "--resume", out, "--data-dir", tmp_path / "moved")
    assert broken.code == 2 and "threads must be a whole number" in broken.err
    (out / "job.json").write_text(text)
    done = resfront("train", "--resume", out, "--data-dir", tmp_path / "moved")
    assert done.code == 0, done.err
    assert (out / "weights.safetensors").exists()


def test_sensitivity_proposes_a_mix(resfront: Resfront, trained: Path) -> None:
    found = resfront("sensitivity", trained, "--data", "digits", "--max-packed-bytes", "30k", "--json").json
    assert len(found["rows"]) == 3 * 5
    accuracy = {(row["stage"], row["bits"]): row["accuracy"] for row in found["rows"]}
    mix = found["mix"]
    assert mix["packed_bytes"] <= 30e3 and len(mix["bits"]) == 3
    losses = [max(0.0, found["accuracy"] - accuracy[i, b]) for i, b in enumerate(mix["bits"], start=1)]
    assert mix["expected_loss"] == pytest.approx(sum(losses))
    table = resfront("sensitivity", trained, "--data", "digits", "--max-packed-bytes", "30k").out
    assert f"--bits {','.join(map(str, mix['bits']))}" in table
    assert f"baseline: in float {100 * found['accuracy']:.2f} %" in table
    impossible = resfront("sensitivity", trained, "--data", "digits", "--max-packed-bytes", "1k")
    assert impossible.code == 2 and "the smallest network has" in impossible.err


MISTAKES = [
    (("train",), 2, "give a spec or --reference"),
    (("train", "--reference", "resnet20", "--epochs", "1"), 2, "give -o DIR"),
    (("train", "--reference", "resnet21", "-o", "x"), 2, "did you mean"),
    (("train", "nothing.json", "-o", "x"), 2, "no such file"),
    (("train", "--reference", "resnet8", "--bits", "x", "-o", "x"), 2, "--bits x: write a number"),
    (("train", "--reference", "resnet8", "--bits", "5", "-o", "x"), 2, "bits: must be"),
    (("train", "--reference", "resnet8", "--prune", "1.5", "-o", "x"), 2, "between 0 and 1"),
    (("train", "--reference", "resnet8", "--prune", ".3", "--prune-to", "macs=1M", "-o", "x"), 2, "one of the two"),
    (("train", "--reference", "resnet8", "--prune", "0.1/0.2", "-o", "x"), 2, "2 shares do not fit the stages"),
    (("train", "--reference", "resnet8", "--prune-to", "accuracy=0.5", "-o", "x"), 2, "name a cost"),
    (("train", "--reference", "resnet8", "--set", "epocs=1", "-o", "x"), 2, "did you mean 'epochs'"),
    (("train", "--reference", "resnet8", "--data", "digit", "-o", "x"), 2, "did you mean 'digits'"),
    (("train", "--reference", "resnet8", "--importance", "size", "-o", "x"), 2, "taylor or magnitude"),
    (("train", "--reference", "resnet8", "--distill-from", "resnet9x", "-o", "x"), 2, "unknown reference"),
    (
        ("train", "--reference", "resnet8", "--distill-from", "resnet8", "--temperature", "0", "-o", "x"),
        2,
        "temperature",
    ),
    (("train", "--reference", "resnet8", "--device", "cuda:7", "-o", "x"), 2, "CUDA devices"),
    (("train", "--reference", "resnet8", "--device", "cuda:x", "-o", "x"), 2, "device"),
    (("train", "--reference", "resnet8", "--threads", "-1", "-o", "x"), 2, "threads"),
    (("train", "--reference", "resnet8", "--prune", "0.97", "-o", "x"), 2, "pruning leaves at least"),
    (("train", "--reference", "resnet8", "--prune-to", "latency_ms@ssh:me@there=1", "-o", "x"), 2, "only this host's"),
    (("train", "--reference", "resnet8", "-o", "."), 3, "cannot be replaced"),
    (("train", "--reference", "resnet8", "--bits", "4", "--qat-epochs", "0", "-o", "x"), 2, "need --qat-epochs"),
    (("train", "--resume", "nothing"), 3, "no such directory"),
    (("train", "--resume", "."), 3, "no unfinished job"),
    (("train", "--reference", "resnet8", "--hard-weight", "2", "-o", "x"), 2, "hard weight"),
    (("train", "--reference", "resnet8", "--prune-to", "latency_ms=1us", "-o", "x"), 2, "pruning leaves at least"),
    (("compress",), 2, "give the directory"),
    (("compress", "--data", "digits", "-o", "x", "SPEC"), 2, "train it first"),
]


@pytest.mark.parametrize(("args", "code", "words"), MISTAKES)
def test_a_mistake_is_one_line_and_writes_nothing(
    resfront: Resfront,
    spec: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    args: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    done: Outcome = resfront(*(str(spec) if arg == "SPEC" else arg for arg in args))
    assert done.code == code, done.err
    assert words in done.err and len(done.err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_not_those_of_the_spec(resfront: Resfront, trained: Path, tmp_path: Path) -> None:
    """Said before anything is begun: of the network itself, of a teacher, and for the table of bits."""
    broken = shutil.copytree(trained, tmp_path / "broken")
    (broken / "weights.safetensors").write_bytes((trained / "weights.safetensors").read_bytes()[:2000])
    for command in (
        ("compress", broken, *DATA, "--prune", 0.3, "-o", tmp_path / "out"),
        ("compress", trained, *DATA, "--prune", 0.3, "--distill-from", broken, "-o", tmp_path / "out"),
        ("sensitivity", broken, "--data", "digits"),
    ):
        done = resfront(*command)
        assert done.code == 2 and "not the weights of this spec" in done.err and len(done.err.strip().splitlines()) == 1
        assert not done.err.strip().endswith(":")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("without_program")
def test_weights_for_other_classes_are_refused(resfront: Resfront, trained: Path, tmp_path: Path) -> None:
    """As many classes and channels, and still other images: as a network to go on with, and as a teacher."""
    other = shutil.copytree(trained, tmp_path / "other")
    model = onnx.load(other / "model.onnx")
    names = next(entry for entry in model.metadata_props if entry.key == "class_names")
    names.value = json.dumps(["shirt", "coat", "bag", *"0123456"])
    onnx.save(model, other / "model.onnx")
    for network, options in ((other, ()), (trained, ("--distill-from", other))):
        done = resfront("compress", network, *DATA, "--prune", 0.3, *options, "-o", tmp_path / "out")
        assert done.code == 2 and "its weights tell shirt, coat, bag ... apart" in done.err
    assert not (tmp_path / "out").exists()
    (other / "model.onnx").write_bytes(b"no model")  # who does not say is believed
    done = resfront("compress", other, *DATA, "--epochs", 0, "--prune", 0.3, "-o", tmp_path / "out")
    assert done.code == 0, done.err


@pytest.mark.usefixtures("without_program")
def test_a_directory_with_the_name_of_a_network(
    resfront: Resfront, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An argument is a path, `--reference` a name; a teacher is a name unless it is written as a path."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained, "resnet20")
    done = resfront("compress", "resnet20", *DATA, "--epochs", 0, "--prune", 0.3, "-o", "pruned")
    assert done.code == 0, done.err
    assert json.loads(Path("pruned/spec.json").read_text())["pruned"] == spec_of("basic").to_dict()
    options = (*DATA, "--epochs", 1, "--no-control", "--distill-from", "./resnet20")
    done = resfront("train", "--reference", "resnet8", *options, "-o", "named")
    assert done.code == 0, done.err
    taught_by = result(Path("named"))["recipe"]["teacher"]
    assert taught_by["sha256"] == hashlib.sha256((trained / "weights.safetensors").read_bytes()).hexdigest()
    assert "no such file" in resfront("train", "resnet8", *DATA, "-o", "x").err


@pytest.mark.usefixtures("without_program")
def test_a_few_bit_network_needs_no_options(resfront: Resfront, tmp_path: Path) -> None:
    """Its own bits are kept, and some epochs train at them."""
    (tmp_path / "net.json").write_text(json.dumps(spec_of("basic").with_bits(4).to_dict()))
    done = resfront("train", tmp_path / "net.json", *DATA, "--epochs", 1, "-o", tmp_path / "out")
    assert done.code == 0, done.err
    assert [(step["name"], step["epochs"]) for step in result(tmp_path / "out")["steps"]][1:] == [
        ("train", 1),
        ("quantize", 1),
    ]


def test_figures_show_every_step(trained: Path) -> None:
    from runners.candidate import Epoch
    from runners.recipes.results import StepResult

    found = result(trained)
    steps = [StepResult(**{**step, "accuracy": step["accuracy"] or float("nan")}) for step in found["steps"]]
    info = waterfall_info(steps)
    assert info.steps == ("train",)
    assert [name for name, _ in info.panels] == ["accuracy", "macs", "file_bytes", "latency_ms"]
    assert len(draw_waterfall(info).data) == 4
    curve = [Epoch(**point) for point in found["curve"]]
    assert list(draw_run_curves(curve).data[0].y) == [point.metric for point in curve]
