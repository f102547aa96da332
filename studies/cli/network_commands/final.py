"""`resfront train` and `resfront compress`: from a spec, or an exported network, to the one that ships."""

from pathlib import Path
from typing import Annotated

import typer

from search_space.errors import UserError

from ..options import MOST_EPOCHS
from ..terminal.job import finish
from ..training_options import (
    DataOptions,
    JobOptions,
    PruneOptions,
    QuantizeOptions,
    TeacherOptions,
    data_config,
    training_config,
)
from .start_job import model_options, start_job


def train(
    *,
    network: Annotated[
        Path | None, typer.Argument(metavar="[SPEC.json|DIR]", help="A spec; its weights, if it has any, are not used.")
    ] = None,
    reference: Annotated[str | None, typer.Option(metavar="NAME", help="A named network instead.")] = None,
    data: DataOptions,
    epochs: Annotated[
        int, typer.Option(metavar="E", min=1, max=MOST_EPOCHS, help="Epochs of the whole training.")
    ] = 30,
    quantize: QuantizeOptions,
    teacher: TeacherOptions,
    prune: PruneOptions,
    fine_tune_epochs: Annotated[
        int | None,
        typer.Option(
            metavar="E", min=0, max=MOST_EPOCHS, help="After pruning, in all; by default a third of --epochs."
        ),
    ] = None,
    job: JobOptions,
) -> None:
    """Train a network for good, and make it smaller on the way if asked: prune, distil, quantize, export, verify."""
    if job.resume is not None:
        finish(job.resume, "train", model_options(job.without), data.data_dir)
        return
    if (network is None) == (reference is None):
        raise UserError("train: give a spec or --reference NAME, one of the two")
    is_pruned = prune.prune is not None or bool(prune.prune_to)
    start_job(
        str(reference) if network is None else network,
        data_config(data.data, data.data_dir),
        training_config(epochs, data.settings),
        from_scratch=True,
        prune=prune,
        fine_tune_epochs=(max(1, epochs // 3) if fine_tune_epochs is None else fine_tune_epochs) if is_pruned else 0,
        quantize=quantize,
        teacher=teacher,
        teacher_epochs=teacher.teacher_epochs or epochs,
        average=data.average,
        job=job,
    )


def compress(
    *,
    network: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="A trained network: a directory of `train` or `export`.")
    ] = None,
    data: DataOptions,
    epochs: Annotated[
        int, typer.Option(metavar="E", min=0, max=MOST_EPOCHS, help="Fine-tuning in all, split over the pruning steps.")
    ] = 10,
    quantize: QuantizeOptions,
    teacher: TeacherOptions,
    prune: PruneOptions,
    job: JobOptions,
) -> None:
    """Make a trained network smaller: prune, distil while fine-tuning, quantize, export, verify, measure."""
    if job.resume is not None:
        finish(job.resume, "compress", model_options(job.without), data.data_dir)
        return
    if network is None:
        raise UserError("compress: give the directory of a trained network")
    start_job(
        network,
        data_config(data.data, data.data_dir),
        training_config(max(1, epochs), data.settings),
        from_scratch=False,
        prune=prune,
        fine_tune_epochs=epochs,
        quantize=quantize,
        teacher=teacher,
        teacher_epochs=teacher.teacher_epochs or 30,
        average=data.average,
        job=job,
    )
