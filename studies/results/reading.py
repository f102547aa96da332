"""How does a study become tables? `load_results` reads it once, a `StudyReader` follows it while it grows.

What has ended never changes, so a further look reads, computes and keeps only what is new.
"""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from objectives import known_costs
from objectives.base import Unsupported, costs_of
from objectives.devices import DeviceError
from runners.networks.network_cache import trained
from runners.recipes.recipe import Recipe, trained_recipe
from runners.storage.errors import DAMAGE, stored_in
from runners.storage.study_files import DATABASE
from search_space.errors import UserError
from search_space.references import references_for
from search_space.spec import Architecture, ArchSpec

from ..study.config import to_tables
from ..study.database import StudyDatabase
from ..study.foundations import readable_figures
from ..study.record import STUDY_FILE, StudyRecord, open_study_record
from .garbage_collection import collector_at_rest
from .study_results import StudyResults
from .trials_table import TrialsTable


def load_results(directory: Path) -> StudyResults:
    """Read a study; raises StudyNotFound, and StorageError for a broken database. Never writes."""
    return StudyReader(directory).read()


class StudyReader:
    """Follows one study; each `read` costs as much as what is new. Not to be shared by threads without a lock."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._files: tuple[Any, ...] = ()
        self._results: StudyResults | None = None

    def read(self) -> StudyResults:
        """The study as it is now: the same object as last time where nothing has changed.

        Raises StudyNotFound, and StorageError for a broken database.
        """
        with stored_in(self.directory, "cannot be read"):
            files = (_identity(self.directory / STUDY_FILE), _identity(self.directory / DATABASE)[:2])
            if self._results is None or files != self._files:
                self._start()
                self._files = files
        try:
            with stored_in(self.directory / DATABASE, "cannot be read as a study", damage=DAMAGE):
                self._look()
        except BaseException:
            self._results = None  # what was taken up in part is not taken as read: the next look starts anew
            raise
        assert self._results is not None
        return self._results

    @property
    def is_exhausted(self) -> bool:
        """Whether the search ended, as of the last `read`, because the space had no further network."""
        return self._database.is_exhausted

    def _look(self) -> None:
        """Take up what is new in the database."""
        with collector_at_rest():
            confirmed = self._database.confirmations
            has_changed = self._table.extend(self._database.read_new())
        if self._results is None or has_changed or self._database.confirmations != confirmed:
            self._results = self._as_results()

    def _start(self) -> None:
        """Forget what was read: at first, and where somebody has changed or replaced the study."""
        self._results = None
        self._record = open_study_record(self.directory)
        self._database = StudyDatabase(self.directory / DATABASE)
        self._table = TrialsTable(self._record)
        self._references = references_table(self._record)

    def _as_results(self) -> StudyResults:
        record = self._record
        return StudyResults(
            name=record.name,
            directory=self.directory,
            config=to_tables(record.config),
            objectives=record.config.optimised,
            trials=self._table.trials(self._database.confirmations),
            references=self._references,
            class_names=record.class_names,
            training_images=record.training_images,
            validation_images=record.validation_images,
            validation_source=record.validation_source,
            commonest_share=record.commonest_share,
            metrics=record.metrics,
            worst=record.box[0],
            best=record.box[1],
            earlier_limits=tuple((entry.until, entry.limits.as_limits()) for entry in record.earlier_limits),
        )


def references_table(record: StudyRecord) -> pd.DataFrame:
    """What the named references cost at the study's classes, channels and largest resolution, in float.

    With an accuracy where one was trained as the study trains (`resfront compare --as-study`).
    """
    figures = readable_figures(record.directory, record.config)
    rows = []
    space = record.config.space
    for name, network in references_for(max(space.resolution), space.num_classes, space.in_channels).items():
        graph = network.build_graph()
        try:
            costs = costs_of(graph, figures)
        except (Unsupported, DeviceError):  # cannot run there, or neither the study nor the disk has the profile
            costs = known_costs(graph)
        latencies = record.reference_latencies.get(name, {})
        keys = _keys(network, record.config.space.bits)
        rows.append({"name": name, "keys": keys, **costs, **latencies, "accuracy": _kept_accuracy(record, network)})
    return pd.DataFrame(rows)


def _keys(network: Architecture, bits: Iterable[int]) -> tuple[str, ...]:
    """Keys of the network at each of the bits, where the search might propose it."""
    return tuple(network.with_bits(each).key for each in bits) if isinstance(network, ArchSpec) else ()


def _kept_accuracy(record: StudyRecord, network: Architecture) -> float:
    """What the network reached when it was trained as the study trains; NaN where it never was."""
    kept = None if record.metrics else trained(as_the_study(record, network))
    return math.nan if kept is None else kept.accuracy


def as_the_study(record: StudyRecord, network: Architecture) -> Recipe:
    """The training that the study gives its candidates, for a network that is none.

    Raises UserError for a study with a training of the user's own.
    """
    if record.metrics:
        raise UserError(f"{record.name}: is trained by {record.config.training.evaluator}; only that can train alike")
    config = record.config
    return trained_recipe(
        network,
        config.data,
        config.training,
        fingerprint=record.dataset_fingerprint,
        seed=config.search.seed,
        average=0.0,
    )


def _identity(path: Path) -> tuple[int, ...]:
    """Device and file number, and when it was last written; empty where there is no such file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return ()
    return found.st_dev, found.st_ino, found.st_mtime_ns
