"""How well does the software use the hardware? One TOML file for each runtime, shared by the devices it runs on."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from ..operators import KINDS
from ..profile import Kernel, Runtime
from ..profile_file import Table

FOLDER = Path(__file__).parent
PRECISION_CLASSES = ("float", "int8")
MAX_EFFICIENCY = 5.0
"""Winograd's F(6x6, 3x3) needs 5.1 times fewer multiplications (Lavin and Gray 2015, sec. 4.1)."""


def runtime_names() -> tuple[str, ...]:
    """The built-in runtimes, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


@cache
def built_in_runtime(name: str) -> Runtime:
    """The runtime of the file `name`.toml."""
    return read_runtime(name, Table.of_file(FOLDER / f"{name}.toml"))


def read_runtime(name: str, table: Table) -> Runtime:
    """A runtime from its file or from a device's `[runtime]` table; raises DeviceError."""
    required = ("description", "fuses_add", "activation_passes")
    table.check_keys((*required, *PRECISION_CLASSES), required)
    kernels = {key: _read_kernels(table.table(key)) for key in PRECISION_CLASSES if key in table.values}
    if not kernels:
        raise table.error("float", "is missing, and so is 'int8'; a runtime has kernels for one of them at least")
    return Runtime(
        name=name,
        description=table.text("description"),
        fuses_add=table.flag("fuses_add"),
        activation_passes=table.figure("activation_passes", 0, 10),
        kernels=kernels,
    )


def _read_kernels(table: Table) -> Mapping[str, Kernel]:
    table.check_keys(KINDS, KINDS)
    return {kind: _read_kernel(table.table(kind)) for kind in KINDS}


def _read_kernel(table: Table) -> Kernel:
    table.check_keys(("efficiency", "weight_expansion", "source"), ("efficiency", "source"))
    return Kernel(
        efficiency=table.number("efficiency", 1e-4, MAX_EFFICIENCY),
        weight_expansion=table.number("weight_expansion", 1, 16, default=1),
        source=table.text("source"),
    )
