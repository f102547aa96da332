"""Where candidates are trained and timed."""

import re
from typing import Annotated

from pydantic import Field

from objectives.machine import usable_cores
from search_space.errors import UserError, cut
from search_space.settings import settings

from .ranges import MOST_SECONDS, MOST_THREADS

_DEVICE = re.compile(r"cpu|cuda(:[0-9]{1,4})?")


@settings
class WorkersConfig:
    """Where candidates are trained."""

    engine: str = "local"
    """What runs them: 'local' for processes of this machine, or a plug-in's."""
    workers: Annotated[int, Field(ge=1, le=1024)] = 1
    """Processes that train side by side."""
    threads: Annotated[int, Field(ge=0, le=MOST_THREADS)] = 0
    """Threads of each worker; 0 shares the machine's cores out.

    Only 1 thread gives the same digits every time, and that on one kind of processor.
    """
    device: str = "cpu"
    """'cpu', 'cuda' (workers share out the GPUs) or 'cuda:N'."""
    trial_timeout_s: Annotated[float, Field(ge=0.01, le=MOST_SECONDS)] = 7200.0
    """A trial that takes longer, or hangs, is ended as failed."""

    def __post_init__(self) -> None:
        if not _DEVICE.fullmatch(self.device):
            raise UserError(f"device: must be cpu, cuda or cuda:N, not '{cut(self.device)}'")

    @property
    def threads_per_worker(self) -> int:
        """Threads of each worker, shared out where the number is left open."""
        return self.threads or max(1, usable_cores() // self.workers)


@settings
class LatencyConfig:
    """How latencies are measured, where an objective or a limit asks for one."""

    threads: Annotated[int, Field(ge=1, le=MOST_THREADS)] = 1
    """Of the runtime; batch 1."""
