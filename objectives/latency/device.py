"""The interface of a device that times networks, and the values that it answers with."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Protocol

from search_space.errors import UserError

HOST, SSH = "cpu", "ssh:"
_SSH_TARGET = re.compile(r"([A-Za-z0-9_][A-Za-z0-9_.-]*@)?[A-Za-z0-9][A-Za-z0-9_.-]*(:[0-9]{1,5})?")

Fingerprint = Mapping[str, Any]
"""What a latency depends on, besides the network: host, processor, cores, runtime."""


class DeviceUnavailable(UserError):
    """Error of a device that cannot be reached, or lacks what a measurement needs."""

    exit_code = 3


class KernelTime(NamedTuple):
    """One kernel of a running network, as the runtime's profiler has it."""

    name: str
    """Of the ONNX node that it runs; the runtime may have changed it."""
    operator: str
    us: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Times of one inference of one image, from rounds of single runs."""

    latency_ms: float
    """Median of the fastest round, in milliseconds: whatever else the machine does only ever adds time."""
    p90_ms: float
    """90th percentile of that round, in milliseconds."""
    spread: float
    """Share by which the median of the second fastest round was above that of the fastest."""
    runs: int
    """Number of runs in a round."""
    rounds: int
    """Number of rounds."""
    kernels: tuple[KernelTime, ...] = ()
    """Times of single kernels; empty unless they were asked for."""

    def to_dict(self) -> dict[str, Any]:
        """Return the times as plain values, ready for JSON, without the kernels."""
        values = asdict(self)
        del values["kernels"]
        return values

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Timing":
        """What `timing.py` printed."""
        return cls(**{**data, "kernels": tuple(KernelTime(*kernel) for kernel in data.get("kernels", ()))})


class Device(Protocol):
    """Runs ONNX models and says how long they take."""

    @property
    def name(self) -> str: ...
    @property
    def threads(self) -> int: ...
    @property
    def fingerprint(self) -> Fingerprint: ...

    def time(self, models: Sequence[bytes], *, size: int | None = None, kernels: bool = False) -> list[Timing]:
        """Time each model, batch 1; `size` (pixels) where a model leaves its input's open.

        With `kernels` each kernel too. Raises DeviceUnavailable.
        """
        ...


def check_ssh_target(target: str) -> str:
    """`target`; raises UserError unless it is [user@]host[:port]."""
    if not _SSH_TARGET.fullmatch(target):
        raise UserError(f"device 'ssh:{target}': write ssh:user@host or ssh:user@host:port")
    return target
