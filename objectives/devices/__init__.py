"""Device profiles: one TOML file of sourced hardware figures for each device that is not at hand.

`load_profile("rpi4")` gives a built-in one, `load_profile("my_board.toml")` a user's own; `template.toml` shows every
key. How well the software uses the hardware is stated once for each runtime (`runtimes/*.toml`): the CPUs share
ncnn's efficiencies, the Jetson GPUs TensorRT's, and per device only hardware figures differ. `docs/devices.md` tells
how each efficiency was set. May import `search_space`; no torch.
"""

from functools import cache
from pathlib import Path

from search_space.errors import UserError, unknown_name
from search_space.named_files import NamedFiles
from search_space.texts.parsing import TextError, parse_toml, read_text

from .plain import profile_from_dict
from .profile import DeviceError, DeviceProfile, Figure, Limits, Memory, Overhead, Peaks
from .runtimes import runtime_names

__all__ = [
    "DeviceError",
    "DeviceProfile",
    "Figure",
    "Limits",
    "Memory",
    "Overhead",
    "Peaks",
    "load_profile",
    "profile_names",
    "runtime_names",
]

FOLDER = Path(__file__).parent
TEMPLATE = "template"
"""A file to copy for a device of one's own, with every key explained."""
_FILES = NamedFiles("device", FOLDER, plugins="devices", without=(TEMPLATE,))


def profile_names() -> tuple[str, ...]:
    """The built-in devices and those of plug-ins, sorted; the template is none."""
    return tuple(_FILES.paths)


def load_profile(name_or_path: str) -> DeviceProfile:
    """The built-in device of that name, or the one that a path ending in .toml describes.

    Raises DeviceError for an unknown name, and for a file that cannot be read, lacks a key, has an unknown one or a
    value out of range.
    """
    if name_or_path.endswith(".toml"):
        return _read_profile(Path(name_or_path))
    if name_or_path not in profile_names():
        hint = "; or give the path of a .toml file"
        raise DeviceError(unknown_name("device", name_or_path, profile_names()) + hint)
    return _built_in(name_or_path)


@cache
def _built_in(name: str) -> DeviceProfile:
    return _read_profile(_FILES[name])


def _read_profile(path: Path) -> DeviceProfile:
    try:
        return profile_from_dict({"name": path.stem, **parse_toml(read_text(path))})
    except OSError as error:
        raise DeviceError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (UnicodeDecodeError, TextError) as error:
        raise DeviceError(f"{path}: is not TOML: {error}") from None
    except UserError as error:
        raise DeviceError(f"{path.name}: {error}") from None
