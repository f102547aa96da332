"""The one error of this package, and the checks of a path that loaders make before they read anything."""

from pathlib import Path

from search_space.errors import UserError


class DatasetError(UserError):
    """Error of images that cannot be found, read or used; the message names the file or folder."""


def refuse_path(name: str, path: Path | None) -> None:
    """Raise DatasetError if a built-in data set was given a path: to ignore it silently would mislead."""
    if path is not None:
        raise DatasetError(f"dataset '{name}' is built in and takes no path; remove '{path}'")


def require_folder(path: Path, what: str) -> Path:
    """`path`, if it is a folder; DatasetError if it is missing or a file. `what` says what it should hold."""
    if not path.exists():
        raise DatasetError(f"{path}: no such folder; expected {what}")
    if not path.is_dir():
        raise DatasetError(f"{path}: is a file; expected a folder with {what}")
    return path


def one_line(reason: object) -> str:
    """An exception's text squeezed into one line, for the end of an error message."""
    text = " ".join(str(reason).split())
    return text or type(reason).__name__
