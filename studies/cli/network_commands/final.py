"""`resfront train` and `resfront compress`: from a spec, or an exported network, to the one that ships."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search_space.errors import UserError

from ..options import MOST_EPOCHS, WITHOUT
from ..terminal.job import finish
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
    pass
from .start_job import model_options, start_job


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
    options = model_options(without)
    if resume is not None:
        finish(resume, "train", options, data_dir)
        return
    if (network is None) == (reference is None):
        raise UserError("train: give a spec or --reference NAME, one of the two")
    config, training = data_config(data, data_dir), training_config(epochs, settings)
    is_pruned = prune is not None or bool(prune_to)
    start_job(
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
    options = model_options(without)
    if resume is not None:
        finish(resume, "compress", options, data_dir)
        return
    if network is None:
        raise UserError("compress: give the directory of a trained network")
    start_job(
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
