"""`resfront search`: launch a study, or go on with one."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runners.trial_record import Status
from search_space.errors import UserError
from search_space.texts.counting import count_of

from ..endings import INTERRUPTED
from ..options import DEFAULT_RUNS, RUNS
from ..training_options import DATA_DIR

if TYPE_CHECKING:
    from runners.config import LimitsConfig
    from runners.storage.errors import StorageError

    from ...results.study_results import StudyResults
    from ...study.record import StudyRecord
from ..torch_device import check_device

_WRITE_REPORT = "`resfront report` writes it"


def register(app: typer.Typer) -> None:
    app.command()(search)


def search(
    source: Annotated[
        str | None,
        typer.Argument(metavar="[PRESET|FILE.toml]", help="A preset (see `resfront presets`) or a TOML file."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The study's name; by default the preset's.")] = None,
    trials: Annotated[
        int | None, typer.Option(metavar="N", help="Evaluated networks in all, earlier runs included.")
    ] = None,
    objectives: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="2 to 4 objectives, for example accuracy,macs,file_bytes."),
    ] = None,
    maxima: Annotated[
        list[str] | None,
        typer.Option("--max", metavar="OBJECTIVE=VALUE", help="Upper limit; may be repeated."),
    ] = None,
    minima: Annotated[
        list[str] | None,
        typer.Option("--min", metavar="OBJECTIVE=VALUE", help="Lower limit; may be repeated."),
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="DATASET", help="Data set, for example cifar10 or image-folder.")
    ] = None,
    data_dir: DATA_DIR = None,
    sampler: Annotated[str | None, typer.Option(help="front, tpe, nsga2, nsga3, gp, random or qmc.")] = None,
    references: Annotated[
        str | None, typer.Option(metavar="A,B", help="Named networks of the space to evaluate first; '' for none.")
    ] = None,
    like: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Expect what this finished study found too; may be repeated. `none`: leave out the trainings that "
            "come with the program.",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the sampler and of every training.")] = None,
    timeout: Annotated[float | None, typer.Option(metavar="S", help="Start no new network after S seconds.")] = None,
    workers: Annotated[int | None, typer.Option(metavar="N", help="Processes that train side by side.")] = None,
    threads: Annotated[
        int | None, typer.Option(metavar="N", help="Threads of each worker; 0 shares the cores out.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any key, for example training.epochs=3."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the study of that name.")] = False,
    runs: RUNS = DEFAULT_RUNS,
) -> None:
    """Search a space of networks; Ctrl-C finishes the running ones, twice stops at once; --resume goes on."""
    options = {
        "objectives": None if objectives is None else objectives.split(","),
        "data.name": data,
        "data.path": None if data_dir is None else str(data_dir),
        "search.trials": trials,
        "search.sampler": sampler,
        "search.references": [name for name in references.split(",") if name] if references is not None else None,
        "search.like": like,
        "search.seed": seed,
        "search.timeout_s": timeout,
        "workers.workers": workers,
        "workers.threads": threads,
        "workers.device": device,
    }
    given = {tuple(key.split(".")): value for key, value in options.items() if value is not None}
    if resume:
        _known(name, source, runs)  # its limits may be on devices that only the study knows any more
    given |= _limits("max", maxima) | _limits("min", minima)
    record = (
        _resumed(source, name, given, settings or [], runs)
        if resume
        else _new(source, name, given, settings or [], runs)
    )
    _run(record)


def _limits(kind: Any, texts: list[str] | None) -> dict[tuple[str, ...], Any]:
    from objectives.limits import parse_limit

    limits = [parse_limit(kind, text) for text in texts or []]
    names = [limit.objective for limit in limits]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"--{kind} {twice[0]}: is given twice")
    return {("limits", kind, limit.objective): limit.value for limit in limits}


def _new(
    source: str | None, name: str | None, given: dict[tuple[str, ...], Any], settings: list[str], runs: Path
) -> "StudyRecord":
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


def _resumed(
    source: str | None, name: str | None, given: dict[tuple[str, ...], Any], settings: list[str], runs: Path
) -> "StudyRecord":
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


def _limits_from_now(
    directory: Path, source: str | None, given: dict[tuple[str, ...], Any], settings: list[str]
) -> "LimitsConfig":
    """The study's limits with what a TOML file, options and settings change of them; a preset changes none."""
    from ...study.config import load_config
    from ...study.record import STUDY_FILE

    changes: dict[tuple[str, ...], Any] = {}
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
            ending = run_search(record, progress.on_event, progress.on_epoch, progress.on_stop, progress.on_note)
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
