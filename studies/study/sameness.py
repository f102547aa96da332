"""Checks that a study is still what it was made with: its configuration, conventions, database and images."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from runners.config import CONVENTIONS
from runners.datasets import Dataset, DatasetError, load_dataset
from runners.samplers import judges_anew
from runners.storage.study_files import DATABASE

from .config import ConfigError, to_tables
from .foundations import Foundations, check_foundations
from .integrity import check_integrity
from .record import StudyRecord, resolved_of

_STAYS = ("seed", "sampler", "rungs", "stop_confidence")
"""Of the search, what all trials of a study must share, besides the earlier studies that it knows."""


def check_study(record: StudyRecord) -> Foundations | None:
    """Return what the study was made with, None where it has not begun, after checking that it is the same now.

    Whatever goes on with a study, exports its networks or trains others beside them calls it. Raises ConfigError and
    StorageError.
    """
    check_conventions(record)
    check_integrity(record.directory / DATABASE, record.config.optimised)
    return check_foundations(record.directory, fixed_settings(record))


def check_conventions(record: StudyRecord) -> None:
    """Raise ConfigError for a study whose images were normalised, or tensors quantized, otherwise than now.

    Whatever would train networks beside those of the study calls it: their accuracies would not be comparable.
    """
    if record.conventions != CONVENTIONS:
        raise ConfigError(
            f"{record.name}: made by another version of resfront (conventions {record.conventions}, now "
            f"{CONVENTIONS}); it normalised images, quantized tensors or measured accuracies otherwise; "
            "start a new study"
        )


def load_study_images(record: StudyRecord, folder: Path | None = None) -> tuple[StudyRecord, Dataset]:
    """Return the study's images, and the study with the `folder` where they are now, if they have moved.

    Raises DatasetError where they are not there, ConfigError where they are others.
    """
    data = record.config.data
    if folder is not None:
        data = replace(data, path=folder.expanduser().resolve())
    with hint_at_moved_images():
        dataset = load_dataset(data.name, data.path, resolution=data.resolution)
    if changed := changed_images(record, dataset):
        raise ConfigError(f"{record.name}: these are other images than the study's ({'; '.join(changed)})")
    return replace(record, config=replace(record.config, data=data)), dataset


def changed_images(record: StudyRecord, dataset: Dataset) -> list[str]:
    """Return how the images differ from the study's; nothing where they are the same, wherever they lie."""
    if dataset.fingerprint == record.dataset_fingerprint:
        return []
    return [f"images of {dataset.name}: {record.dataset_fingerprint} -> {dataset.fingerprint}"]


@contextmanager
def hint_at_moved_images() -> Iterator[None]:
    try:
        yield
    except DatasetError as error:
        hint = "" if "--data-dir" in str(error) else "; if the images have moved, say where they are: --data-dir"
        raise DatasetError(f"{error}{hint}") from None


def fixed_settings(record: StudyRecord) -> dict[str, Any]:
    """What all trials of the study share, as tables: not where the images lie, nor what `resume_study` may change."""
    tables = to_tables(record.config)
    tables["data"].pop("path", None)
    search, limits = tables.pop("search"), tables.pop("limits")
    tables.pop("workers")
    tables["search"] = {name: search[name] for name in _STAYS}
    tables["search"]["like"] = sorted(record.config.search.earlier_studies)
    if record.config.search.sampler not in judges_anew():
        tables["limits"] = limits
    resolved = resolved_of(record)
    resolved.pop("earlier_limits")
    return {**tables, "resolved": resolved}
