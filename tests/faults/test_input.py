"""Texts, options and folders that no user meant so: one line, exit code 2, and neither memory nor time is lost."""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from objectives.devices import load_profile
from objectives.devices.profile import DeviceError
from runners.datasets import DatasetError, load_dataset
from search_space.errors import SpecError
from search_space.spec import ArchSpec, StageSpec
from search_space.texts.parsing import TextError, parse_json, parse_toml
from tests.studies.command import Resfront, run_main

from .conftest import Saw

DIGITS = "9" * 5_000
DEEP = 20_000


@pytest.fixture
def resfront(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Resfront:
    monkeypatch.chdir(tmp_path)
    return lambda *args: run_main(capsys, monkeypatch, args)


def run_within(*args: object, gigabytes: float = 3, seconds: float = 30) -> tuple[int, str]:
    """Exit code and stderr of a command with so much memory and time."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (int(gigabytes * 2**30),) * 2)

    command = [sys.executable, "-m", "studies.cli", *map(os.fsencode, map(str, args))]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False, preexec_fn=limit)
    except subprocess.TimeoutExpired:
        return -1, f"did not end in {seconds} s"
    return done.returncode, done.stderr.strip()


# --- specs ----------------------------------------------------------------------------------------


def spec_text(**changes: Any) -> str:
    """A spec with other values; those of a stage in the first one."""
    stage = {"block": "basic", "num_blocks": 1, "width": 8, "stride": 1}
    spec: dict[str, Any] = {"schema": 1, "stem": "3x3", "stem_width": 8, "stages": [dict(stage) for _ in range(3)]}
    for key, value in changes.items():
        (spec["stages"][0] if key in stage else spec)[key] = value
    return json.dumps(spec)


SPECS = {
    "nested too deep": spec_text(stem="X").replace('"X"', "[" * DEEP + "]" * DEEP),
    "objects nested too deep": spec_text(stem="X").replace('"X"', '{"a":' * DEEP + "1" + "}" * DEEP),
    "whole number is too large": spec_text(width="X").replace('"X"', DIGITS),
    "key 'width' is given twice": spec_text().replace('"width": 8', '"width": 16, "width": 8', 1),
    "num_blocks: is too large": spec_text(num_blocks=10**9),
    "width: is too large": spec_text(width=10**9),
    "stem_width: is too large": spec_text(stem_width=10**9),
    "num_classes: is too large": spec_text(num_classes=10**9),
    "in_channels: is too large": spec_text(in_channels=10**9),
    "resolution: is too large": spec_text(resolution=10**9),
    "parameters; at most": spec_text(num_blocks=1000, width=100_000),
    "values; at most": spec_text(resolution=4096, stem_width=100_000),
    "width: must be a whole number": spec_text(block="ghost", width="16"),
}


@pytest.mark.fault("a spec that is wrong: {words}", expected="one line that says so, exit 2, within 3 GB")
@pytest.mark.parametrize("words", SPECS)
def test_a_spec_beyond_its_bounds(tmp_path: Path, saw: Saw, words: str) -> None:
    (tmp_path / "spec.json").write_text(SPECS[words])
    code, error = run_within("show", tmp_path / "spec.json")
    saw(f"exit {code}: {error[-200:]}")
    assert code == 2 and len(error.splitlines()) == 1
    assert words.removeprefix("objects ") in error and "spec.json" in error and len(error) < 1000


@pytest.mark.fault("values that Python cannot write", expected="SpecError that does without them")
def test_numbers_without_a_text_are_refused(saw: Saw) -> None:
    stages = tuple(StageSpec(block="basic", num_blocks=1, width=8, stride=1) for _ in range(3))
    for field in ("stem_width", "resolution", "num_classes"):
        with pytest.raises(SpecError, match=f"^{field}: is too large") as error:
            ArchSpec(**{"stem": "3x3", "stem_width": 8, "stages": stages, field: 10**6000})
        saw(error.value)


# --- configurations -------------------------------------------------------------------------------

CONFIGS = {
    "nested too deep": f"objectives = {'[' * DEEP}{']' * DEEP}",
    "nested too deep.": "limits" + ".max" * 200 + " = 1",
    "whole number is too large": f"[training]\nepochs = {DIGITS}",
    "whole number is too large.": f"[training]\nepochs = 0x{DIGITS}",
    "training.epochs: must be a whole number, not '3'": "[training]\nepochs = '3'",
    "training.epochs: must be a whole number, not True": "[training]\nepochs = true",
    "training.crop: must be true or false, not 1": "[training]\ncrop = 1",
    "space.depth: must be a whole number, not '18'": "[space]\ndepth = ['18', 20]",
    "limits.max.macs: must be a number, not '3'": "[limits.max]\nmacs = '3'",
    "space.width_multipliers: too many choices": f"[space]\nwidth_multipliers = {[1 + i / 1e4 for i in range(9999)]}",
    "space.num_classes: is too large": "[space]\nnum_classes = 1000000000",
    "search.trials: must be from 1 to 1,000,000": "[search]\ntrials = 1000000000000",
    "workers.trial_timeout_s: must be from 0.01 to": "[workers]\ntrial_timeout_s = 1e300",
    "workers.device: must be cpu, cuda or cuda:N": "[workers]\ndevice = 'cuda:²'",
}


@pytest.mark.fault("a configuration that is wrong: {words}", expected="one line that says so, exit 2")
@pytest.mark.parametrize("words", CONFIGS)
def test_a_configuration_beyond_its_bounds(tmp_path: Path, resfront: Resfront, saw: Saw, words: str) -> None:
    (tmp_path / "mine.toml").write_text(CONFIGS[words])
    done = resfront("validate", "mine.toml")
    saw(f"exit {done.code}: {done.err[:200]}")
    assert done.code == 2 and done.out == "" and len(done.err.splitlines()) == 1
    assert words.removesuffix(".") in done.err and "mine.toml" in done.err and len(done.err) < 1000


@pytest.mark.fault("a device profile: {words}", expected="DeviceError that names the file")
@pytest.mark.parametrize("words", ["nested too deep", "whole number is too large", "must be a number", "is not TOML"])
def test_a_device_profile_beyond_its_bounds(tmp_path: Path, saw: Saw, words: str) -> None:
    source = (Path(sys.modules[load_profile.__module__].__file__ or "").parent / "rpi4.toml").read_text()
    found = {
        "nested too deep": "x" + ".x" * 3000 + " = 1\n" + source,
        "whole number is too large": f"x = {DIGITS}\n{source}",
        "must be a number": re.sub(r"macs_per_second = \S+", "macs_per_second = true", source, count=1),
        "is not TOML": f"{source}\n[peak",
    }
    (tmp_path / "board.toml").write_text(found[words])
    with pytest.raises(DeviceError, match=f"board.toml.*{words}") as error:
        load_profile(str(tmp_path / "board.toml"))
    saw(error.value)
    assert len(str(error.value)) < 1000


@pytest.mark.fault("JSON and TOML texts at random", expected="a value or TextError, nothing else")
def test_no_text_ends_otherwise_than_in_a_value_or_a_text_error(saw: Saw) -> None:
    random, ended = np.random.default_rng(3), [0, 0]
    parts = ["[", "]", "{", "}", '"', "'", "=", ",", ":", ".", "a", "1", "-", "e9", "\n", "0x", "true", "#", "\\u0"]
    for _ in range(4000):
        text = "".join(random.choice(parts, size=random.integers(1, 12)))
        text = text * (1 if random.random() < 0.9 else 3000)
        for parse in (parse_json, parse_toml):
            try:
                parse(text)
                ended[0] += 1
            except TextError:
                ended[1] += 1
    saw(f"{ended[0]} values, {ended[1]} errors")
    assert min(ended) > 50


@pytest.mark.fault("study.toml with {line}", expected="damaged, exit 4, one line")
@pytest.mark.parametrize("line", ["cost_ranges = 3", "cost_ranges = {{macs = [1]}}", "cost_ranges = [[["])
def test_an_edited_record_is_damaged(tmp_path: Path, resfront: Resfront, saw: Saw, line: str) -> None:
    resolved = f'[resolved]\n{line.replace("{{", "{").replace("}}", "}")}\nclass_names = ["a", "b"]\n'
    resolved += 'dataset_fingerprint = "x"\ntraining_images = 9\nvalidation_images = 3\n'
    resolved += 'form = 3\nvalidation_source = "own"\ncommonest_share = 0.5\nprior = ""\n'
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "study.toml").write_text(f'objectives = ["accuracy", "macs"]\n{resolved}')
    done = resfront("status", "mine")
    saw(f"exit {done.code}: {done.err}")
    assert done.code == 4 and "damaged" in done.err and len(done.err.splitlines()) == 1


# --- options --------------------------------------------------------------------------------------

OPTIONS = [
    (["search", "quick", "--device", "cuda:²"], "must be cpu, cuda or cuda:N, not 'cuda:²'"),
    (["train", "--reference", "resnet20", "--device", "cuda:٣", "-o", "x"], "must be cpu, cuda or cuda:N"),
    (["search", "quick", "--set", f"a={'[' * DEEP}"], "nested too deep"),
    (["search", "quick", "--set", f"training.epochs={DIGITS}"], "too large"),
    (["search", "quick", "--set", "training.epochs=3\nsearch.trials=2"], "one value"),
    (["search", "quick", "--set", f"limits{'.max' * 3000}=1"], "limits.max"),
    (["search", "quick", "--name", ""], "study ''"),
    (["search", "--resume", "--name", ""], "study ''"),
    (["search", "quick", "--objectives", ""], "unknown objective ''"),
    (["search", "quick", "--max", "macs=1M", "--max", "macs=2M"], "--max macs: is given twice"),
    (["recommend", "x", "--max", "accuracy=0.1", "--min", "accuracy=0.9"], "contradict each other"),
    (["recommend", "x", "--max", "macs=1M", "--min", "macs=2M"], "contradict each other"),
    (["recommend", "x", "--max", "accuracy=0.5"], "would leave out the best networks"),
    (["show", "--reference", "resnet20", "--resolution", "0"], "resolution: must be a whole number from 4, not 0"),
    (["show", "spec.json", "--resolution", "0"], "resolution: must be a whole number from 4, not 0"),
    (["show", "spec.json", "--classes", "0"], "num_classes: must be a whole number from 1, not 0"),
    (["measure", "spec.json", "--resolution", "0"], "resolution: must be a whole number from 4, not 0"),
    (["show", "--reference", "resnet20", "--resolution", "999999999"], "resolution: is too large"),
    (["measure", "--reference", "resnet20", "--device", "rpi4", "--threads", "0"], "--threads"),
    (["train", "--reference", "resnet20", "--prune", "", "-o", "x"], "--prune"),
    (["train", "--reference", "resnet20", "--bits", "", "-o", "x"], "--bits"),
    (["train", "--reference", "resnet20", "--data", "", "-o", "x"], "unknown dataset ''"),
    (["train", "--reference", "resnet20", "--prune-steps", "1000000000", "--prune", "0.5", "-o", "x"], "prune-steps"),
    (["compare", "--reference", "", "spec.json"], "--reference"),
    (["compare", "spec.json", "--references", ""], "unknown reference ''"),
    (["compare", "spec.json", "--study", ""], "study ''"),
    (["fidelity", "x", "--workers", "1000000000"], "--workers"),
]


@pytest.mark.fault("{args}", expected="one line with: {words}; exit 2, nothing written")
@pytest.mark.parametrize(("args", "words"), OPTIONS, ids=[f"{args[0]} {args[-1][:30]!r}" for args, _ in OPTIONS])
def test_an_option_that_nobody_meant_so(
    tmp_path: Path, resfront: Resfront, saw: Saw, args: list[str], words: str
) -> None:
    (tmp_path / "spec.json").write_text(spec_text())
    done = resfront(*args)
    saw(f"exit {done.code}: {done.err[:200]}")
    errors = [line for line in done.err.strip().splitlines() if line.startswith("error: ")]
    assert done.code == 2 and len(errors) == 1 and words in errors[0] and len(errors[0]) < 3000
    assert [path.name for path in tmp_path.iterdir()] == ["spec.json"]


@pytest.mark.fault("an argument that is not UTF-8", expected="one line, exit 2")
@pytest.mark.parametrize("args", [["status", "\udcff"], ["search", "quick", "--data-dir", "caf\udce9"]])
def test_an_argument_that_is_no_text(tmp_path: Path, resfront: Resfront, saw: Saw, args: list[str]) -> None:
    done = resfront(*args)
    saw(f"exit {done.code}: {done.err}")
    assert done.code == 2 and "is not UTF-8" in done.err and done.err.isascii()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault("{args} '' ", expected="one line, exit 2: not the current directory")
@pytest.mark.parametrize(
    "args",
    ["search quick --data-dir", "status study --runs", "train --reference resnet8 -o", "train --resume", "export s -o"],
)
def test_an_empty_path(tmp_path: Path, resfront: Resfront, saw: Saw, args: str) -> None:
    done = resfront(*args.split(), "")
    saw(f"exit {done.code}: {done.err}")
    assert done.code == 2 and "is empty" in done.err and len(done.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


# --- files that are none --------------------------------------------------------------------------


@pytest.mark.fault("{file} where a text is read", expected="too large, exit 2, within 3 GB")
@pytest.mark.parametrize(("command", "file"), [("show", "/dev/zero"), ("validate", "/dev/zero")])
def test_a_text_without_end(saw: Saw, command: str, file: str) -> None:
    code, error = run_within(command, file)
    saw(f"exit {code}: {error[-200:]}")
    assert code == 2 and "too large" in error and len(error.splitlines()) == 1


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RESFRONT_DATA", str(tmp_path / "cache"))
    for name in ("cat", "dog"):
        (tmp_path / "images" / name).mkdir(parents=True)
        Image.new("RGB", (20, 20)).save(tmp_path / "images" / name / "1.png")
    return tmp_path / "images"


@pytest.mark.timeout(20)
@pytest.mark.fault("a pipe among the images: {suffix}", expected="DatasetError that names it, at once")
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_pipe_among_the_images(images: Path, saw: Saw, suffix: str) -> None:
    os.mkfifo(images / "dog" / f"pipe{suffix}")
    with pytest.raises(DatasetError, match=f"pipe{suffix}: is no regular file") as error:
        load_dataset("image-folder", images)
    saw(error.value)


@pytest.mark.timeout(20)
@pytest.mark.fault("a pipe for an archive", expected="DatasetError, at once")
def test_a_pipe_for_an_archive(tmp_path: Path, saw: Saw) -> None:
    os.mkfifo(tmp_path / "cifar-10-python.tar.gz")
    with pytest.raises(DatasetError, match="neither a file nor a folder") as error:
        load_dataset("cifar10", tmp_path / "cifar-10-python.tar.gz")
    saw(error.value)


@pytest.mark.fault("a class folder that is not UTF-8, below {split}", expected="DatasetError that shows its bytes")
@pytest.mark.parametrize("split", ["", "train"])
def test_a_class_folder_that_is_no_text(images: Path, saw: Saw, split: str) -> None:
    if split:
        for name in ("cat", "dog"):
            (images / split).mkdir(exist_ok=True)
            shutil.move(images / name, images / split / name)
    shutil.copytree(images / split / "cat", images / split / os.fsdecode(b"caf\xe9"))
    with pytest.raises(DatasetError, match=r"b'caf\\xe9' is not UTF-8; rename it") as error:
        load_dataset("image-folder", images)
    saw(error.value)
