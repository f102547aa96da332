"""A package of a third party, installed as far as Python is concerned: modules and their metadata in a folder."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCK = '''
from search_space.blocks import block

@block("plain", layers=2)
def plain(g, x, width, stride, se):
    """Two convolutions without a shortcut."""
    return g.conv(g.conv(x, width, kernel=3, stride=stride), width, kernel=3)
'''
COST = """
from objectives.base import cost

@cost("layers", label="Layers", unit="layers")
def layers(graph):
    return len(graph.nodes)
"""
DATASET = '''
import numpy as np
from runners.datasets.base import Dataset, dataset

@dataset("stripes")
def stripes(path, resolution):
    """Upright and level stripes."""
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2
    images = np.zeros((400, 8, 8, 1), dtype=np.uint8)
    images[labels == 0, :, ::2] = 200
    images[labels == 1, ::2] = 200
    images += rng.integers(0, 50, images.shape, dtype=np.uint8)
    return Dataset(name="stripes", train_images=images, train_labels=labels, class_names=("upright", "level"))
'''
SAMPLER = """
from optuna.samplers import RandomSampler
from runners.samplers import sampler

@sampler("dice", judges_anew=True)
def dice(task):
    return RandomSampler(seed=task.seed)
"""
ENGINE = """
from runners.engines.base import engine
from runners.engines.local import LocalEngine

@engine("loud")
class LoudEngine(LocalEngine):
    def submit(self, ticket, candidate):
        print(f"loud: {ticket}")
        super().submit(ticket, candidate)
"""
REFERENCE = '''
from search_space.references.base import network
from search_space.references.layers import classifier

@network("tinynet")
def tinynet(g, spec):
    """One convolution and a linear layer."""
    classifier(g, spec, g.global_pool(g.conv(g.input, 16, kernel=3, stride=2)))
'''
BROKEN = """
from objectives.base import cost

@cost("half", label="Half", unit="halves")
def half(graph):
    return 1

raise ImportError("needs another package")
"""
BOARD = (ROOT / "objectives" / "devices" / "template.toml").read_text(encoding="utf-8")
RUNTIME = (ROOT / "objectives" / "devices" / "runtimes" / "ncnn.toml").read_text(encoding="utf-8")
PRESET = (ROOT / "studies" / "study" / "presets" / "quick.toml").read_text(encoding="utf-8")
FILES = {
    "zoo/__init__.py": "",
    "zoo/blocks.py": BLOCK,
    "zoo/costs.py": COST,
    "zoo/stripes.py": DATASET,
    "zoo/dice.py": SAMPLER,
    "zoo/loud.py": ENGINE,
    "zoo/broken.py": BROKEN,
    "zoo/boards/__init__.py": "",
    "zoo/boards/my_board.toml": BOARD.replace('runtime = "ncnn"', 'runtime = "my_runtime"'),
    "zoo/software/__init__.py": "",
    "zoo/software/my_runtime.toml": RUNTIME,
    "zoo/studies/__init__.py": "",
    "zoo/studies/my_preset.toml": PRESET,
    "zoo/tinynet.py": REFERENCE,
}
POINTS = {
    "blocks": {"plain": "zoo.blocks"},
    "objectives": {"layers": "zoo.costs"},
    "datasets": {"stripes": "zoo.stripes"},
    "samplers": {"dice": "zoo.dice"},
    "engines": {"loud": "zoo.loud"},
    "devices": {"boards": "zoo.boards"},
    "runtimes": {"software": "zoo.software"},
    "presets": {"studies": "zoo.studies"},
    "references": {"tinynet": "zoo.tinynet"},
}


def install(folder: Path, points: Mapping[str, Mapping[str, str]] = POINTS) -> dict[str, str]:
    """Put the package into `folder`, and return the environment in which Python finds it."""
    information = folder / "zoo-0.3.dist-info"
    lines = [
        line
        for group, names in points.items()
        for line in (f"[resfront.{group}]", *(f"{name} = {module}" for name, module in names.items()))
    ]
    metadata = "Metadata-Version: 2.1\nName: zoo\nVersion: 0.3\n"
    entry_points = "\n".join(lines)
    for name, text in {**FILES, "M": metadata, "E": entry_points}.items():
        path = {"M": information / "METADATA", "E": information / "entry_points.txt"}.get(name, folder / name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(folder), str(ROOT)))}


def run(environment: Mapping[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments beside the plug-in."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(
        command, env=dict(environment), capture_output=True, text=True, timeout=200, check=False, cwd=ROOT
    )
