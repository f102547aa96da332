"""`resfront search`: launch a study, or go on with one."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from runners.trial_record import Status
from search_space.errors import UserError
from search_space.texts.counting import count_of

from ..endings import INTERRUPTED
from ..options import DEFAULT_RUNS, RUNS

if TYPE_CHECKING:
    from runners.config import LimitsConfig
    from runners.storage.errors import StorageError

    from ...results.study_results import StudyResults
    from ...study.record import StudyRecord
from ..torch_device import check_device
from .search_options import Changes, StudyOptions

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
    changes, settings = options.changes(), options.settings or []
    if resume:
        _known(name, source, runs)  # its limits may be on devices that only the study knows any more
    changes |= options.limits()
    _run((_resumed if resume else _new)(source, name, changes, settings, runs))


def _new(source: str | None, name: str | None, given: Changes, settings: list[str], runs: Path) -> "StudyRecord":
    from ...launch.create import create_study
    from ...study.config import load_config
    from ...study.record import study_directory

    if source is None:
        raise UserError("search: name a preset or a TOML file; `resfront presets` lists the presets")
    directory = study_directory(Path(source).stem if name is None else name, runs)
    config = load_config(source, settings, given)
    check_device(config.workers.device)
    _note(f"study {directory.name}: reading the images of {config.data.name} ...")
    return create_study(directory, config, _note)


def _resumed(source: str | None, name: str | None, given: Changes, settings: list[str], runs: Path) -> "StudyRecord":
    from ...launch.resume import resume_study
    from ...study.config import load_config
    from ...study.record import STUDY_FILE

    known = _known(name, source, runs)
    directory, before = known.directory, known.config.limits
    config = load_config(source or str(directory / STUDY_FILE), settings, given)
    check_device(config.workers.device)
    _note(f"study {directory.name}: reading the images of {config.data.name} ...")
    record = resume_study(directory, replace(config, limits=_limits_from_now(directory, source, given, settings)))
    if (now := record.config.limits) != before:
        _note(f"limits from now on: {_listed(now)} (before: {_listed(before)}); every trial is judged by them")
    return record


def _known(name: str | None, source: str | None, runs: Path) -> "StudyRecord":
    """The study that is to go on; raises UserError where none is named, StudyNotFound where there is none."""
    from ...study.record import open_study_record, study_directory

    if name is None and source is None:
        raise UserError("search --resume: which study? give its --name")
    return open_study_record(study_directory(Path(str(source)).stem if name is None else name, runs))


def _listed(limits: "LimitsConfig") -> str:
    return ", ".join(map(str, limits.as_limits())) or "none"


def _limits_from_now(directory: Path, source: str | None, given: Changes, settings: list[str]) -> "LimitsConfig":
    """The study's limits with what a TOML file, options and settings change of them; a preset changes none."""
    from ...study.config import load_config
    from ...study.record import STUDY_FILE

    changes: Changes = {}
    if source is not None and source.endswith(".toml"):
        limits = load_config(source, ()).limits
        changes = {("limits", kind, name): v for kind in ("max", "min") for name, v in getattr(limits, kind).items()}
    changes |= {keys: value for keys, value in given.items() if keys[0] == "limits"}
    settings = [setting for setting in settings if setting.strip().startswith("limits.")]
    return load_config(str(directory / STUDY_FILE), settings, changes).limits


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
