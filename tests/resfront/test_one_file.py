"""A new entry of any kind is one new file in its folder, as the README says; nothing else is changed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.resfront.third_party import ROOT, ZOO

PACKAGES = ("search_space", "objectives", "runners", "studies", "resfront")
NEW = {
    "search_space/blocks/plain.py": "blocks.py",
    "search_space/references/tinynet.py": "tinynet.py",
    "objectives/costs/layers.py": "costs.py",
    "objectives/devices/my_board.toml": "boards/my_board.toml",
    "objectives/devices/runtimes/my_runtime.toml": "software/my_runtime.toml",
    "runners/datasets/builtin/stripes.py": "stripes.py",
    "runners/samplers/builtin/dice.py": "dice.py",
    "runners/engines/loud.py": "loud.py",
    "studies/study/presets/my_preset.toml": "studies/my_preset.toml",
}
"""Path in the copy -> file of the third party's package."""


@pytest.mark.slow
def test_one_new_file_of_each_kind_is_used_from_the_command_line(tmp_path: Path) -> None:
    copy, runs = tmp_path / "copy", tmp_path / "runs"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    for place, file in NEW.items():
        assert not (copy / place).exists()
        (copy / place).write_text(ZOO.files[file].replace("from zoo import note", "note = str"), encoding="utf-8")

    def resfront(*arguments: object) -> str:
        command = [sys.executable, "-m", "studies.cli", *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": str(copy)}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=200, check=False, cwd=copy
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    listed = json.loads(resfront("plugins", "--json"))
    assert listed["plugins"] == []
    assert json.loads(resfront("show", "--reference", "tinynet", "--json"))["name"] == "tinynet"
    resfront(
        *("search", "my_preset", "--name", "own", "--runs", runs, "--data", "stripes", "--sampler", "dice"),
        *("--engine", "loud", "--objectives", "accuracy,layers", "--max", "latency_ms@my_board=50"),
        *("--trials", 1, "--references", "", "--set", 'space.blocks=["plain"]'),
        *("--set", "training.epochs=1", "--set", "space.depth=[8, 14]"),
    )
    (found,) = json.loads(resfront("pareto", "own", "--runs", runs, "--json"))["front"]
    assert {stage["block"] for stage in found["spec"]["stages"]} == {"plain"}
    assert found["spec"]["num_classes"] == 2, "the classes of the stripes"
    assert found["values"]["layers"] > 0 and found["values"]["latency_ms@my_board"] <= 50
