"""A study's directory, and what its `study.toml` holds: the configuration, and what was resolved when it was made."""

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from objectives import OBJECTIVES, Objective, metric
from objectives.device_costs.latency_ms import accept_device
from objectives.hypervolume_box import hypervolume_box
from runners.config import CONVENTIONS, NO_STUDY, SHIPPED, LimitsConfig, StudyConfig
from runners.storage.errors import StorageError
from runners.storage.study_files import write_atomically
from search_space.errors import UserError, unknown_name

from .config import ConfigError, dump_toml, parse_config, read_toml, to_tables

STUDY_FILE = "study.toml"
LONGEST_NAME = 100
"""Characters of a study's name."""
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST_NAME - 1}}}")
_FORM = 3
"""Version of what a study's files hold; raised whenever earlier ones can no longer be read."""


_FACTS = ("label", "unit", "direction", "worst", "best", "note")
"""What is written down of a metric, so that the study can be read without the training that measures it."""


class StudyNotFound(UserError):
    """Error of a name that no study has."""

    exit_code = 3


class StudyExists(UserError):
    """Error of a name that another study has already."""

    exit_code = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierLimits:
    """Limits that a study had until they were changed."""

    until: str
    """When they were changed, ISO 8601 in UTC."""
    limits: LimitsConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRecord:
    """What `study.toml` holds: the configuration, and what was resolved when the study was made."""

    directory: Path
    config: StudyConfig
    class_names: tuple[str, ...]
    dataset_fingerprint: str
    training_images: int
    """Images that a candidate is trained on: as many as the configuration asks for, where there are so many."""
    validation_images: int
    """Images that measure the accuracies: as many as the configuration asks for, where there are so many."""
    validation_source: str
    """Where those come from, in words."""
    commonest_share: float
    """Share of the validation images that are of the commonest class: the accuracy of always answering that class."""
    cost_ranges: dict[str, tuple[float, float]]
    """Objective -> the least and the most that networks of the space cost, whatever the limits."""
    reference_latencies: dict[str, dict[str, float]]
    """Named reference -> measured objective -> milliseconds, in float at the largest resolution."""
    created: str
    versions: dict[str, str]
    conventions: int = CONVENTIONS
    """Version of how images are normalised and tensors quantized."""
    earlier_limits: tuple[EarlierLimits, ...] = ()
    """Limits that held before those of the configuration, the oldest first."""
    prior: str = ""
    """First 12 hex digits of the sha256 of the file `prior.npz`; empty where there is none."""
    metrics: tuple[Objective, ...] = ()
    """What a training of the user's own measures; empty for the built-in one."""
    before: "StudyRecord | None" = field(default=None, compare=False, repr=False)
    """The study as `study.toml` has it, where this record changes it; None where they are the same."""

    @property
    def name(self) -> str:
        return self.directory.name

    @property
    def box(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Corners (worst, best) of the hypervolume's box, in the objectives' units."""
        config = self.config
        return hypervolume_box(self.cost_ranges, config.optimised, config.limits.as_limits(), self.commonest_share)


def study_directory(name: str, runs: Path) -> Path:
    """Where the study `name` lives; raises ConfigError for a name that is no plain file name."""
    if not _NAME.fullmatch(name):
        if len(name) > LONGEST_NAME:
            raise ConfigError(f"study {name[:20]}...: the name has {len(name)} characters; at most {LONGEST_NAME}")
        raise ConfigError(f"study {name!r}: use letters, digits, '.', '_' and '-', starting with a letter or digit")
    if name in (SHIPPED, NO_STUDY):
        raise ConfigError(f"study '{name}': `--like {name}` means something else; choose another name")
    return runs / name


def open_study_record(directory: Path) -> StudyRecord:
    """Read a study's `study.toml`; raises StudyNotFound with the closest name, StorageError where it is damaged."""
    path = directory / STUDY_FILE
    if not path.exists():
        known = [entry.parent.name for entry in directory.parent.glob(f"*/{STUDY_FILE}")]
        if not known:
            raise StudyNotFound(f"no study '{directory.name}' in {directory.parent}; it holds no study")
        raise StudyNotFound(f"{directory.parent}: {unknown_name('study', directory.name, known)}")
    try:
        tables = read_toml(path)
        if "resolved" not in tables:
            raise StorageError(f"{path}: damaged: its table [resolved], which the program wrote, is missing")
        resolved: dict[str, Any] = tables.pop("resolved")
        if resolved.get("form") != _FORM:
            raise StorageError(f"{path}: made by another version of resfront, which is not read; start a new study")
        metrics = tuple(
            metric(name, **facts) if facts else OBJECTIVES[name] for name, facts in resolved["metrics"].items()
        )
        _accept_metrics(path, metrics)
        _accept_devices([*tables["objectives"], *(n for limits in tables["limits"].values() for n in limits)])
        return StudyRecord(
            directory=directory,
            config=parse_config(tables, str(path)),
            class_names=tuple(resolved["class_names"]),
            dataset_fingerprint=resolved["dataset_fingerprint"],
            training_images=resolved["training_images"],
            validation_images=resolved["validation_images"],
            validation_source=resolved["validation_source"],
            commonest_share=resolved["commonest_share"],
            prior=resolved["prior"],
            metrics=metrics,
            conventions=resolved.get("conventions", 1),
            cost_ranges={name: (low, high) for name, (low, high) in resolved["cost_ranges"].items()},
            earlier_limits=tuple(
                EarlierLimits(until=entry["until"], limits=LimitsConfig(max=entry["max"], min=entry["min"]))
                for entry in resolved.get("earlier_limits", [])
            ),
            reference_latencies=resolved["reference_latencies"],
            created=resolved["created"],
            versions=resolved["versions"],
        )
    except StorageError:
        raise
    except KeyError as error:
        raise StorageError(f"{path}: damaged: it has no {error}") from None
    except (AttributeError, TypeError, ValueError) as error:
        raise StorageError(f"{path}: damaged: {error}") from None


def _accept_metrics(path: Path, metrics: Iterable[Objective]) -> None:
    """Have a study's metrics known by name; raises StorageError where the process knows one as something else."""
    try:
        for metric in metrics:
            OBJECTIVES.accept(metric)
    except UserError as error:
        raise StorageError(f"{path}: cannot be read beside what this process has read already: {error}") from None


def _accept_devices(names: Iterable[str]) -> None:
    """Have the devices of a study's figures known by name, wherever their profiles are now."""
    for name in names:
        _, separator, device = name.partition("@")
        if separator:
            accept_device(device)


def write_record(record: StudyRecord) -> None:
    """Write `study.toml`; the caller owns the study's lock."""
    text = dump_toml({**to_tables(record.config), "resolved": resolved_of(record)})
    write_atomically(record.directory / STUDY_FILE, text.encode())


def resolved_of(record: StudyRecord) -> dict[str, Any]:
    return {
        "form": _FORM,
        "class_names": list(record.class_names),
        "dataset_fingerprint": record.dataset_fingerprint,
        "training_images": record.training_images,
        "validation_images": record.validation_images,
        "validation_source": record.validation_source,
        "commonest_share": record.commonest_share,
        "prior": record.prior,
        "metrics": {each.name: _description(each) for each in record.metrics},
        "conventions": record.conventions,
        "cost_ranges": {name: list(span) for name, span in record.cost_ranges.items()},
        "earlier_limits": [
            {"until": entry.until, "max": entry.limits.max, "min": entry.limits.min} for entry in record.earlier_limits
        ],
        "reference_latencies": record.reference_latencies,
        "created": record.created,
        "versions": record.versions,
    }


def _description(metric: Objective) -> dict[str, Any]:
    """Return what is written down of a metric; nothing of one that comes with the project, as the accuracy."""
    return {} if metric.worst is None else {fact: getattr(metric, fact) for fact in _FACTS}


def utc_now() -> str:
    """Return the time in UTC as ISO 8601, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
