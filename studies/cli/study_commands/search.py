"""`resfront search`: launch a study, or go on with one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runners.trial_record import Status
from search_space.errors import UserError
from search_space.texts.counting import count_of

from ..endings import INTERRUPTED
from ..options import DEFAULT_RUNS, RUNS

if TYPE_CHECKING:
    from runners.storage.errors import StorageError

    from ...results.study_results import StudyResults
    from ...study.record import StudyRecord
from ..search_options import StudyOptions

_WRITE_REPORT = "`resfront report` writes it"


def search(
    *,
    source: Annotated[
        str | None,
        typer.Argument(metavar="[PRESET|FILE.toml]", help="A preset (see `resfront presets`) or a TOML file."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The study's name; by default the preset's.")] = None,
    options: StudyOptions,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the study of that name.")] = False,
    runs: RUNS = DEFAULT_RUNS,
) -> None:
    """Search a space of networks; Ctrl-C finishes the running ones, twice stops at once; --resume goes on."""
    from ...launch.start import known_study, new_study, resumed_study
    from ...study.config import load_metrics

    changes, settings = options.changes(), options.settings or []
    if resume:
        known_study(name, source, runs)  # its limits may be on what only the study knows any more
    if source is not None:
        load_metrics(source, settings, changes)
    changes |= options.limits()
    _run((resumed_study if resume else new_study)(source, name, changes, settings, runs, _note))


def _note(text: str) -> None:
    typer.echo(text, err=True)


def _run(record: "StudyRecord") -> None:
    from runners.search.pricing.cost_check import NoFeasibleCandidate

    from ...launch.run import run_search
    from ...report.next_steps import next_steps
    from ...report.verdict import why_no_front
    from ...results.reading import load_results
    from ...texts.wording import saved_training
    from ..terminal.front_table import print_front
    from ..terminal.progress import Progress

    runs = "" if record.directory.parent == DEFAULT_RUNS else f" --runs {record.directory.parent}"
    go_on = f"go on with: resfront search --resume --name {record.name}{runs}"
    try:
        with Progress(record) as progress:
            ending = run_search(
                record,
                progress.on_event,
                progress.on_epoch,
                progress.on_stop,
                progress.on_note,
                takes_signals=True,
            )
    except KeyboardInterrupt:  # before the coordinator listens to it, or after
        typer.echo(go_on, err=True)
        raise
    results = load_results(record.directory)
    report = _written_report(results, ending)  # first: whoever reads stdout may have gone by now
    print_front(results)
    if saved := saved_training(results.count(Status.STOPPED), results.training_saved):
        typer.echo(f"\n{saved}")
    if isinstance(report, Path):
        typer.echo(f"\nreport: {report}")
    if not results.front.empty:
        for line in next_steps(results, runs):
            typer.echo(line)
    if ending != "done":
        typer.echo(
            f"stopped after {results.evaluated} of {count_of(record.config.search.trials, 'trial')}; {go_on}", err=True
        )
    if isinstance(report, UserError):
        raise report
    if ending == "done" and results.front.empty:
        raise NoFeasibleCandidate(f"study {record.name} is done, and {why_no_front(results)}")
    if ending == "interrupted":
        raise typer.Exit(INTERRUPTED)


def _written_report(results: "StudyResults", ending: str) -> "Path | StorageError":
    """The report's path, or why it could not be written: the study is there all the same."""
    from runners.storage.errors import StorageError

    from ...report.page import write_report

    try:
        return write_report(results, results.directory / "report.html")
    except StorageError as error:
        state = "complete" if ending == "done" else "kept as far as it is"
        return StorageError(f"study {results.name} is {state}, only its report is missing ({error}); {_WRITE_REPORT}")
