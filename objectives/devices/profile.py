"""A device profile, as its TOML file has it: frozen tables of figures, each with the source that it was taken from."""

from collections.abc import Iterator, Mapping
from dataclasses import field, fields, is_dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from search_space.errors import UserError, shown, unknown_name
from search_space.settings import settings

from .operators import OPERATORS

Precision = Literal["fp32", "fp16", "int8"]
BYTES_PER_VALUE: Mapping[str, int] = {"fp32": 4, "fp16": 2, "int8": 1}
MAX_EFFICIENCY = 5.0
"""Winograd's F(6x6, 3x3) needs 5.1 times fewer multiplications (Lavin and Gray 2015, sec. 4.1)."""
Text = Annotated[str, Field(pattern=r"\S")]


class DeviceError(UserError):
    """A device profile that cannot be used; names the file, the key and what is allowed."""


@settings
class Figure:
    """A number and where it comes from."""

    value: float
    source: Text


def within(low: float, high: float) -> AfterValidator:
    """Bounds of a figure's value, both included; raises UserError."""

    def check(figure: Figure) -> Figure:
        if not low <= figure.value <= high:
            raise UserError(f"value: must be from {low:g} to {high:g}, not {figure.value:g}")
        return figure

    return AfterValidator(check)


@settings
class Peak:
    """What the arithmetic units could do at best."""

    macs_per_second: Annotated[float, Field(ge=1e3, le=1e16)]
    """Multiply-accumulates a second, of one thread where the device has several."""
    sustained: Annotated[float, Field(ge=0.01, le=1)] = 1.0
    """Share of it that this device keeps up with the runtime's kernels; 1 unless several rows say otherwise."""
    channel_multiple: Annotated[int, Field(ge=1, le=256)] = 1
    """Vector or array width: channels are computed in groups of so many, and the last one is padded."""
    source: Text


@settings
class Kernel:
    """How well a runtime's kernels of one kind use the peak."""

    efficiency: Annotated[float, Field(ge=1e-4, le=MAX_EFFICIENCY)]
    """MACs of the direct convolution (elements, for `elementwise`) as a share of the peak; above 1 where an algorithm
    needs fewer multiplications (Winograd)."""
    weight_expansion: Annotated[float, Field(ge=1, le=16)] = 1.0
    """Bytes of weights that are read, over those of the plain weights (Winograd's transformed kernels are larger)."""
    source: Text


@settings
class Kernels:
    """A kernel of each of `operators.KINDS`."""

    conv3x3: Kernel
    conv: Kernel
    pointwise: Kernel
    depthwise: Kernel
    linear: Kernel
    elementwise: Kernel


@settings
class Runtime:
    """The software that runs networks on a family of devices: what they have in common."""

    name: str = "own"
    description: Text
    fuses_add: bool
    """Whether the sum directly behind a convolution is computed within it."""
    activation_passes: Annotated[Figure, within(0, 10)]
    """How often an operator moves the tensors it reads and writes (padding and packing copy them)."""
    float: Kernels | None = None
    int8: Kernels | None = None

    def __post_init__(self) -> None:
        if self.float is None and self.int8 is None:
            raise UserError("float: is missing, and so is 'int8'; a runtime has kernels for one of them at least")


@settings
class Peaks:
    """The peak of each kind of arithmetic; None for what the device does not have."""

    fp32: Peak | None = None
    fp16: Peak | None = None
    int8: Peak | None = None

    def __post_init__(self) -> None:
        if self.fp32 is self.fp16 is self.int8 is None:
            raise UserError("needs one of fp32, fp16, int8")


@settings
class Memory:
    """Memory on the chip, and behind it."""

    bytes_per_second: Annotated[Figure, within(1e6, 1e14)]
    """Bandwidth of the memory that holds what does not fit on the chip."""
    on_chip_bytes: Annotated[Figure, within(0, 1e12)]
    """Last-level cache or SRAM: weights up to so many bytes, and the tensors of an operator that fit, are not read
    from the slower memory."""


@settings
class Overhead:
    """Microseconds beyond an operator's work, and beyond the operators of an inference."""

    layer_us: Annotated[Figure, within(0, 1e6)]
    inference_us: Annotated[Figure, within(0, 1e7)]


@settings
class Limits:
    """Memory for activations and for weights; None where it is no limit in practice."""

    activation_bytes: Annotated[Figure, within(1, 1e15)] | None = None
    flash_bytes: Annotated[Figure, within(1, 1e15)] | None = None


@settings
class DeviceProfile:
    """Hardware figures of one device, and the runtime that uses it."""

    name: str
    description: Text
    float: Literal["fp32", "fp16", "none"]
    """Arithmetic of float networks."""
    peak: Peaks
    memory: Memory
    overhead: Overhead
    limits: Limits = Limits()
    threads: dict[str, Figure] = field(default_factory=dict)
    """Number of threads, above 1 -> speed over that of one thread."""
    unsupported: dict[str, Text] = field(default_factory=dict)
    """Operator or activation that the device cannot run -> source."""
    runtime: Runtime

    def __post_init__(self) -> None:
        for count, figure in self.threads.items():
            if not (count.isascii() and count.isdecimal() and len(count) <= 3) or not 2 <= int(count) <= 256:
                raise UserError(
                    f"threads: must have whole numbers from 2 to 256 as keys (1 is 1 by definition), not {shown(count)}"
                )
            if not 0.5 <= figure.value <= int(count):
                raise UserError(f"threads.{count}.value: must be from 0.5 to {count}, not {figure.value:g}")
        for name in self.unsupported:
            if name not in OPERATORS:
                raise UserError(f"unsupported: {unknown_name('key', name, OPERATORS)}")
        precision = self.float_precision
        if precision is not None and getattr(self.peak, precision) is None:
            raise UserError(f"peak: has no '{precision}', which 'float' names")
        if precision is not None and self.runtime.float is None:
            raise UserError(f"float: must be none: runtime '{self.runtime.name}' has no float kernels")
        if self.peak.int8 is not None and self.runtime.int8 is None:
            raise UserError(f"peak.int8: must be left out: runtime '{self.runtime.name}' has no int8 kernels")
        if precision is None and self.peak.int8 is None:
            raise UserError("peak.int8: is missing, and 'float' is none: nothing could run")

    @property
    def float_precision(self) -> Precision | None:
        """Arithmetic of float networks; None where the device has none."""
        return None if self.float == "none" else self.float

    @property
    def figures(self) -> dict[str, Figure]:
        """Every figure of the device and of its runtime, by its key in the TOML file, for a table with sources."""
        return dict(_figures_in(self))


def _figures_in(table: Any, prefix: str = "") -> Iterator[tuple[str, Figure]]:
    entries = {known.name: getattr(table, known.name) for known in fields(table)} if is_dataclass(table) else table
    for key, entry in entries.items():
        where = f"{prefix}{key}"
        if isinstance(entry, Figure):
            yield where, entry
        elif isinstance(entry, Peak):
            yield where, Figure(value=entry.macs_per_second, source=entry.source)
        elif isinstance(entry, Kernel):
            yield where, Figure(value=entry.efficiency, source=entry.source)
        elif is_dataclass(entry) or isinstance(entry, dict):
            yield from _figures_in(entry, f"{where}.")
