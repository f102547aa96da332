"""Named things that live one to a file: a registry imports its folders on first use, so adding one is adding a file."""

import importlib
import pkgutil
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Generic, TypeVar

from .errors import UserError, unknown_name
from .plugins import Plugin, load, points_of

T = TypeVar("T")

_LOADING = threading.RLock()
"""Held while any registry imports its folders: modules import each other across folders, so that locks of their own
could wait for one another."""
_FAILED_LOADS: Counter[tuple[str, ...]] = Counter()
"""By the folders of a registry. A module that failed is executed again at the next attempt, and registers its entries
again."""


class Registry(Generic[T]):
    """Mapping from names to values of one kind, which modules fill as they are imported.

    The modules are imported when the registry is first used. It may be used by several threads: each one sees all
    entries, or the error with which a module could not be imported. A module may register entries while it is imported,
    but not look any up.

    Parameters
    ----------
    kind
        What an entry is called in messages, for example ``block``.
    *folders
        Packages whose modules register entries.
    plugins
        Group of entry points, without ``resfront.``, whose modules register entries too; empty for none.
    """

    def __init__(self, kind: str, *folders: str, plugins: str = "") -> None:
        self.kind = kind
        self.folders = folders
        self.plugins = plugins
        self._broken: list[Plugin] = []
        self._entries: dict[str, T] = {}
        self._added_after: dict[str, int] = {}
        """Name -> the loads that had failed by then."""
        self._loaded = False
        self._is_loading = False

    def add(self, name: str, value: T) -> None:
        """Register a value.

        Parameters
        ----------
        name
            Name of the entry.
        value
            The entry.

        Raises
        ------
        RuntimeError
            If the name is taken, which is a bug of the module.
        """
        failed_loads = _FAILED_LOADS[self.folders]
        if name in self._entries and (self._loaded or self._added_after[name] == failed_loads):
            raise RuntimeError(f"{self.kind} '{name}' is registered twice")
        self._entries[name] = value
        self._added_after[name] = failed_loads

    def __getitem__(self, name: str) -> T:
        """The entry called `name`; raises UserError with the closest known name."""
        self._load()
        if name not in self._entries:
            raise UserError(unknown_name(self.kind, name, self._entries) + self.broken)
        return self._entries[name]

    @property
    def broken(self) -> str:
        """Plug-ins that could not be loaded, as the end of a message; empty for none."""
        self._load()
        return "".join(f"; {plugin} could not be loaded: {plugin.problem}" for plugin in self._broken)

    def __contains__(self, name: object) -> bool:
        self._load()
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        self._load()
        return iter(sorted(self._entries))

    def _load(self) -> None:
        """Import the modules of the folders, once; what one of them raises is raised again at each further attempt."""
        if self._loaded:
            return
        with _LOADING:
            if self._loaded or self._is_loading:
                return
            self._is_loading = True
            try:
                for folder in self.folders:
                    package = importlib.import_module(folder)
                    for module in pkgutil.iter_modules(package.__path__):
                        importlib.import_module(f"{folder}.{module.name}")
                self._load_plugins()
            except BaseException:
                _FAILED_LOADS[self.folders] += 1
                raise
            finally:
                self._is_loading = False
            self._loaded = True

    def _load_plugins(self) -> None:
        """Let the plug-ins add entries; one that fails adds none, and is named where an entry is not found."""
        for point in points_of(self.plugins) if self.plugins else ():
            before = dict(self._entries)
            plugin = load(self.plugins, point)
            if plugin.problem:
                self._entries = before
                self._broken.append(plugin)
