"""What does a device that is not at hand do? Profiles: one TOML file of sourced hardware figures for each device.

`load_profile("rpi4")` gives a built-in one, `load_profile("my_board.toml")` a user's own; `template.toml` shows every
key. How well the software uses the hardware is stated once for each runtime (`runtimes/*.toml`): the CPUs share
ncnn's efficiencies, the Jetson GPUs TensorRT's, and per device only hardware figures differ. `docs/devices.md` tells
how each efficiency was set. May import `search_space`; no torch.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from search_space.errors import unknown_name

from .operators import OPERATORS
from .profile import PRECISIONS, DeviceError, DeviceProfile, Figure, Kernel, Peak, Precision, Runtime
from .profile_file import Table
from .runtimes import built_in_runtime, read_runtime, runtime_names

__all__ = [
    "DeviceError",
    "DeviceProfile",
    "Figure",
    "Kernel",
    "Peak",
    "Runtime",
    "load_profile",
    "profile_names",
    "runtime_names",
]

FOLDER = Path(__file__).parent
TEMPLATE = "template.toml"
"""A file to copy for a device of one's own, with every key explained."""
_REQUIRED = ("description", "float", "runtime", "peak", "memory", "overhead")
_OPTIONAL = ("threads", "limits", "unsupported")


def profile_names() -> tuple[str, ...]:
    """The built-in devices, sorted; the template is none."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml") if path.name != TEMPLATE))


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
    return _read_profile(FOLDER / f"{name}.toml")


def _read_profile(path: Path) -> DeviceProfile:
    table = Table.of_file(path)
    table.check_keys((*_REQUIRED, *_OPTIONAL), _REQUIRED)
    peaks = _read_peaks(table.table("peak"))
    runtime = _read_runtime(table)
    memory, overhead, limits = table.table("memory"), table.table("overhead"), table.table("limits")
    memory.check_keys(("bytes_per_second", "on_chip_bytes"), ("bytes_per_second", "on_chip_bytes"))
    overhead.check_keys(("layer_us", "inference_us"), ("layer_us", "inference_us"))
    limits.check_keys(("activation_bytes", "flash_bytes"))
    return DeviceProfile(
        name=path.stem,
        description=table.text("description"),
        runtime=runtime,
        float_precision=_read_float(table, peaks, runtime),
        peaks=peaks,
        threads=_read_threads(table.table("threads")),
        bytes_per_second=memory.figure("bytes_per_second", 1e6, 1e14),
        on_chip_bytes=memory.figure("on_chip_bytes", 0, 1e12),
        layer_us=overhead.figure("layer_us", 0, 1e6),
        inference_us=overhead.figure("inference_us", 0, 1e7),
        activation_bytes=_optional_figure(limits, "activation_bytes"),
        flash_bytes=_optional_figure(limits, "flash_bytes"),
        unsupported=_read_unsupported(table.table("unsupported")),
    )


def _read_peaks(table: Table) -> Mapping[Precision, Peak]:
    table.check_keys(PRECISIONS)
    if not table.values:
        raise table.error("", f"needs one of {', '.join(PRECISIONS)}")
    return {precision: _read_peak(table.table(precision)) for precision in PRECISIONS if precision in table.values}


def _read_peak(table: Table) -> Peak:
    table.check_keys(("macs_per_second", "sustained", "channel_multiple", "source"), ("macs_per_second", "source"))
    multiple = table.number("channel_multiple", 1, 256, default=1)
    if multiple != int(multiple):
        raise table.error("channel_multiple", f"must be a whole number, not {multiple:g}")
    return Peak(
        macs_per_second=table.number("macs_per_second", 1e3, 1e16),
        sustained=table.number("sustained", 0.01, 1, default=1),
        channel_multiple=int(multiple),
        source=table.text("source"),
    )


def _read_runtime(table: Table) -> Runtime:
    if isinstance(table.values["runtime"], dict):
        return read_runtime("own", table.table("runtime"))
    return built_in_runtime(table.choice("runtime", runtime_names()))


def _read_float(table: Table, peaks: Mapping[Precision, Peak], runtime: Runtime) -> Precision | None:
    """The arithmetic of float networks, after checking that peaks and kernels for every precision are there."""
    choice = table.choice("float", ("fp32", "fp16", "none"))
    precision: Precision | None = "fp32" if choice == "fp32" else "fp16" if choice == "fp16" else None
    if precision is not None and precision not in peaks:
        raise table.error("peak", f"has no '{precision}', which 'float' names")
    if precision is not None and "float" not in runtime.kernels:
        raise table.error("float", f"must be none: runtime '{runtime.name}' has no float kernels")
    if "int8" in peaks and "int8" not in runtime.kernels:
        raise table.error("peak.int8", f"must be left out: runtime '{runtime.name}' has no int8 kernels")
    if precision is None and "int8" not in peaks:
        raise table.error("peak.int8", "is missing, and 'float' is none: nothing could run")
    return precision


def _read_threads(table: Table) -> Mapping[int, Figure]:
    """Thread counts and their speed; a device that does not count threads has 1 alone."""
    found = {1: Figure(1.0, "by definition")}
    for key in table.values:
        if not (key.isascii() and key.isdecimal() and len(key) <= 3) or not 2 <= int(key) <= 256:
            raise table.error("", f"must have whole numbers from 2 to 256 as keys (1 is 1 by definition), not '{key}'")
        found[int(key)] = table.figure(key, 0.5, int(key))
    return found


def _optional_figure(table: Table, key: str) -> Figure | None:
    return table.figure(key, 1, 1e15) if key in table.values else None


def _read_unsupported(table: Table) -> Mapping[str, str]:
    table.check_keys(OPERATORS)
    return {name: table.text(name) for name in table.values}
