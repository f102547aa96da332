"""The command line as a user types it: a real study on real images, its commands, and every mistake in one line."""

import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from runners.config import CONVENTIONS
from runners.network_weights import load_network
from runners.storage.study_files import study_lock
from search_space import ArchSpec, architecture_from_dict, build_network, reference_names
from tests.studies.command import Resfront
from tests.studies.synthetic import write_study

pytestmark = pytest.mark.numbers

CONFIG = """
objectives = ["accuracy", "macs", "file_bytes"]
[data]
name = "digits"
validation_fraction = 0.2
[space]
depth = [18, 26]
base_width = [8, 8]
blocks = ["basic", "bottleneck"]
resolution = [8]
bits = [32, 8, 4]
[training]
epochs = 4
images = 700
batch_size = 32
[search]
trials = 5
sampler = "random"
seed = 1
[workers]
workers = 1
threads = 1
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with one finished study, `digits`, run by the installed command."""
    runs = tmp_path_factory.mktemp("runs")
    (runs / "digits.toml").write_text(CONFIG)
    command = [sys.executable, "-m", "studies.cli", "search", str(runs / "digits.toml"), "--runs", str(runs)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert "report: " in done.stdout
    assert done.stderr.count("trial ") >= 5
    return runs


@pytest.fixture(scope="module")
def exported(runs: Path) -> Path:
    """The study's knee, exported by the installed command; not to be changed."""
    out = runs / "deep" / "knee"
    command = [sys.executable, "-m", "studies.cli", "export", "digits", "--knee", "-o", str(out), "--runs", str(runs)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(out)
    return out


# --- a study, from launch to export ----------------------------------------------------------------


def test_status_counts_what_the_study_did(resfront: Resfront, runs: Path) -> None:
    status = resfront("status", "digits", "--runs", runs, "--json").json
    assert status["completed"] == 5
    assert status["failed"] == status["unfinished"] == 0
    assert 0 < status["hypervolume"] < 1


def test_studies_are_listed_with_their_states(resfront: Resfront, runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "digits", tmp_path / "digits")
    write_study(tmp_path / "drone", trials=20)
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "study.toml").write_text("a =")
    (tmp_path / "no study").mkdir()
    found = {one["name"]: one for one in resfront("studies", "--runs", tmp_path, "--json").json["studies"]}
    assert {name: one["state"] for name, one in found.items()} == {
        "digits": "done",
        "drone": "stopped",
        "odd": "damaged",
    }
    assert (found["digits"]["evaluated"], found["digits"]["trials"]) == (5, 5)
    assert found["digits"]["best"] == max(
        one["values"]["accuracy"] for one in resfront("pareto", "digits", "--runs", runs, "--json").json["front"]
    )
    lines = resfront("studies", "--runs", tmp_path).out.splitlines()
    assert len(lines) == 4 and any(re.match(r"digits +done +5 of 5 +\d+ networks? ", line) for line in lines)
    assert any(re.match(r"odd +damaged .*odd/study.toml: ", line) for line in lines)
    empty = resfront("studies", "--runs", tmp_path / "no study")
    assert (empty.code, empty.out) == (0, "") and "start one" in empty.err
    assert resfront("studies", "--runs", tmp_path / "nowhere").code == 2


def test_version(resfront: Resfront) -> None:
    assert resfront("--version") == (0, f"resfront {version('resfront')}\n", "")


def test_pareto_lists_networks_that_can_be_rebuilt(resfront: Resfront, runs: Path) -> None:
    found = resfront("pareto", "digits", "--runs", runs, "--json").json
    assert found["front"]
    for member in found["front"]:
        assert set(member) >= {"trial", "values", "spec", "feasible"}
        assert member["feasible"] is True
        network = build_network(ArchSpec.from_dict(member["spec"]))
        assert sum(p.numel() for p in network.parameters()) == member["values"]["params"]
    accuracies = [member["values"]["accuracy"] for member in found["front"]]
    assert accuracies == sorted(accuracies, reverse=True)
    assert found["knee"] in [member["trial"] for member in found["front"]]
    table = resfront("pareto", "digits", "--runs", runs).out
    assert "knee" in table and len(table.partition("\n\n")[0].splitlines()) == 1 + len(found["front"])
    assert "4 epochs of 700 images" in table


def test_a_trained_network_is_better_than_chance(resfront: Resfront, runs: Path) -> None:
    front = resfront("pareto", "digits", "--runs", runs, "--json").json["front"]
    assert max(member["values"]["accuracy"] for member in front) > 0.3


def test_export_is_the_network_that_the_study_reported(resfront: Resfront, runs: Path, exported: Path) -> None:
    found = resfront("pareto", "digits", "--runs", runs, "--json").json
    out = exported
    names = {path.name for path in out.iterdir()}
    assert names >= {"card.md", "model.onnx", "model.pt2", "predict.py", "spec.json", "weights.safetensors"}
    member = next(m for m in found["front"] if m["trial"] == found["knee"])
    spec = json.loads((out / "spec.json").read_text())
    assert spec == member["spec"]
    card = (out / "card.md").read_text()
    assert f"{100 * member['values']['accuracy']:.2f} %" in card
    assert f"{member['values']['macs']:,.0f}" in card
    network = load_network(architecture_from_dict(spec), (out / "weights.safetensors").read_bytes())
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    shown = resfront("show", out, "--json").json
    assert shown["macs"] == member["values"]["macs"] and shown["key"] == ArchSpec.from_dict(spec).key
    assert resfront("export", "digits", "--knee", "-o", out, "--runs", runs).code == 3


def test_a_trial_off_the_front_is_trained_again_to_the_same_accuracy(
    resfront: Resfront, runs: Path, tmp_path: Path
) -> None:
    found = resfront("pareto", "digits", "--runs", runs, "--json").json
    on_front = {member["trial"] for member in found["front"]}
    others = sorted(set(range(5)) - on_front)
    if not others:
        pytest.skip("all five are on the front")
    done = resfront("export", "digits", "--trial", others[0], "-o", tmp_path / "off", "--runs", runs)
    assert done.code == 0, done.err
    assert "training it again" in done.err


def test_damaged_weights_are_not_exported(resfront: Resfront, runs: Path, tmp_path: Path) -> None:
    from safetensors.torch import load, save

    found = resfront("pareto", "digits", "--runs", runs, "--json").json
    weights = runs / "digits" / "trials" / f"{found['front'][0]['trial']:05d}" / "weights.safetensors"
    kept = weights.read_bytes()
    zeros = {name: torch.zeros_like(tensor) for name, tensor in load(kept).items()}
    weights.write_bytes(save(zeros, metadata={"conventions": str(CONVENTIONS)}))
    try:
        done = resfront("export", "digits", "--trial", found["front"][0]["trial"], "-o", tmp_path / "x", "--runs", runs)
    finally:
        weights.write_bytes(kept)
    assert done.code == 6
    assert "the study reported" in done.err
    assert list(tmp_path.iterdir()) == []


def test_report_is_written_where_asked(resfront: Resfront, runs: Path, tmp_path: Path) -> None:
    done = resfront("report", "digits", "-o", tmp_path / "r.html", "--runs", runs)
    assert done.out.strip() == str(tmp_path / "r.html")
    assert "<html" in (tmp_path / "r.html").read_text()[:500]


def test_a_finished_study_is_neither_overwritten_nor_changed(resfront: Resfront, runs: Path) -> None:
    again = resfront("search", runs / "digits.toml", "--runs", runs)
    assert again.code == 3
    assert "--resume" in again.err
    before = (runs / "digits" / "study.toml").read_bytes()
    changes = {
        "space.depth=[18,32]": "space.depth: [18, 26] -> [18, 32]",
        "objectives=['accuracy','bops']": "objectives",
        "data.name='fashion-mini'": "data.name: digits -> fashion-mini",
        "training.epochs=3": "training.epochs: 4 -> 3",
        "search.seed=4": "search.seed: 1 -> 4",
        "search.stop_confidence=0": "search.stop_confidence: 0.95 -> 0.0",
        "search.sampler=tpe": "search.sampler: random -> tpe",
    }
    for setting, difference in changes.items():
        refused = resfront("search", "--resume", "--name", "digits", "--set", setting, "--runs", runs)
        assert refused.code == 2, setting
        assert difference in refused.err
    options = ("--set", "search.rungs=[0.25]", "--set", "training.images=100")
    refused = resfront("search", "--resume", "--name", "digits", *options, "--runs", runs)
    assert refused.code == 2 and "search.rungs: [] -> [0.25]" in refused.err
    assert (runs / "digits" / "study.toml").read_bytes() == before


def test_limits_change_on_resume_and_trials_are_judged_anew(resfront: Resfront, runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "digits", tmp_path / "digits")
    before = resfront("pareto", "digits", "--runs", tmp_path, "--json").json["front"]
    most = sorted(member["values"]["macs"] for member in before)[0]
    resumed = resfront("search", "--resume", "--name", "digits", "--max", f"macs={most}", "--runs", tmp_path)
    assert resumed.code == 0 and f"limits from now on: macs <= {most:,.0f} (before: none)" in resumed.err
    after = resfront("pareto", "digits", "--runs", tmp_path, "--json").json["front"]
    assert after and all(member["values"]["macs"] <= most for member in after) and len(after) < len(before)
    text = (tmp_path / "digits" / "study.toml").read_text()
    assert "[[resolved.earlier_limits]]" in text
    assert "until" in text and "uses 100 % of the MACs allowed" in resumed.out
    unknown = resfront("search", "--resume", "--name", "digits", "--max", "latency_ms@rpi4=1", "--runs", tmp_path)
    assert unknown.code == 2 and "no trial has latency_ms@rpi4" in unknown.err
    again = resfront("search", runs / "digits.toml", "--resume", "--name", "digits", "--runs", tmp_path)
    assert again.code == 0 and resfront("pareto", "digits", "--runs", tmp_path, "--json").json["front"] == after


def test_resume_of_a_finished_study_with_the_same_total_changes_nothing(resfront: Resfront, runs: Path) -> None:
    before = resfront("pareto", "digits", "--runs", runs, "--json").out
    assert resfront("search", "--resume", "--name", "digits", "--runs", runs).code == 0
    assert resfront("pareto", "digits", "--runs", runs, "--json").out == before


# --- networks --------------------------------------------------------------------------------------


def test_references_json(resfront: Resfront) -> None:
    listed = resfront("references", "--json").json
    assert [entry["name"] for entry in listed] == list(reference_names())
    keys = {"name", "params", "macs", "depth", "file_bytes", "peak_memory_bytes", "resolution"}
    assert all(set(entry) >= keys for entry in listed)
    resnet20 = next(entry for entry in listed if entry["name"] == "resnet20")
    assert (resnet20["params"], resnet20["macs"], resnet20["depth"]) == (272_474, 40_813_184, 20)


def test_show_with_bits_resolution_and_verification(resfront: Resfront) -> None:
    shown = resfront("show", "--reference", "resnet20", "--bits", 8, "--resolution", 16, "--verify", "--json").json
    assert shown["resolution"] == 16
    assert shown["params"] == 272_474
    # 8-bit weights, and a scale and a bias of 4 bytes for each of the channels of all layers.
    channels = 16 + 6 * 16 + 6 * 32 + 32 + 6 * 64 + 64 + 10
    weights = 272_474 - 10 - 2 * (channels - 10)
    assert shown["packed_bytes"] == weights + 8 * channels
    assert all(check["agrees"] for check in shown["checks"]) and len(shown["checks"]) == 3
    table = resfront("show", "--reference", "resnet20", "--bits", "8,4,4").out
    assert "stage3_block3_add" in table and "8/4/4 bits" in table


def test_presets_are_listed_and_valid(resfront: Resfront, tmp_path: Path) -> None:
    names = [entry["name"] for entry in resfront("presets", "--json").json]
    assert names == ["cifar10", "fashion", "imagenet-folder", "quick"]
    for name in names:
        file = tmp_path / f"{name}.toml"
        file.write_text(resfront("presets", name).out)
        assert resfront("validate", file, "--json").json["valid"] is True


# --- mistakes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["serch"], 2, "No such command 'serch'"),
        (["search"], 2, "name a preset"),
        (["search", "quik"], 2, "did you mean 'quick'"),
        (["search", "missing.toml"], 2, "missing.toml: no such file"),
        (["search", "quick", "--trials", "many"], 2, "--trials"),
        (["search", "quick", "--trials", "0"], 2, "search.trials: must be from 1 to 1,000,000, not 0"),
        (["search", "quick", "--name", "../x"], 2, "study '../x'"),
        (["search", "quick", "--set", "space.dephts=[18,20]"], 2, "space.dephts: unknown key; did you mean 'depth'"),
        (["search", "quick", "--set", "training.epochs=0"], 2, "training.epochs"),
        (["search", "quick", "--set", "epochs"], 2, "key.path=value"),
        (["search", "quick", "--set", "space.blocks=['basik']"], 2, "did you mean 'basic'"),
        (["search", "quick", "--set", "space.bits=[5]"], 2, "space.bits"),
        (["search", "quick", "--max", "model_byte=3"], 2, "did you mean 'file_bytes'"),
        (["search", "quick", "--max", "file_bytes"], 2, "objective=value"),
        (["search", "quick", "--max", "file_bytes=-1"], 2, "positive"),
        (["search", "quick", "--max", "file_bytes=100"], 5, "nearest"),
        (["search", "quick", "--max", "macs=2M", "--min", "macs=3M"], 2, "macs >= 3,000,000 (--min) and macs"),
        (["search", "quick", "--min", "accuracy=0.9", "--max", "accuracy=0.5"], 2, "contradict each other"),
        (["search", "quick", "--max", "accuracy=0.5"], 2, "a lower limit is --min accuracy=0.5"),
        (["search", "quick", "--min", "macs=1M", "--max", "params=300"], 5, "the space keeps params <= 300;"),
        (["search", "quick", "--objectives", "accuracy"], 2, "2 to 4"),
        (["search", "quick", "--objectives", "accuracy,macz"], 2, "did you mean 'macs'"),
        (["search", "quick", "--data", "cifar"], 2, "did you mean 'cifar10'"),
        (["search", "quick", "--data", "cifar10", "--data-dir", "nowhere"], 2, "nowhere"),
        (["search", "quick", "--data", "image-folder", "--data-dir", "nowhere"], 2, "nowhere"),
        (["search", "quick", "--sampler", "tpee"], 2, "did you mean 'tpe'"),
        (["search", "quick", "--references", "resnet18"], 2, "resnet18"),
        (["search", "quick", "--set", "search.stop_confidence=0.3"], 2, "or from 0.5 to 0.999, not 0.3"),
        (["search", "quick", "--set", "search.stop_confidence=2"], 2, "or from 0.5 to 0.999, not 2"),
        (["search", "quick", "--set", "search.rungs=[0.5]", "--set", "training.images=60000"], 2, "fashion-mini has "),
        (["search", "quick", "--device", "tpu"], 2, "device"),
        (["search", "quick", "--device", "cuda:99"], 2, "CUDA devices"),
        (["search", "--resume", "--name", "nothing"], 3, "no study"),
        (["status", "nothing"], 3, "no study"),
        (["pareto", "nothing"], 3, "no study"),
        (["report", "nothing"], 3, "no study"),
        (["export", "nothing", "--knee", "-o", "x"], 3, "no study"),
        (["export", "nothing", "-o", "x"], 2, "--knee"),
        (["show"], 2, "--reference"),
        (["show", "nothing.json"], 2, "no such file"),
        (["show", "--reference", "resnet2"], 2, "did you mean 'resnet"),
        (["show", "--reference", "mobilenetv2@big"], 2, "not 'big'"),
        (["show", "--reference", "resnet20", "--bits", "5"], 2, "bits"),
        (["show", "--reference", "resnet20", "--bits", "x"], 2, "--bits x"),
        (["show", "--reference", "resnet20", "--resolution", "1"], 2, "resolution"),
        (["presets", "quik"], 2, "did you mean 'quick'"),
        (["validate", "nothing.toml"], 2, "no such file"),
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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "spec.json"),
        ("[]", "JSON object"),
        ("{}", "schema"),
        ('{"schema": 1, "stem": "3x3", "stem_width": 8, "stages": [], "widht": 3}', "unknown key 'widht'"),
        ('{"schema": 1, "stem": "3x3", "stem_width": 8, "stages": []}', "3 or 4 stages"),
        ('{"schema": 1, "stem": "3x3", "stem_width": 8, "stages": [{"block": "basic"}]}', "stages[1]: missing key"),
        ('{"reference": "mobilenetv9"}', "spec.json"),
    ],
)
def test_a_broken_spec_names_file_and_key(resfront: Resfront, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "spec.json").write_text(text)
    for command in ("show", "validate"):
        done = resfront(command, tmp_path / "spec.json")
        assert done.code == 2
        assert message in done.err and "spec.json" in done.err
        assert len(done.err.strip().splitlines()) == 1


def test_a_damaged_study_is_one_line(resfront: Resfront, tmp_path: Path) -> None:
    (tmp_path / "hurt").mkdir()
    (tmp_path / "hurt" / "study.toml").write_text("objectives = [")
    done = resfront("status", "hurt", "--runs", tmp_path)
    assert done.code == 4
    assert "damaged" in done.err and len(done.err.strip().splitlines()) == 1


def test_a_study_of_an_earlier_version_is_refused_in_one_line(resfront: Resfront, runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "digits", tmp_path / "old")
    text = (tmp_path / "old" / "study.toml").read_text().replace("file_bytes", "model_bytes")
    settings, resolved = text.split("[resolved]")
    resolved = resolved.replace("form = 3", "form = 2")
    (tmp_path / "old" / "study.toml").write_text(f"{settings}[resolved]{resolved}")
    for command in (("pareto", "old"), ("search", "--resume", "--name", "old")):
        done = resfront(*command, "--runs", tmp_path)
        assert done.code == 4 and "made by another version of resfront" in done.err
        assert len(done.err.strip().splitlines()) == 1


def test_a_study_that_runs_keeps_its_limits(resfront: Resfront, runs: Path, tmp_path: Path) -> None:
    directory = shutil.copytree(runs / "digits", tmp_path / "digits")
    before = (directory / "study.toml").read_bytes()
    with study_lock(directory):
        done = resfront("search", "--resume", "--name", "digits", "--max", "macs=300k", "--runs", tmp_path)
    assert done.code == 4 and "another process is running this study" in done.err
    assert "limits from now on" not in done.err
    assert (directory / "study.toml").read_bytes() == before


def test_help_needs_no_torch() -> None:
    code = (
        "import sys, studies.cli\n"
        "sys.argv = ['resfront', 'search', '--help']\n"
        "try: studies.cli.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'optuna', 'pandas', 'plotly', 'sklearn'} & set(sys.modules)\n"
        "sys.exit(f'imports {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--resume" in done.stdout


def test_who_hands_out_candidates_needs_no_torch() -> None:
    code = "import sys, studies.launch.run; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_verify_reads_the_weights_of_a_folder(resfront: Resfront, exported: Path, tmp_path: Path) -> None:
    out = shutil.copytree(exported, tmp_path / "knee")
    assert resfront("show", out, "--verify").code == 0
    weights = out / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:2000])
    done = resfront("show", out, "--verify")
    assert done.code == 2
    assert "not the weights of this spec" in done.err and len(done.err.strip().splitlines()) == 1


def test_a_limit_that_no_trained_network_keeps(resfront: Resfront, tmp_path: Path) -> None:
    (tmp_path / "strict.toml").write_text(CONFIG.replace("epochs = 4", "epochs = 1"))
    done = resfront("search", tmp_path / "strict.toml", "--trials", 1, "--min", "accuracy=0.999", "--runs", tmp_path)
    assert done.code == 5
    assert "none of the completed trials keeps the limits" in done.out
    last = done.err.strip().splitlines()[-1]
    assert re.search(r"the best accuracy is \d+\.\d\d % \(trial 0\), and --min asks for at least 99\.90 %$", last)
    assert "export" not in done.out


def test_no_references_can_be_asked_for(resfront: Resfront, tmp_path: Path) -> None:
    narrow = ("--set", "space.base_width=[8,8]", "--runs", tmp_path, "--max", "file_bytes=100")
    assert "--references ''" in resfront("search", "quick", *narrow).err
    assert "nearest" in resfront("search", "quick", *narrow, "--references", "").err


def test_a_study_of_which_nothing_has_ended_has_a_status(resfront: Resfront, tmp_path: Path) -> None:
    write_study(tmp_path / "new", trials=2, running=2)
    status = resfront("status", "new", "--runs", tmp_path)
    assert status.code == 0 and "nan" not in status.out.lower()
    assert resfront("status", "new", "--runs", tmp_path, "--json").json["hypervolume"] == 0
