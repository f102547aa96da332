"""A device that answers at once: the latency is the model's size, so a search over it can be checked."""

from collections.abc import Sequence
from typing import Any

from objectives.latency.device import DeviceUnavailable, Timing
from tests.runners.engines.fake_engine import FakeEngine


class FakeDevice:
    """Notes what it timed, and whether the workers were held still."""

    name = "cpu"
    threads = 1

    def __init__(self, engine: FakeEngine, fails_after: int | None = None) -> None:
        self.fingerprint: dict[str, Any] = {"processor": "fake", "runtime": "fake 1.0"}
        self.timed: list[int] = []
        self.was_quiet: list[bool] = []
        self._engine = engine
        self._fails_after = fails_after

    def time(self, models: Sequence[bytes], *, size: int | None = None, kernels: bool = False) -> list[Timing]:
        if self._fails_after is not None and len(self.timed) >= self._fails_after:
            raise DeviceUnavailable("unplugged")
        self.timed += [len(model) for model in models]
        self.was_quiet += [self._engine.is_quiet] * len(models)
        return [
            Timing(latency_ms=len(model) / 1e5, p90_ms=len(model) / 9e4, spread=0.0, runs=10, rounds=3)
            for model in models
        ]
