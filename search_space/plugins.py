"""Plug-ins: packages that are installed beside this one and add to its registries through entry points.

An entry point of the group `resfront.blocks`, `.objectives`, `.datasets`, ... names a module that registers its entries
when it is imported, as the modules of this project's own folders do.
"""

from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from pathlib import Path

GROUP = "resfront."


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One entry point of an installed package."""

    group: str
    """What it adds to: `blocks`, `objectives`, ..."""
    name: str
    module: str
    package: str
    """Name and version of the distribution."""
    problem: str = ""
    """Why it could not be loaded; empty for one that could."""

    def __str__(self) -> str:
        return f"plug-in {self.name} ({self.module}, of {self.package})"


LOADED: dict[tuple[str, str], Plugin] = {}
"""Group and name -> the plug-in, of all that have been loaded in this process, or could not be."""


def points_of(group: str) -> list[EntryPoint]:
    """Return the entry points of a group, by name."""
    return sorted(entry_points(group=f"{GROUP}{group}"), key=lambda point: point.name)


def load(group: str, point: EntryPoint) -> Plugin:
    """Load a plug-in, and return it with what went wrong."""
    problem = ""
    try:
        point.load()
    except Exception as error:  # whatever a stranger's module raises
        problem = f"{type(error).__name__}: {error}"
    plugin = Plugin(group=group, name=point.name, module=point.value, package=_package_of(point), problem=problem)
    LOADED[group, point.name] = plugin
    return plugin


def load_folder(group: str, point: EntryPoint) -> Path | None:
    """Load a plug-in that is a package, and return its folder; None where that failed."""
    if load(group, point).problem:
        return None
    return Path(str(files(point.module)))


def _package_of(point: EntryPoint) -> str:
    return "an unknown package" if point.dist is None else f"{point.dist.name} {point.dist.version}"
