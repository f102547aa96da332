"""How long does a network take on this host? Timed in this process; whoever calls sees to it that nothing else runs."""

from collections.abc import Sequence
from functools import cached_property
from types import TracebackType

from search_space.errors import UserError

from ..machine import usable_cores
from . import timing
from .device import HOST, Fingerprint, KernelTime, Timing


class HostDevice:
    """A `Device`: onnxruntime on this host's CPU."""

    name = HOST

    def __init__(self, threads: int = 1) -> None:
        cores = usable_cores()
        if not 1 <= threads <= cores:
            raise UserError(f"latency.threads: must be from 1 to {cores}, the cores of this host, not {threads}")
        self.threads = threads

    def __enter__(self) -> "HostDevice":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to clean up."""

    @cached_property
    def fingerprint(self) -> Fingerprint:
        return timing.fingerprint()

    def time(self, models: Sequence[bytes], *, size: int | None = None, kernels: bool = False) -> list[Timing]:
        """See `Device.time`."""
        return [self._time(model, size, kernels) for model in models]

    def _time(self, model: bytes, size: int | None, kernels: bool) -> Timing:
        session = timing.make_session(model, self.threads)
        found = timing.time_session(session, timing.make_feed(session, size))
        profile = timing.profile_model(model, self.threads, size) if kernels else []
        return Timing(**found, kernels=tuple(KernelTime(*kernel) for kernel in profile))
