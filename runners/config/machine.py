"""Where candidates are trained and timed."""

import re
from dataclasses import dataclass
from typing import ClassVar

from objectives.machine import usable_cores
from search_space.errors import UserError, cut

from .ranges import (
    FORBID_UNKNOWN_KEYS,
    MOST_SECONDS,
    MOST_THREADS,
    check_at_least,
    check_range,
)

_DEVICE = re.compile(r"cpu|cuda(:[0-9]{1,4})?")


@dataclass(frozen=True, kw_only=True)
class WorkersConfig:
    """Where candidates are trained."""

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN_KEYS

    workers: int = 1
    """Processes that train side by side."""
    threads: int = 0
    """Threads of each worker; 0 shares the machine's cores out.

    Only 1 thread gives the same digits every time, and that on one kind of processor.
    """
    device: str = "cpu"
    """'cpu', 'cuda' (workers share out the GPUs) or 'cuda:N'."""
    trial_timeout_s: float = 7200.0
    """A trial that takes longer, or hangs, is ended as failed."""

    def __post_init__(self) -> None:
        check_range(self, "workers", 1, 1024)
        check_range(self, "threads", 0, MOST_THREADS)
        check_at_least(self, "trial_timeout_s", 0.01, MOST_SECONDS)
        if not _DEVICE.fullmatch(self.device):
            raise UserError(f"device: must be cpu, cuda or cuda:N, not '{cut(self.device)}'")

    @property
    def threads_per_worker(self) -> int:
        """Threads of each worker, shared out where the number is left open."""
        return self.threads or max(1, usable_cores() // self.workers)


@dataclass(frozen=True, kw_only=True)
class LatencyConfig:
    """How latencies are measured, where an objective or a limit asks for one."""

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID_UNKNOWN_KEYS

    threads: int = 1
    """Of the runtime; batch 1."""

    def __post_init__(self) -> None:
        check_range(self, "threads", 1, MOST_THREADS)
