"""Which studies are there, and how are they? Each is followed by one reader, which all requests share."""

import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from objectives.device_costs.latency_ms import LATENCY
from objectives.devices import profile_names
from runners.trial_record import Status
from search_space.errors import UserError, unknown_name

from ..analysis.recommendation import with_figures
from ..results.garbage_collection import keep_what_is_there
from ..results.listing import State, study_names, study_state
from ..results.reading import StudyReader
from ..results.study_results import StudyResults
from ..study.record import StudyNotFound, study_directory

MAX_VERSIONS = 20
"""So many versions back a page is told what is new; one that is older draws everything again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A study at one moment."""

    name: str
    state: State
    version: int
    """Grows whenever `results` is another object; what was drawn from an equal version need not be drawn again."""
    results: StudyResults | None
    problem: str = ""
    """Why it cannot be read."""
    ended_since: Mapping[int, frozenset[int]] = field(default_factory=dict)
    """Recent version -> trials that have ended since; only as long as the front has stayed the same."""

    @property
    def evaluated(self) -> int:
        """Trials that count towards the planned number."""
        return 0 if self.results is None else self.results.evaluated

    @property
    def planned(self) -> int:
        return 0 if self.results is None else int(self.results.config["search"]["trials"])


@dataclass(slots=True)
class _Followed:
    reader: StudyReader
    lock: threading.Lock = field(default_factory=threading.Lock)
    version: int = 0
    devices: tuple[str, ...] = ()
    """Devices on which latencies are asked for besides what the study knows."""
    read: tuple[StudyResults, tuple[str, ...]] | None = None
    """The newest results as the study has them, and the devices that `results` hold besides."""
    results: StudyResults | None = None
    was_read: bool = False
    ended_since: dict[int, frozenset[int]] = field(default_factory=dict)


class Library:
    """The studies of one runs directory; may be used by several threads."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        self._followed: dict[str, _Followed] = {}
        self._lock = threading.Lock()
        self._warming: set[str] = set()

    def names(self) -> list[str]:
        """Every study, the one that was touched last first."""
        return study_names(self.runs)

    def warm(self, names: Iterable[str]) -> None:
        """Read in the background what has not been read yet, and again what could not be read then."""
        unread = [name for name in names if self.peek(name) is None]
        with self._lock:
            new = [name for name in unread if name not in self._warming]
            self._warming.update(new)
        if new:
            threading.Thread(target=self._read_all, args=(new,), daemon=True).start()

    def _read_all(self, names: Iterable[str]) -> None:
        for name in names:
            try:
                self.look(name)
            except Exception:  # one study must not keep the others from being read
                logging.getLogger(__name__).exception("the study %s cannot be read", name)
            finally:
                with self._lock:
                    self._warming.discard(name)

    def peek(self, name: str) -> Look | None:
        """The study as it is now; None where it has not been read yet, for that may take a second."""
        followed = self._followed.get(name)
        return self.look(name) if followed and followed.was_read else None

    def estimate(self, name: str, devices: Iterable[str]) -> Look:
        """Look at a study, from now on with its networks' estimated latencies on these devices too.

        Raises UserError for a device without a built-in profile.
        """
        for device in devices:
            if device not in profile_names():
                raise UserError(unknown_name("device", str(device), profile_names()))
        self.look(name)
        with self._lock:
            followed = self._followed.get(name)
        if followed is not None:
            with followed.lock:
                followed.devices = tuple(dict.fromkeys((*followed.devices, *devices)))
        return self.look(name)

    def look(self, name: str) -> Look:
        """The study as it is now; whatever is wrong with it is part of the answer."""
        try:
            directory = study_directory(name, self.runs)
        except UserError:
            return Look(name=name, state="missing", version=0, results=None, problem="There is no such study.")
        with self._lock:
            followed = self._followed.setdefault(name, _Followed(StudyReader(directory)))
        with followed.lock:
            look = _look(name, directory, followed)
            followed.was_read = True
            return look


def _look(name: str, directory: Path, followed: _Followed) -> Look:
    try:
        results = followed.reader.read()
    except StudyNotFound as error:
        return Look(name=name, state="missing", version=0, results=None, problem=str(error))
    except UserError as error:
        return Look(name=name, state="damaged", version=0, results=None, problem=str(error))
    known, devices = followed.read or (None, ())
    if results is not known or devices != followed.devices:
        followed.ended_since = _ended_since(followed, results) if devices == followed.devices else {}
        followed.results = with_figures(results, [f"{LATENCY}@{device}" for device in followed.devices])
        followed.read = results, followed.devices
        followed.version += 1
        keep_what_is_there()  # the garbage collector would walk through all that was read every second otherwise
    return Look(
        name=name,
        state=study_state(results, is_exhausted=followed.reader.is_exhausted),
        version=followed.version,
        results=followed.results,
        ended_since=followed.ended_since,
    )


def _ended_since(followed: _Followed, results: StudyResults) -> dict[int, frozenset[int]]:
    """`Look.ended_since` once `results` are the newest."""
    before = followed.results
    if before is None or set(before.front["trial"]) != set(results.front["trial"]):
        return {}
    new = frozenset(_ended(results) - _ended(before))
    recent = [*followed.ended_since.items(), (followed.version, frozenset())][-MAX_VERSIONS:]
    return {version: ended | new for version, ended in recent}


def _ended(results: StudyResults) -> set[int]:
    return set(results.trials["trial"][results.trials["status"] != Status.RUNNING].tolist())
