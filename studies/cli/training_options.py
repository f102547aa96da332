"""Options of the commands that train, and what they mean."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import parse_path

if TYPE_CHECKING:
    from runners.config import DataConfig, TrainingConfig

DATA = Annotated[str | None, typer.Option(metavar="DATASET", help="Data set, for example cifar10 or image-folder.")]
DATA_DIR = Annotated[
    Path | None, typer.Option(metavar="PATH", parser=parse_path, help="The data set's folder or archive.")
]
BITS = Annotated[
    str | None, typer.Option(metavar="B", help="Final bit-width: 32, 8, 6, 4, 3 or 2, or one a stage: 8,4,4.")
]
DISTILL = Annotated[
    str | None,
    typer.Option(
        "--distill-from", metavar="NET", help="Teacher: a named network (trained once, then kept) or a directory."
    ),
]
PRUNE = Annotated[
    str | None, typer.Option(metavar="R", help="Share of the MACs to prune, or one for each stage: 0.1/0.3/0.5.")
]
PRUNE_TO = Annotated[
    list[str] | None,
    typer.Option("--prune-to", metavar="COST=VALUE", help="Prune to a cost, for example latency_ms=0.5."),
]
OUTPUT = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="DIR", parser=parse_path, help="New directory for the network.")
]
RESUME = Annotated[
    Path | None,
    typer.Option("--resume", metavar="DIR", parser=parse_path, help="Go on with what was interrupted there."),
]
SETTINGS = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="The recipe, for example cutout=0.25.")
]
DEFAULTS: dict[str, Any] = {"images": 0, "validation_images": 0, "resolution_scale": 1.0}
"""All images, as they are."""

PRUNE_STEPS = Annotated[
    int, typer.Option("--prune-steps", metavar="N", min=1, max=100, help="Prune in N steps, with fine-tuning between.")
]
TEMPERATURE = Annotated[float, typer.Option("--temperature", help="Softens the teacher's probabilities.")]
HARD_WEIGHT = Annotated[
    float, typer.Option("--hard-weight", help="Weight of the labels' loss; the rest is the teacher's.")
]
CONTROL = Annotated[
    bool, typer.Option("--control/--no-control", help="With a teacher, do the same without one, to know its worth.")
]
AVERAGE = Annotated[float, typer.Option("--average", help="Decay of the moving average of the weights; 0 for none.")]
IMPORTANCE = Annotated[str, typer.Option("--importance", help="By which channels are pruned: taylor or magnitude.")]
MULTIPLE = Annotated[
    int,
    typer.Option(
        "--channel-multiple",
        metavar="N",
        min=1,
        max=1024,
        help="Leave multiples of N channels: kernels work in blocks.",
    ),
]
SEED = Annotated[int, typer.Option("--seed", help="Seed of weights and batches.")]
ALL_THREADS = Annotated[int, typer.Option("--threads", metavar="N", help="Threads; 0 takes all cores.")]
DEVICE = Annotated[str, typer.Option("--device", help="cpu, cuda or cuda:N.")]


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
