"""Runtimes: one TOML file for each says how well the software uses the hardware, for all devices that it runs on."""

from functools import cache
from pathlib import Path

from search_space.errors import UserError
from search_space.named_files import NamedFiles
from search_space.settings import read_settings
from search_space.texts.parsing import parse_toml, read_text

from ..profile import Runtime

_FILES = NamedFiles("runtime", Path(__file__).parent, plugins="runtimes")


def runtime_names() -> tuple[str, ...]:
    """The built-in runtimes and those of plug-ins, sorted."""
    return tuple(_FILES.paths)


@cache
def built_in_runtime(name: str) -> Runtime:
    """Return the runtime of the file `name`.toml; raises UserError for an unknown name."""
    if name not in runtime_names():
        raise UserError(f"runtime: must be one of {', '.join(runtime_names())}, not '{name}'")
    return read_settings(Runtime, {"name": name, **parse_toml(read_text(_FILES[name]))})
