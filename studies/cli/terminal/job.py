"""How does a job run on a terminal? A line for each epoch, Ctrl-C that can be gone on from, the table at the end."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from search_space.errors import UserError
from search_space.texts.counting import count_of

from ...launch.torch_device import check_device
from ..endings import INTERRUPTED
from ..options import print_table

if TYPE_CHECKING:
    from runners.candidate import Epoch
    from runners.recipes.results import StepResult
    from studies.export.models import ModelOptions
    from studies.final.job import Outcome


class EpochLines:
    """A line on stderr for each epoch, with the time that is left."""

    def __init__(self, name: str, epochs: int) -> None:
        self.name, self.epochs = name, epochs
        self._seconds: list[float] = []

    def on_epoch(self, point: "Epoch") -> None:
        from ...texts.wording import format_duration

        self._seconds.append(point.seconds)
        recent = self._seconds[-5:]
        left = format_duration(sum(recent) / len(recent) * (self.epochs - point.epoch))
        typer.echo(
            f"{self.name} [{point.epoch}/{self.epochs}] {point.step}: loss {point.train_loss:.3f}  "
            f"accuracy {100 * point.metric:.2f} %  {point.seconds:.1f} s  {left} left",
            err=True,
        )


def finish(directory: Path, command: str, options: "ModelOptions", data_dir: Path | None = None) -> None:
    """Run the job of a directory to its end, and put the network in its place; `command` goes on with it.

    `data_dir` is where the same images are now, if they have moved.
    """
    from runners.candidate import TrainingDiverged
    from runners.recipes.pipeline import Interrupted
    from studies.export.errors import ExportRefused
    from studies.final.directory import write_final
    from studies.final.job import read_job, run_job
    from studies.final.regression import regressions

    from ...texts.wording import describe_spec

    job = read_job(directory, data_dir)
    check_device(job.device)
    lines: dict[str, EpochLines] = {}

    def on_epoch(run: str, point: "Epoch") -> None:
        name = "without teacher" if run else job.name
        lines.setdefault(run, EpochLines(name, job.recipe.epochs)).on_epoch(point)

    def on_step(run: str, result: "StepResult") -> None:
        name = "without teacher" if run else job.name
        if result.accuracy == result.accuracy:
            typer.echo(f"{name} after {result.name}: accuracy {100 * result.accuracy:.2f} %", err=True)

    epochs = count_of(job.recipe.epochs, "epoch")
    typer.echo(f"{job.name}: {describe_spec(job.recipe.spec)}, {epochs} in all", err=True)
    go_on = f"resfront {command} --resume {directory}"
    started = time.monotonic()
    try:
        with _stopping() as should_stop:
            outcome = run_job(directory, job, on_epoch=on_epoch, on_step=on_step, should_stop=should_stop)
    except Interrupted:
        typer.echo(f"stopped after an epoch; go on with: {go_on}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    except TrainingDiverged as error:
        raise UserError(
            f"{job.name}: {error}; begin anew with a lower --set learning_rate, and remove {directory}"
        ) from None
    except KeyboardInterrupt:
        typer.echo(f"stopped; go on from the last whole epoch with: {go_on}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    try:
        write_final(directory, job, outcome, options=options, progress=lambda line: typer.echo(line, err=True))
    except ExportRefused as error:
        raise ExportRefused(f"{error}; the job is kept: {go_on}") from None
    _print_outcome(outcome)
    for line in outcome.missed(job.recipe):
        typer.echo(f"warning: {line}", err=True)
    for line in regressions(outcome.final.steps):
        typer.echo(f"note: {line}", err=True)
    typer.echo(f"{directory}: written and checked in {time.monotonic() - started:.0f} s; see card.md and report.html")


def _print_outcome(outcome: "Outcome") -> None:
    from studies.final.card import waterfall_rows

    heads, rows = waterfall_rows(outcome.final.steps)
    print_table(heads, rows)
    typer.echo()
    if outcome.control:
        without = outcome.control.steps[-1].accuracy
        worth = f"it was worth {100 * outcome.gain:+.2f} points of validation accuracy"
        error = f"standard error of each {100 * outcome.accuracy_error:.1f}"
        typer.echo(f"without the teacher {100 * without:.2f} % in the end: {worth} ({error})")
    if outcome.test_images:
        typer.echo(f"test accuracy {100 * outcome.test_accuracy:.2f} % on {outcome.test_images:,} images")


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
