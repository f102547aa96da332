"""Starting a study, or going on with one, from what a command line or a program says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from runners.config import LimitsConfig
from search_space.errors import UserError

from ..study.config import load_config
from ..study.record import STUDY_FILE, StudyRecord, open_study_record, study_directory
from .create import create_study
from .resume import resume_study
from .torch_device import check_device

Changes = Mapping[tuple[str, ...], Any]
"""Path of a key -> its value, in the place of the configuration's."""
OnNote = Callable[[str], None]


def new_study(
    source: str | None, name: str | None, given: Changes, settings: Sequence[str], runs: Path, on_note: OnNote
) -> StudyRecord:
    """Make the study of a preset or a TOML file, named like it unless `name` says otherwise; raises UserError."""
    if source is None:
        raise UserError("search: name a preset or a TOML file; `resfront presets` lists the presets")
    directory = study_directory(Path(source).stem if name is None else name, runs)
    config = load_config(source, settings, given)
    check_device(config.workers.device)
    on_note(f"study {directory.name}: reading the images of {config.data.name} ...")
    return create_study(directory, config, on_note)


def resumed_study(
    source: str | None, name: str | None, given: Changes, settings: Sequence[str], runs: Path, on_note: OnNote
) -> StudyRecord:
    """Return the study that is to go on, with what is changed of it; raises UserError."""
    known = known_study(name, source, runs)
    directory, before = known.directory, known.config.limits
    config = load_config(source or str(directory / STUDY_FILE), settings, given)
    check_device(config.workers.device)
    on_note(f"study {directory.name}: reading the images of {config.data.name} ...")
    record = resume_study(directory, replace(config, limits=_limits_from_now(directory, source, given, settings)))
    if (now := record.config.limits) != before:
        on_note(f"limits from now on: {_listed(now)} (before: {_listed(before)}); every trial is judged by them")
    return record


def known_study(name: str | None, source: str | None, runs: Path) -> StudyRecord:
    """The study that is to go on; raises UserError where none is named, StudyNotFound where there is none."""
    if name is None and source is None:
        raise UserError("search --resume: which study? give its --name")
    return open_study_record(study_directory(Path(str(source)).stem if name is None else name, runs))


def _listed(limits: LimitsConfig) -> str:
    return ", ".join(map(str, limits.as_limits())) or "none"


def _limits_from_now(directory: Path, source: str | None, given: Changes, settings: Sequence[str]) -> LimitsConfig:
    """The study's limits with what a TOML file, options and settings change of them; a preset changes none."""
    changes: dict[tuple[str, ...], Any] = {}
    if source is not None and source.endswith(".toml"):
        limits = load_config(source, ()).limits
        changes = {("limits", kind, name): v for kind in ("max", "min") for name, v in getattr(limits, kind).items()}
    changes |= {keys: value for keys, value in given.items() if keys[0] == "limits"}
    settings = [setting for setting in settings if setting.strip().startswith("limits.")]
    return load_config(str(directory / STUDY_FILE), settings, changes).limits
