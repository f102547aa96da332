"""Named things that live one to a file: a registry imports its folder on first use, so adding one is adding a file."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Generic, TypeVar

from .errors import UserError, unknown_name

T = TypeVar("T")


class Registry(Generic[T]):
    """Maps names to values of one kind, filled by the modules of the package `folder` as they are imported."""

    def __init__(self, kind: str, folder: str) -> None:
        self.kind = kind
        self.folder = folder
        self._entries: dict[str, T] = {}
        self._loaded = False

    def add(self, name: str, value: T) -> None:
        """Register `value`; two entries of one name are a programming error."""
        if name in self._entries:
            raise RuntimeError(f"{self.kind} '{name}' is registered twice")
        self._entries[name] = value

    def __getitem__(self, name: str) -> T:
        """The entry called `name`; raises UserError with the closest known name."""
        self._load()
        if name not in self._entries:
            raise UserError(unknown_name(self.kind, name, self._entries))
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        self._load()
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        self._load()
        return iter(sorted(self._entries))

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        package = importlib.import_module(self.folder)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self.folder}.{module.name}")
