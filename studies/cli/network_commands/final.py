"""`resfront train` and `resfront compress`: from a spec, or an exported network, to the one that ships."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search_space.errors import UserError

from ..options import MOST_EPOCHS, WITHOUT
from ..study_commands.search import INTERRUPTED, check_device
from ..terminal.job import EpochLines, finish
from ..training_options import (
    ALL_THREADS,
    AVERAGE,
    BITS,
    CONTROL,
    DATA,
    DATA_DIR,
    DEVICE,
    DISTILL,
    HARD_WEIGHT,
    IMPORTANCE,
    MULTIPLE,
    OUTPUT,
    PRUNE,
    PRUNE_STEPS,
    PRUNE_TO,
    RESUME,
    SEED,
    SETTINGS,
    TEMPERATURE,
    data_config,
    training_config,
)

if TYPE_CHECKING:
    from runners.config import DataConfig, TrainingConfig
    from studies.export.models import ModelOptions
    from studies.final.request import Request


def register(app: typer.Typer) -> None:
    app.command()(train)
    app.command()(compress)


def train(
    network: Annotated[
        Path | None, typer.Argument(metavar="[SPEC.json|DIR]", help="A spec; its weights, if it has any, are not used.")
    ] = None,
    reference: Annotated[str | None, typer.Option(metavar="NAME", help="A named network instead.")] = None,
    data: DATA = None,
    data_dir: DATA_DIR = None,
    epochs: Annotated[
        int, typer.Option(metavar="E", min=1, max=MOST_EPOCHS, help="Epochs of the whole training.")
    ] = 30,
    bits: BITS = None,
    distill_from: DISTILL = None,
    prune: PRUNE = None,
    prune_to: PRUNE_TO = None,
    prune_steps: PRUNE_STEPS = 1,
    fine_tune_epochs: Annotated[
        int | None,
        typer.Option(
            metavar="E", min=0, max=MOST_EPOCHS, help="After pruning, in all; by default a third of --epochs."
        ),
    ] = None,
    qat_epochs: Annotated[
        int | None,
        typer.Option(
            metavar="E",
            min=0,
            max=MOST_EPOCHS,
            help="Training at the final bits; by default a tenth of --epochs below 8 bits.",
        ),
    ] = None,
    teacher_epochs: Annotated[
        int | None, typer.Option(metavar="E", min=1, max=MOST_EPOCHS, help="Of a named teacher; by default --epochs.")
    ] = None,
    temperature: TEMPERATURE = 4.0,
    hard_weight: HARD_WEIGHT = 0.3,
    control: CONTROL = True,
    average: AVERAGE = 0.998,
    importance: IMPORTANCE = "taylor",
    channel_multiple: MULTIPLE = 8,
    seed: SEED = 0,
    threads: ALL_THREADS = 0,
    device: DEVICE = "cpu",
    settings: SETTINGS = None,
    output: OUTPUT = None,
    resume: RESUME = None,
    without: WITHOUT = None,
) -> None:
    """Train a network for good, and make it smaller on the way if asked: prune, distil, quantize, export, verify."""
    options = _options(without)
    if resume is not None:
        finish(resume, "train", options, data_dir)
        return
    if (network is None) == (reference is None):
        raise UserError("train: give a spec or --reference NAME, one of the two")
    config, training = data_config(data, data_dir), training_config(epochs, settings)
    is_pruned = prune is not None or bool(prune_to)
    _start(
        str(reference) if network is None else network,
        config,
        training,
        from_scratch=True,
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
        options=options,
    )


def compress(
    network: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="A trained network: a directory of `train` or `export`.")
    ] = None,
    data: DATA = None,
    data_dir: DATA_DIR = None,
    epochs: Annotated[
        int, typer.Option(metavar="E", min=0, max=MOST_EPOCHS, help="Fine-tuning in all, split over the pruning steps.")
    ] = 10,
    bits: BITS = None,
    distill_from: DISTILL = None,
    prune: PRUNE = None,
    prune_to: PRUNE_TO = None,
    prune_steps: PRUNE_STEPS = 1,
    qat_epochs: Annotated[
        int | None,
        typer.Option(
            metavar="E",
            min=0,
            max=MOST_EPOCHS,
            help="Training at the final bits; by default a third of --epochs below 8 bits.",
        ),
    ] = None,
    teacher_epochs: Annotated[
        int, typer.Option(metavar="E", min=1, max=MOST_EPOCHS, help="Of a named teacher, where it is not kept yet.")
    ] = 30,
    temperature: TEMPERATURE = 4.0,
    hard_weight: HARD_WEIGHT = 0.3,
    control: CONTROL = True,
    average: AVERAGE = 0.998,
    importance: IMPORTANCE = "taylor",
    channel_multiple: MULTIPLE = 8,
    seed: SEED = 0,
    threads: ALL_THREADS = 0,
    device: DEVICE = "cpu",
    settings: SETTINGS = None,
    output: OUTPUT = None,
    resume: RESUME = None,
    without: WITHOUT = None,
) -> None:
    """Make a trained network smaller: prune, distil while fine-tuning, quantize, export, verify, measure."""
    options = _options(without)
    if resume is not None:
        finish(resume, "compress", options, data_dir)
        return
    if network is None:
        raise UserError("compress: give the directory of a trained network")
    _start(
        network,
        data_config(data, data_dir),
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
        options=options,
    )


def _start(
    network: Path | str,
    data: "DataConfig",
    training: "TrainingConfig",
    *,
    from_scratch: bool,
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
    options: "ModelOptions",
    importance: str,
    **others: Any,
) -> None:
    """Begin a job with a spec, a directory or a named network, and run it."""
    from objectives.limits import parse_limit
    from objectives.machine import usable_cores
    from runners.compression.recipe import check_distillation
    from runners.config import SearchConfig, WorkersConfig
    from runners.datasets import load_dataset
    from studies.final.job import Job, check_new, create_job, measured_latency
    from studies.final.request import Request, directory_source, named_source, recipe_of

    if output is None:
        raise UserError("give -o DIR, a new directory for the network")
    check_new(output)
    if importance not in ("taylor", "magnitude"):
        raise UserError(f"--importance: must be taylor or magnitude, not '{importance}'")
    check_device(device)
    WorkersConfig(device=device, threads=threads)
    SearchConfig(seed=others["seed"])
    check_distillation(temperature, hard_weight)
    widths = _numbers("--bits", bits, int, ",")
    if isinstance(network, Path):
        source = directory_source(network)
        if data.name == "image-folder":  # decoded at the size that the network wants
            data = replace(data, resolution=source.architecture.resolution)
    else:
        source = named_source(network, load_dataset(data.name, data.path, resolution=data.resolution))
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
    threads = threads or usable_cores()
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
    finish(output, "train" if from_scratch else "compress", options)


def _options(without: list[str] | None) -> "ModelOptions":
    from studies.export.models import ModelOptions

    return ModelOptions(without=tuple(without or ()))


def _teacher(
    name: str, request: "Request", epochs: int, temperature: float, hard_weight: float, device: str, threads: int
) -> Any:
    import torch

    from runners.candidate import TrainingDiverged
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
        return () if text is None else tuple(kind(part) for part in text.split(separator))
    except ValueError:
        raise UserError(f"{option} {text}: write a number, or several joined by '{separator}'") from None
