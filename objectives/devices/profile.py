"""What does a device profile say? Frozen values; every figure carries the source it was taken or derived from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from search_space.errors import UserError

Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")
BYTES_PER_VALUE: Mapping[str, int] = {"fp32": 4, "fp16": 2, "int8": 1}


class DeviceError(UserError):
    """A device profile that cannot be used; names the file, the key and what is allowed."""


class Figure(NamedTuple):
    """A number and where it comes from."""

    value: float
    source: str


class Peak(NamedTuple):
    """What the arithmetic units could do at best."""

    macs_per_second: float
    """Multiply-accumulates a second, of one thread where the device has several."""
    sustained: float
    """Share of it that this device keeps up with the runtime's kernels; 1 unless several rows say otherwise."""
    channel_multiple: int
    """Vector or array width: channels are computed in groups of so many, and the last one is padded."""
    source: str


class Kernel(NamedTuple):
    """How well a runtime's kernels use the peak."""

    efficiency: float
    """MACs of the direct convolution (elements, for `elementwise`) as a share of the peak; above 1 where an algorithm
    needs fewer multiplications (Winograd)."""
    weight_expansion: float
    """Bytes of weights that are read, over those of the plain weights (Winograd's transformed kernels are larger)."""
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """The software that runs networks on a family of devices: what they have in common."""

    name: str
    description: str
    fuses_add: bool
    """Whether the sum directly behind a convolution is computed within it."""
    activation_passes: Figure
    """How often an operator moves the tensors it reads and writes (padding and packing copy them)."""
    kernels: Mapping[str, Mapping[str, Kernel]]
    """"float" and "int8" -> kind of kernel -> its efficiency; what the runtime has no kernels for is absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceProfile:
    """Hardware figures of one device, and the runtime that uses it."""

    name: str
    description: str
    runtime: Runtime
    float_precision: Precision | None
    """Arithmetic of float networks; None where the device has none."""
    peaks: Mapping[Precision, Peak]
    threads: Mapping[int, Figure]
    """Number of threads -> speed over that of one thread."""
    bytes_per_second: Figure
    """Bandwidth of the memory that holds what does not fit on the chip."""
    on_chip_bytes: Figure
    """Last-level cache or SRAM: weights up to so many bytes, and the tensors of an operator that fit, are not read
    from the slower memory."""
    layer_us: Figure
    """Microseconds that an operator takes beyond its work."""
    inference_us: Figure
    """Microseconds that an inference takes beyond its operators."""
    activation_bytes: Figure | None
    """Memory for activations; None where it is no limit in practice."""
    flash_bytes: Figure | None
    """Memory for weights; None where it is no limit in practice."""
    unsupported: Mapping[str, str]
    """Operator or activation that the device cannot run -> source."""

    @property
    def figures(self) -> dict[str, Figure]:
        """Every figure of the device and of its runtime, by its key in the TOML file, for a table with sources."""
        found = {f"peak.{name}": Figure(peak.macs_per_second, peak.source) for name, peak in self.peaks.items()}
        found |= {f"threads.{count}": figure for count, figure in self.threads.items()}
        for key in ("bytes_per_second", "on_chip_bytes"):
            found[f"memory.{key}"] = getattr(self, key)
        found |= {"overhead.layer_us": self.layer_us, "overhead.inference_us": self.inference_us}
        for key in ("activation_bytes", "flash_bytes"):
            if (limit := getattr(self, key)) is not None:
                found[f"limits.{key}"] = limit
        found["runtime.activation_passes"] = self.runtime.activation_passes
        for precision, kernels in self.runtime.kernels.items():
            for kind, kernel in kernels.items():
                found[f"runtime.{precision}.{kind}"] = Figure(kernel.efficiency, kernel.source)
        return found
