"""Options of the commands that train, in groups, and what they mean."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import MOST_EPOCHS, WITHOUT, parse_path

if TYPE_CHECKING:
    from runners.config import DataConfig, TrainingConfig

DATA = Annotated[str | None, typer.Option(metavar="DATASET", help="Data set, for example cifar10 or image-folder.")]
DATA_DIR = Annotated[
    Path | None, typer.Option(metavar="PATH", parser=parse_path, help="The data set's folder or archive.")
]
SETTINGS = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="The recipe, for example cutout=0.25.")
]
DEFAULTS: dict[str, Any] = {"images": 0, "validation_images": 0, "resolution_scale": 1.0}
"""All images, as they are."""


@dataclass(frozen=True)
class DataOptions:
    """Images, and how they train a network."""

    data: DATA = None
    data_dir: DATA_DIR = None
    settings: SETTINGS = None
    average: Annotated[float, typer.Option(help="Decay of the moving average of the weights; 0 for none.")] = 0.998


@dataclass(frozen=True)
class PruneOptions:
    """How many channels are removed, and which."""

    prune: Annotated[
        str | None, typer.Option(metavar="R", help="Share of the MACs to prune, or one for each stage: 0.1/0.3/0.5.")
    ] = None
    prune_to: Annotated[
        list[str] | None, typer.Option(metavar="COST=VALUE", help="Prune to a cost, for example latency_ms=0.5.")
    ] = None
    prune_steps: Annotated[
        int, typer.Option(metavar="N", min=1, max=100, help="Prune in N steps, with fine-tuning between.")
    ] = 1
    importance: Annotated[str, typer.Option(help="By which channels are pruned: taylor or magnitude.")] = "taylor"
    channel_multiple: Annotated[
        int,
        typer.Option(metavar="N", min=1, max=1024, help="Leave multiples of N channels: kernels work in blocks."),
    ] = 8


@dataclass(frozen=True)
class QuantizeOptions:
    """How many bits the network ends with."""

    bits: Annotated[
        str | None, typer.Option(metavar="B", help="Final bit-width: 32, 8, 6, 4, 3 or 2, or one a stage: 8,4,4.")
    ] = None
    qat_epochs: Annotated[
        int | None,
        typer.Option(
            metavar="E",
            min=0,
            max=MOST_EPOCHS,
            help="Training at the final bits; by default, below 8 bits, a tenth of --epochs (compress: a third).",
        ),
    ] = None


@dataclass(frozen=True)
class TeacherOptions:
    """From whom the network learns."""

    distill_from: Annotated[
        str | None,
        typer.Option(metavar="NET", help="Teacher: a named network (trained once, then kept) or a directory."),
    ] = None
    teacher_epochs: Annotated[
        int | None,
        typer.Option(
            metavar="E", min=1, max=MOST_EPOCHS, help="Of a named teacher; by default --epochs (compress: 30)."
        ),
    ] = None
    temperature: Annotated[float, typer.Option(help="Softens the teacher's probabilities.")] = 4.0
    hard_weight: Annotated[float, typer.Option(help="Weight of the labels' loss; the rest is the teacher's.")] = 0.3
    control: Annotated[
        bool, typer.Option("--control/--no-control", help="With a teacher, do the same without one, to know its worth.")
    ] = True


@dataclass(frozen=True)
class JobOptions:
    """Where the job runs, and what it leaves behind."""

    seed: Annotated[int, typer.Option(help="Seed of weights and batches.")] = 0
    threads: Annotated[int, typer.Option(metavar="N", help="Threads; 0 takes all cores.")] = 0
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu"
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", parser=parse_path, help="New directory for the network."),
    ] = None
    resume: Annotated[
        Path | None, typer.Option(metavar="DIR", parser=parse_path, help="Go on with what was interrupted there.")
    ] = None
    without: WITHOUT = None


def data_config(name: str | None, path: Path | None) -> "DataConfig":
    """The images that are named, the built-in ones by default."""
    from runners.config import DataConfig

    path = None if path is None else path.expanduser().resolve()
    return DataConfig(path=path) if name is None else DataConfig(name=name, path=path)


def training_config(epochs: int, settings: list[str] | None) -> "TrainingConfig":
    """The recipe: all images at full resolution unless it is set otherwise."""
    from runners.config import StudyConfig

    from ..study.config import apply_overrides, parse_config

    tables = {"training": {**DEFAULTS, "epochs": epochs}}
    tables = apply_overrides(tables, [f"training.{text}" for text in settings or []])
    config: StudyConfig = parse_config(tables, "--set")
    return config.training
