"""What the README says works: its Python runs, its commands run (on small images), its files are there."""

import re
import shlex
import sys
from functools import partial
from pathlib import Path

import pytest

import resfront
from studies.cli import main

pytestmark = pytest.mark.numbers

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SEARCH = """
    --data digits --trials 3 --workers 1 --set search.references=[] --set space.resolution=[8] --set space.bits=[8]
    --set space.depth=[18,20] --set space.base_width=[8,8] --set 'space.blocks=["basic"]'
    --set training.epochs=1 --set training.resolution_scale=1.0
"""
TRAIN = "--data digits --epochs 1 --set images=200 --set batch_size=50 --threads 1"
SMALLER = {
    "search": SEARCH,
    "train": f"{TRAIN} --teacher-epochs 1",
    "compress": f"{TRAIN} --channel-multiple 2",
    "fidelity": "--epochs 1 --images 200 --top 2",
}


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[str]:
    lines = [line.partition("  #")[0].strip() for block in code_blocks("") for line in block.splitlines()]
    return [line for line in lines if line.startswith("resfront ")]


def test_it_opens_with_the_two_commands_and_the_makefile_has_them() -> None:
    assert [line.split("#")[0].strip() for line in code_blocks("")[0].splitlines()] == ["make demo", "make test"]
    makefile = (ROOT / "Makefile").read_text()
    assert "\ndemo: " in makefile and "\ntest: " in makefile


@pytest.mark.slow
def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    smaller = {"training.epochs": 1, "training.images": 500, "space.depth": [8, 14]}
    monkeypatch.setattr(resfront, "search", partial(resfront.search, settings=smaller))
    for code in code_blocks("python"):
        exec(compile(code, "README.md", "exec"), {})
    assert (tmp_path / "my-network" / "spec.json").exists()


@pytest.mark.slow
def test_its_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RESFRONT_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr("studies.dashboard.serve", lambda runs, name, **options: options["on_ready"]("address"))
    names = [shlex.split(command)[1] for command in commands()]
    assert names[0] == "search" and {
        "status",
        "pareto",
        "recommend",
        "dashboard",
        "export",
        "show",
        "references",
        "train",
        "compress",
        "fidelity",
    } <= set(names)
    for command in commands():
        words = shlex.split(command)
        words += shlex.split(SMALLER.get(words[1], ""))
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as caught:
            main()
        assert not caught.value.code, f"{command}: {capsys.readouterr().err}"
    names = {path.name for path in (tmp_path / "drone-knee").iterdir()}
    assert names >= {"card.md", "model.onnx", "model.pt2", "predict.py", "spec.json", "weights.safetensors"}


def test_files_it_names_are_there() -> None:
    for path in re.findall(r"\]\(((?!http)[^)#]+)\)", README):
        assert (ROOT / path).exists(), path
