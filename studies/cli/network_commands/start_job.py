"""Starting the job of `train` and `compress`: options as a recipe, checked before anything is trained."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from search_space.errors import UserError

from ...launch.torch_device import check_device
from ..endings import INTERRUPTED
from ..terminal.job import EpochLines, finish
from ..training_options import JobOptions, PruneOptions, QuantizeOptions, TeacherOptions

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
    prune: PruneOptions,
    fine_tune_epochs: int,
    quantize: QuantizeOptions,
    teacher: TeacherOptions,
    teacher_epochs: int,
    average: float,
    job: JobOptions,
) -> None:
    """Begin a job with a spec, a directory or a named network, and run it."""
    from objectives.limits import parse_limit
    from objectives.machine import usable_cores
    from runners.config import SearchConfig, WorkersConfig
    from runners.datasets import load_dataset
    from runners.recipes.recipe import check_distillation
    from studies.final.job import Job, check_new, create_job, measured_latency

    from ...final.request import Request, recipe_of
    from ...final.sources import directory_source, named_source

    if job.output is None:
        raise UserError("give -o DIR, a new directory for the network")
    check_new(job.output)
    if prune.importance not in ("taylor", "magnitude"):
        raise UserError(f"--importance: must be taylor or magnitude, not '{prune.importance}'")
    check_device(job.device)
    WorkersConfig(device=job.device, threads=job.threads)
    SearchConfig(seed=job.seed)
    check_distillation(teacher.temperature, teacher.hard_weight)
    widths = _numbers("--bits", quantize.bits, int, ",")
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
        prune=_numbers("--prune", prune.prune, float, "/"),
        prune_to=tuple(parse_limit("max", text, option="--prune-to") for text in prune.prune_to or []),
        prune_steps=prune.prune_steps,
        fine_tune_epochs=fine_tune_epochs,
        bits=widths,
        qat_epochs=quantize.qat_epochs,
        importance=prune.importance,
        channel_multiple=prune.channel_multiple,
        average=average,
        seed=job.seed,
    )
    with measured_latency() as measure:
        recipe = recipe_of(request, lambda architecture: measure(architecture.build_graph()))
    if (prune.prune or prune.prune_to) and not any(step.kind == "prune" for step in recipe.steps):
        typer.echo(f"{source.name}: keeps {', '.join(prune.prune_to or [])} already; nothing is pruned", err=True)
    threads = job.threads or usable_cores()
    if teacher.distill_from is not None:
        recipe = replace(recipe, teacher=_teacher(teacher, request, teacher_epochs, job.device, threads))
    begun = Job(
        name=source.name,
        recipe=recipe,
        control=teacher.control and recipe.teacher is not None,
        device=job.device,
        threads=threads,
    )
    create_job(job.output, begun, None if from_scratch else source.weights)
    finish(job.output, "train" if from_scratch else "compress", model_options(job.without))


def model_options(without: list[str] | None) -> "ModelOptions":
    from studies.export.models import ModelOptions

    return ModelOptions(without=tuple(without or ()))


def _teacher(teacher: TeacherOptions, request: "Request", epochs: int, device: str, threads: int) -> Any:
    import torch

    from runners.candidate import TrainingDiverged

    from ...final.sources import teacher_of

    name = str(teacher.distill_from)
    torch.set_num_threads(threads)
    progress = EpochLines(f"teacher {name}", epochs)
    try:
        return teacher_of(
            name,
            request.data,
            replace(request.training, epochs=epochs),
            resolution=request.source.architecture.resolution,
            temperature=teacher.temperature,
            hard_weight=teacher.hard_weight,
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
