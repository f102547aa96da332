"""Packages of a third party: built as wheels, and installed where this project is seen but not changed."""

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOTES = "ZOO_NOTES"
"""Environment variable with the path of a file; parts of the package write into it in which process they are used."""
PACKAGE = """
import os

def note(part):
    if path := os.environ.get("ZOO_NOTES"):
        with open(path, "a") as file:
            file.write(f"{part} {os.getpid()}\\n")
"""
BLOCK = '''
from resfront import block
from zoo import note

@block("plain", layers=2)
def plain(g, x, width, stride, se):
    """Two convolutions without a shortcut."""
    note("block")
    y = g.conv(g.conv(x, width, kernel=3, stride=stride), width, kernel=3)
    return g.squeeze_excite(y) if se else y
'''
COST = """
from resfront import cost

@cost("layers", label="Layers", unit="layers")
def layers(graph):
    return len(graph.nodes)
"""
DATASET = '''
import numpy as np
from resfront import Dataset, UserError, dataset
from zoo import note

@dataset("stripes")
def stripes(path, resolution):
    """Upright and level stripes."""
    if path is not None:
        raise UserError("stripes: is made here; leave --data-dir out")
    note("dataset")
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
from resfront import sampler
from zoo import note

@sampler("dice", judges_anew=True)
def dice(task):
    note("sampler")
    return RandomSampler(seed=task.seed + task.finished)
"""
ENGINE = """
from resfront import engine
from runners.engines.local import LocalEngine
from zoo import note

@engine("loud")
class LoudEngine(LocalEngine):
    def submit(self, ticket, candidate):
        note("engine")
        super().submit(ticket, candidate)
"""
REFERENCE = '''
from resfront import network
from search_space.references.layers import classifier

@network("tinynet")
def tinynet(g, spec):
    """One convolution and a linear layer."""
    classifier(g, spec, g.global_pool(g.conv(g.input, 16, kernel=3, stride=2)))
'''
TRAINING = '''
import time
import resfront
from zoo import note

SIZE = resfront.metric("output_size", label="Size of outputs", unit="", direction="minimize", worst=9.0, best=0.001)

@resfront.evaluator(SIZE, outputs=1)
def measure(candidate, on_epoch):
    """Trains nothing, and measures how large the outputs are."""
    note("training")
    started = time.perf_counter()
    training, validation = resfront.candidate_images(candidate)
    network = resfront.build_network(candidate.architecture.with_bits(32)).eval()
    network = resfront.quantize(network, candidate.architecture, training)
    outputs = network(validation.normalised(slice(0, 20)))
    assert outputs.shape[1] == 1
    return resfront.evaluation_of(
        candidate, network, metrics={"output_size": float(outputs.detach().abs().mean()) + 0.001},
        training_images=len(training), validation_images=len(validation), started=started,
    )
'''
HALF = """
from resfront import cost

@cost("half", label="Half", unit="halves")
def half(graph):
    return 1

raise ImportError("needs another package")
"""
BOARD = (ROOT / "objectives" / "devices" / "template.toml").read_text(encoding="utf-8")
RUNTIME = (ROOT / "objectives" / "devices" / "runtimes" / "ncnn.toml").read_text(encoding="utf-8")
PRESET = (ROOT / "studies" / "study" / "presets" / "quick.toml").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package, and what it adds to."""

    name: str
    version: str
    files: Mapping[str, str]
    """Path below the package's folder -> content."""
    points: Mapping[str, Mapping[str, str]]
    """Group -> name -> module."""

    def build(self, folder: Path) -> Path:
        """Return its wheel, built in `folder` by the backend that this project is built by."""
        source = folder / f"{self.name}-source"
        for path, text in self.files.items():
            file = source / self.name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        lines = ["[build-system]", 'requires = ["hatchling"]', 'build-backend = "hatchling.build"', "[project]"]
        lines += [f'name = "{self.name}"', f'version = "{self.version}"', 'dependencies = ["resfront"]']
        for group, names in self.points.items():
            lines += [f'[project.entry-points."resfront.{group}"]']
            lines += [f'{name} = "{module}"' for name, module in names.items()]
        (source / "pyproject.toml").write_text("\n".join(lines), encoding="utf-8")
        _pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, source)
        (wheel,) = folder.glob(f"{self.name}-{self.version}-*.whl")
        return wheel


ZOO = Package(
    name="zoo",
    version="0.3",
    files={
        "__init__.py": PACKAGE,
        "blocks.py": BLOCK,
        "costs.py": COST,
        "stripes.py": DATASET,
        "dice.py": SAMPLER,
        "loud.py": ENGINE,
        "tinynet.py": REFERENCE,
        "training.py": TRAINING,
        "boards/__init__.py": "",
        "boards/my_board.toml": BOARD.replace('runtime = "ncnn"', 'runtime = "my_runtime"'),
        "software/__init__.py": "",
        "software/my_runtime.toml": RUNTIME,
        "studies/__init__.py": "",
        "studies/my_preset.toml": PRESET,
    },
    points={
        "blocks": {"plain": "zoo.blocks"},
        "objectives": {"layers": "zoo.costs"},
        "datasets": {"stripes": "zoo.stripes"},
        "samplers": {"dice": "zoo.dice"},
        "engines": {"loud": "zoo.loud"},
        "devices": {"boards": "zoo.boards"},
        "runtimes": {"software": "zoo.software"},
        "presets": {"studies": "zoo.studies"},
        "references": {"tinynet": "zoo.tinynet"},
    },
)
"""One entry of each kind, and a training."""
BROKEN = Package(
    name="cage",
    version="0.1",
    files={
        "__init__.py": "",
        "half.py": HALF,
        "again.py": BLOCK.replace('"plain"', '"basic"'),
    },
    points={
        "objectives": {"half": "cage.half"},
        "blocks": {"again": "cage.again", "gone": "cage.gone"},
    },
)
"""Entries that fail: a module that raises, one that takes a name of this project, and one that is not there."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment in which packages are installed beside this project."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, *wheels: Path) -> "Environment":
        """Install the wheels, without a network, where this checkout and what it needs are seen."""
        venv.create(folder, with_pip=False)
        made = cls(folder)
        seen = dict.fromkeys([str(ROOT), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
        site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))
        (site / "resfront.pth").write_text("\n".join(seen), encoding="utf-8")
        _pip("--python", made.python, "install", "--no-index", "--no-deps", *wheels)
        return made

    @property
    def python(self) -> Path:
        """The interpreter."""
        return self.folder / "bin" / "python"

    def run(self, *arguments: object, notes: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run Python with these arguments, outside of the checkout."""
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        if notes is not None:
            environment[NOTES] = str(notes)
        command = [str(self.python), *map(str, arguments)]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=200, check=False, cwd=self.folder
        )

    def resfront(self, *arguments: object, notes: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run the command line."""
        return self.run("-m", "studies.cli", *arguments, notes=notes)


def _pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
