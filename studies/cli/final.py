"""`resfront train` and `resfront compress`: from a spec, or an exported network, to the one that ships."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search_space.errors import UserError

from .options import print_table
from .search import INTERRUPTED, check_device

if TYPE_CHECKING:
    from runners.config import DataConfig, TrainingConfig
    from runners.pipeline import CurvePoint, StepResult
    from studies.final.request import Request

DATA = Annotated[str | None, typer.Option(metavar="DATASET", help="Data set, for example cifar10 or image-folder.")]
DATA_DIR = Annotated[Path | None, typer.Option(metavar="PATH", help="The data set's folder or archive.")]
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
OUTPUT = Annotated[Path | None, typer.Option("-o", "--output", metavar="DIR", help="New directory for the network.")]
RESUME = Annotated[Path | None, typer.Option("--resume", metavar="DIR", help="Go on with what was interrupted there.")]
SETTINGS = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="The recipe, for example cutout=0.25.")
]
DEFAULTS: dict[str, Any] = {"images": 0, "validation_images": 0, "resolution_scale": 1.0}
"""All images, as they are."""


def register(app: typer.Typer) -> None:
    app.command()(train)
    app.command()(compress)


def train(
    network: Annotated[
        str | None, typer.Argument(metavar="[SPEC.json|DIR]", help="A spec; its weights, if it has any, are not used.")
    ] = None,
    reference: Annotated[str | None, typer.Option(metavar="NAME", help="A named network instead.")] = None,
    data: DATA = None,
    data_dir: DATA_DIR = None,
    epochs: Annotated[int, typer.Option(metavar="E", min=1, help="Epochs of the whole training.")] = 30,
    bits: BITS = None,
    distill_from: DISTILL = None,
    prune: PRUNE = None,
    prune_to: PRUNE_TO = None,
    prune_steps: Annotated[
        int, typer.Option(metavar="N", min=1, help="Prune in N steps, with fine-tuning between.")
    ] = 1,
    fine_tune_epochs: Annotated[
        int | None, typer.Option(metavar="E", min=0, help="After pruning, in all; by default a third of --epochs.")
    ] = None,
    qat_epochs: Annotated[
        int | None,
        typer.Option(
            metavar="E", min=0, help="Training at the final bits; by default a tenth of --epochs below 8 bits."
        ),
    ] = None,
    teacher_epochs: Annotated[
        int | None, typer.Option(metavar="E", min=1, help="Of a named teacher; by default --epochs.")
    ] = None,
    temperature: Annotated[float, typer.Option(help="Softens the teacher's probabilities.")] = 4.0,
    hard_weight: Annotated[float, typer.Option(help="Weight of the labels' loss; the rest is the teacher's.")] = 0.3,
    control: Annotated[
        bool, typer.Option("--control/--no-control", help="With a teacher, do the same without one, to know its worth.")
    ] = True,
    average: Annotated[float, typer.Option(help="Decay of the moving average of the weights; 0 for none.")] = 0.998,
    importance: Annotated[str, typer.Option(help="By which channels are pruned: taylor or magnitude.")] = "taylor",
    channel_multiple: Annotated[
        int, typer.Option(metavar="N", min=1, help="Leave multiples of N channels: kernels work in blocks.")
    ] = 8,
    seed: Annotated[int, typer.Option(help="Seed of weights and batches.")] = 0,
    threads: Annotated[int, typer.Option(metavar="N", help="Threads; 0 takes all cores.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    settings: SETTINGS = None,
    output: OUTPUT = None,
    resume: RESUME = None,
) -> None:
    """Train a network for good, and make it smaller on the way if asked: prune, distil, quantize, export, verify."""
    if resume is not None:
        _finish(resume)
        return
    if (network is None) == (reference is None):
        raise UserError("train: give a spec or --reference NAME, one of the two")
    config, training = _data(data, data_dir), training_config(epochs, settings)
    is_pruned = bool(prune or prune_to)
    _start(
        str(network or reference),
        config,
        training,
        from_scratch=True,
        named=reference is not None,
        bits=bits,
        prune=prune,
        prune_to=prune_to,
        prune_steps=prune_steps,
        fine_tune_epochs=(max(1, epochs // 3) if fine_tune_epochs is None else fine_tune_epochs) if is_pruned else 0,
        qat_epochs=qat_epochs,
        distill_from=distill_from,
        teacher_epochs=teacher_epochs or epochs,
        temperature=temperature,
        hard_weight=hard_weight,
        control=control,
        average=average,
        importance=importance,
        channel_multiple=channel_multiple,
        seed=seed,
        threads=threads,
        device=device,
        output=output,
    )


def compress(
    network: Annotated[
        str | None, typer.Argument(metavar="[DIR]", help="A trained network: a directory of `train` or `export`.")
    ] = None,
    data: DATA = None,
    data_dir: DATA_DIR = None,
    epochs: Annotated[
        int, typer.Option(metavar="E", min=0, help="Fine-tuning in all, split over the pruning steps.")
    ] = 10,
    bits: BITS = None,
    distill_from: DISTILL = None,
    prune: PRUNE = None,
    prune_to: PRUNE_TO = None,
    prune_steps: Annotated[
        int, typer.Option(metavar="N", min=1, help="Prune in N steps, with fine-tuning between.")
    ] = 1,
    qat_epochs: Annotated[
        int | None,
        typer.Option(
            metavar="E", min=0, help="Training at the final bits; by default a third of --epochs below 8 bits."
        ),
    ] = None,
    teacher_epochs: Annotated[
        int, typer.Option(metavar="E", min=1, help="Of a named teacher, where it is not kept yet.")
    ] = 30,
    temperature: Annotated[float, typer.Option(help="Softens the teacher's probabilities.")] = 4.0,
    hard_weight: Annotated[float, typer.Option(help="Weight of the labels' loss; the rest is the teacher's.")] = 0.3,
    control: Annotated[
        bool, typer.Option("--control/--no-control", help="With a teacher, do the same without one, to know its worth.")
    ] = True,
    average: Annotated[float, typer.Option(help="Decay of the moving average of the weights; 0 for none.")] = 0.998,
    importance: Annotated[str, typer.Option(help="By which channels are pruned: taylor or magnitude.")] = "taylor",
    channel_multiple: Annotated[
        int, typer.Option(metavar="N", min=1, help="Leave multiples of N channels: kernels work in blocks.")
    ] = 8,
    seed: Annotated[int, typer.Option(help="Seed of the batches.")] = 0,
    threads: Annotated[int, typer.Option(metavar="N", help="Threads; 0 takes all cores.")] = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    settings: SETTINGS = None,
    output: OUTPUT = None,
    resume: RESUME = None,
) -> None:
    """Make a trained network smaller: prune, distil while fine-tuning, quantize, export, verify, measure."""
    if resume is not None:
        _finish(resume)
        return
    if network is None:
        raise UserError("compress: give the directory of a trained network")
    _start(
        network,
        _data(data, data_dir),
        training_config(max(1, epochs), settings),
        from_scratch=False,
        bits=bits,
        prune=prune,
        prune_to=prune_to,
        prune_steps=prune_steps,
        fine_tune_epochs=epochs,
        qat_epochs=qat_epochs,
        distill_from=distill_from,
        teacher_epochs=teacher_epochs,
        temperature=temperature,
        hard_weight=hard_weight,
        control=control,
        average=average,
        importance=importance,
        channel_multiple=channel_multiple,
        seed=seed,
        threads=threads,
        device=device,
        output=output,
    )


def _data(name: str | None, path: Path | None) -> "DataConfig":
    from runners.config import DataConfig

    return DataConfig(name=name or "fashion-mini", path=None if path is None else path.expanduser().resolve())


def _sized(data: "DataConfig", network: str, named: bool) -> "DataConfig":
    """A folder of images is decoded at the size that the network wants."""
    from studies.final.request import directory_source

    if data.name != "image-folder" or named or not Path(network).exists():
        return data
    return replace(data, resolution=directory_source(Path(network)).architecture.resolution)


def training_config(epochs: int, settings: list[str] | None) -> "TrainingConfig":
    """The recipe: all images at full resolution unless it is set otherwise."""
    from runners.config import StudyConfig
    from studies.config import apply_overrides, parse_config

    tables = {"training": {**DEFAULTS, "epochs": epochs}}
    tables = apply_overrides(tables, [f"training.{text}" for text in settings or []])
    config: StudyConfig = parse_config(tables, "--set")
    return config.training


def _start(
    network: str,
    data: "DataConfig",
    training: "TrainingConfig",
    *,
    from_scratch: bool,
    named: bool = False,
    bits: str | None,
    prune: str | None,
    prune_to: list[str] | None,
    fine_tune_epochs: int,
    qat_epochs: int | None,
    distill_from: str | None,
    teacher_epochs: int,
    temperature: float,
    hard_weight: float,
    control: bool,
    device: str,
    threads: int,
    output: Path | None,
    importance: str,
    **others: Any,
) -> None:
    import os

    from objectives.constraints import parse_limit
    from runners.config import SearchConfig, WorkersConfig
    from runners.datasets import load_dataset
    from studies.final.job import Job, check_new, create_job, measured_latency
    from studies.final.request import Request, network_source, recipe_of

    if output is None:
        raise UserError("give -o DIR, a new directory for the network")
    check_new(output)
    if importance not in ("taylor", "magnitude"):
        raise UserError(f"--importance: must be taylor or magnitude, not '{importance}'")
    check_device(device)
    WorkersConfig(device=device, threads=threads)
    SearchConfig(seed=others["seed"])
    widths = _numbers("--bits", bits, int, ",")
    data = _sized(data, network, named)
    dataset = load_dataset(data.name, data.path, resolution=data.resolution)
    source = network_source(network, dataset, named=named)
    request = Request(
        source=source,
        data=data,
        training=training,
        from_scratch=from_scratch,
        prune=_numbers("--prune", prune, float, "/"),
        prune_to=tuple(parse_limit("max", text, option="--prune-to") for text in prune_to or []),
        fine_tune_epochs=fine_tune_epochs,
        bits=widths,
        qat_epochs=qat_epochs,
        importance=importance,
        **others,
    )
    with measured_latency() as measure:
        recipe = recipe_of(request, lambda architecture: measure(architecture.build_graph()))
    if (prune or prune_to) and not any(step.kind == "prune" for step in recipe.steps):
        typer.echo(f"{source.name}: keeps {', '.join(prune_to or [])} already; nothing is pruned", err=True)
    threads = threads or len(os.sched_getaffinity(0))
    if distill_from is not None:
        recipe = replace(
            recipe,
            teacher=_teacher(distill_from, request, teacher_epochs, temperature, hard_weight, device, threads),
        )
    job = Job(
        name=source.name,
        recipe=recipe,
        control=control and recipe.teacher is not None,
        device=device,
        threads=threads,
    )
    create_job(output, job, None if from_scratch else source.weights)
    _finish(output)


def _teacher(
    name: str, request: "Request", epochs: int, temperature: float, hard_weight: float, device: str, threads: int
) -> Any:
    import torch

    from runners.training import TrainingDiverged
    from studies.final.request import teacher_of

    torch.set_num_threads(threads)
    progress = EpochLines(f"teacher {name}", epochs)
    try:
        return teacher_of(
            name,
            request.data,
            replace(request.training, epochs=epochs),
            resolution=request.source.architecture.resolution,
            temperature=temperature,
            hard_weight=hard_weight,
            average=request.average,
            seed=request.seed,
            device=device,
            on_epoch=progress.on_epoch,
        )
    except TrainingDiverged as error:
        raise UserError(f"teacher {name}: {error}; try a lower --set learning_rate") from None
    except KeyboardInterrupt:
        typer.echo(f"stopped; the same command goes on with the teacher {name} from its last epoch", err=True)
        raise typer.Exit(INTERRUPTED) from None


def _numbers(option: str, text: str | None, kind: Callable[[str], Any], separator: str) -> tuple[Any, ...]:
    try:
        return tuple(kind(part) for part in text.split(separator)) if text else ()
    except ValueError:
        raise UserError(f"{option} {text}: write a number, or several joined by '{separator}'") from None


class EpochLines:
    """A line on stderr for each epoch, with the time that is left."""

    def __init__(self, name: str, epochs: int) -> None:
        self.name, self.epochs = name, epochs
        self._seconds: list[float] = []

    def on_epoch(self, point: "CurvePoint") -> None:
        from studies.wording import format_duration

        self._seconds.append(point.seconds)
        recent = self._seconds[-5:]
        left = format_duration(sum(recent) / len(recent) * (self.epochs - point.epoch))
        typer.echo(
            f"{self.name} [{point.epoch}/{self.epochs}] {point.step}: loss {point.train_loss:.3f}  "
            f"accuracy {100 * point.accuracy:.2f} %  {point.seconds:.1f} s  {left} left",
            err=True,
        )


def _finish(directory: Path) -> None:
    """Run the job of a directory to its end, and put the network in its place."""
    from runners.pipeline import Interrupted
    from runners.training import TrainingDiverged
    from studies.final.card import waterfall_rows
    from studies.final.directory import write_final
    from studies.final.job import Listener, read_job, run_job
    from studies.wording import describe_spec

    job = read_job(directory)
    check_device(job.device)
    lines: dict[str, EpochLines] = {}

    def on_epoch(run: str, point: "CurvePoint") -> None:
        name = "without teacher" if run else job.name
        lines.setdefault(run, EpochLines(name, job.recipe.epochs)).on_epoch(point)

    def on_step(run: str, result: "StepResult") -> None:
        if not run and result.accuracy == result.accuracy:
            typer.echo(f"{job.name} after {result.name}: accuracy {100 * result.accuracy:.2f} %", err=True)

    typer.echo(f"{job.name}: {describe_spec(job.recipe.spec)}, {job.recipe.epochs} epochs in all", err=True)
    started = time.monotonic()
    try:
        with _stopping() as should_stop:
            outcome = run_job(directory, job, Listener(on_epoch=on_epoch, on_step=on_step, should_stop=should_stop))
    except Interrupted:
        typer.echo(f"stopped after an epoch; go on with: resfront train --resume {directory}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    except TrainingDiverged as error:
        raise UserError(f"{job.name}: {error}; begin anew with a lower --set learning_rate") from None
    except KeyboardInterrupt:
        typer.echo(f"stopped; go on from the last epoch with: resfront train --resume {directory}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    write_final(directory, job, outcome, progress=lambda line: typer.echo(line, err=True))
    heads, rows = waterfall_rows(outcome.final.steps)
    print_table(heads, rows)
    typer.echo()
    if outcome.control:
        without = outcome.control.steps[-1].accuracy
        worth = f"it was worth {100 * outcome.gain:+.2f} points of validation accuracy"
        typer.echo(f"without the teacher {100 * without:.2f} %: {worth}")
    if outcome.test_images:
        typer.echo(f"test accuracy {100 * outcome.test_accuracy:.2f} % on {outcome.test_images:,} images")
    typer.echo(f"{directory}: written and checked in {time.monotonic() - started:.0f} s; see card.md and report.html")


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """Ctrl-C once asks for a stop at the end of the epoch, twice stops at once."""
    asked: list[int] = []

    def handle(number: int, frame: object) -> None:
        asked.append(number)
        if len(asked) > 1 or number == signal.SIGTERM:
            raise KeyboardInterrupt
        typer.echo("stopping at the end of this epoch; Ctrl-C again stops at once", err=True)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, old in before.items():
            signal.signal(number, old)
