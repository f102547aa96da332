"""Named TOML files of one kind: those of a folder of this project, and those of plug-ins."""

from functools import cached_property
from pathlib import Path

from .errors import UserError, unknown_name
from .plugins import load_folder, points_of


class NamedFiles:
    """TOML files by their names without the ending; a plug-in adds those of the package that its entry point names."""

    def __init__(self, kind: str, folder: Path, *, plugins: str, without: tuple[str, ...] = ()) -> None:
        self.kind, self.folder, self.plugins, self.without = kind, folder, plugins, without

    @cached_property
    def paths(self) -> dict[str, Path]:
        """Name -> file, sorted; a plug-in cannot replace a file of this project."""
        folders = [self.folder, *(load_folder(self.plugins, point) for point in points_of(self.plugins))]
        found = {path.stem: path for folder in reversed(folders) if folder for path in folder.glob("*.toml")}
        return {name: found[name] for name in sorted(found) if name not in self.without}

    def __getitem__(self, name: str) -> Path:
        """The file called `name`; raises UserError with the closest known name."""
        if name not in self.paths:
            raise UserError(unknown_name(self.kind, name, self.paths))
        return self.paths[name]
