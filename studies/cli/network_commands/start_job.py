"""Starting the job of `train` and `compress`: options as a recipe, checked before anything is trained."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from search_space.errors import UserError

from ..device import check_device
from ..endings import INTERRUPTED
from ..terminal.job import EpochLines, finish

if TYPE_CHECKING:
    from runners.config import DataConfig, TrainingConfig
    from studies.export.models import ModelOptions
    from studies.final.request import Request


def start_job(
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
    from runners.compression.recipes.recipe import check_distillation
    from runners.config import SearchConfig, WorkersConfig
    from runners.datasets import load_dataset
    from studies.final.job import Job, check_new, create_job, measured_latency

    from ...final.request import Request, recipe_of
    from ...final.sources import directory_source, named_source

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


def model_options(without: list[str] | None) -> "ModelOptions":
    from studies.export.models import ModelOptions

    return ModelOptions(without=tuple(without or ()))


def _teacher(
    name: str, request: "Request", epochs: int, temperature: float, hard_weight: float, device: str, threads: int
) -> Any:
    import torch

    from runners.candidate import TrainingDiverged

    from ...final.sources import teacher_of

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
