"""How fast are a study's candidates? Each is timed once, before it is trained, on every device that the study names.

Where the device has been calibrated, the prediction stands beside what was measured.
"""

import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from objectives.latency.device import HOST, Device
from objectives.latency.measurement import measure_graphs
from objectives.latency.open_device import open_device
from objectives.latency.prediction.calibration import Calibration, CalibrationError, read_calibration
from search_space.errors import UserError
from search_space.graph import Graph
from search_space.space import RandomTrial, SearchSpace
from search_space.texts.counting import count_of

from ...config import StudyConfig
from ...datasets.cache import cache_root

Facts = Mapping[str, Mapping[str, Any]]
"""Objective -> its `Measurement` as plain values."""


class LatencyMeter:
    """Times candidates and remembers them by key."""

    def __init__(self, devices: Mapping[str, Device], calibrations: Mapping[str, Calibration] | None = None) -> None:
        """Objective -> the device that it is measured on, and objective -> that device's calibration."""
        self._devices = devices
        self._calibrations = calibrations or {}
        self._measured: dict[str, Facts] = {}

    @property
    def objectives(self) -> tuple[str, ...]:
        """Names of what it measures."""
        return tuple(self._devices)

    def measured(self, key: str) -> dict[str, float]:
        """Return objective -> milliseconds of a network that has been timed; empty for any other."""
        return latencies(self._measured.get(key, {}))

    def remember(self, key: str, facts: Facts) -> None:
        """Take up what an earlier run of the study measured.

        Raises UserError where that was on another processor, with another runtime or another number of threads,
        because the figures of both would stand on one front.
        """
        if not facts.keys() >= self._devices.keys():
            return
        for name, device in self._devices.items():
            before, now = _measured_with(facts[name]), _measured_with({**device.fingerprint, "threads": device.threads})
            if before != now:
                raise UserError(
                    f"{name}: was measured with {before} so far, and here it would be with {now}; "
                    "go on where the study began, or start a new one"
                )
        self._measured[key] = facts

    def measure(self, key: str, graph: Graph, quiet: Callable[[], AbstractContextManager[None]]) -> Facts:
        """What each device measured for the network; `quiet` holds still what else runs on this host.

        Raises DeviceUnavailable.
        """
        if key not in self._measured:
            facts = {name: self._time(device, graph, quiet) for name, device in self._devices.items()}
            for name, calibration in self._calibrations.items():
                facts[name]["predicted_ms"] = calibration.predict_ms(graph)
            self._measured[key] = facts
        return self._measured[key]

    def predict(self, graph: Graph) -> dict[str, float]:
        """Objective -> predicted ms, of the devices that are calibrated."""
        return {name: calibration.predict_ms(graph) for name, calibration in self._calibrations.items()}

    def predict_optimistic(self, graph: Graph) -> dict[str, float]:
        """Objective -> predicted ms less twice the mean held-out error, so that few that fit are passed over."""
        return {
            name: calibration.predict_ms(graph) * (1 - 2 * calibration.error_of(graph).mean)
            for name, calibration in self._calibrations.items()
        }

    def _time(self, device: Device, graph: Graph, quiet: Callable[[], AbstractContextManager[None]]) -> dict[str, Any]:
        if device.name != HOST:
            return measure_graphs([graph], device)[0].to_dict()
        with quiet():
            return measure_graphs([graph], device)[0].to_dict()


def _measured_with(facts: Mapping[str, Any]) -> str:
    return f"{facts['processor']}, {facts['runtime']}, {count_of(int(facts['threads']), 'thread')}"


def latencies(facts: Facts) -> dict[str, float]:
    """Objective -> milliseconds."""
    return {name: float(measured["latency_ms"]) for name, measured in facts.items()}


def calibration_path(device: str, threads: int, resolution: int) -> Path:
    """Where the calibration of a device is kept, for networks of up to `resolution` pixels."""
    return cache_root() / "calibrations" / f"{_stem(device, threads)}-{resolution}px.json"


def usable_calibration(device: Device, covers: Callable[[Calibration], bool]) -> Calibration | None:
    """The newest of the device's kept calibrations that `covers` accepts; None where there is none.

    Those that are damaged, or were made on another device or with another runtime, are passed over; raises
    CalibrationError only where there is no other.
    """
    usable, unfit = list[Calibration](), list[CalibrationError]()
    for path in sorted((cache_root() / "calibrations").glob(f"{_stem(device.name, device.threads)}-*px.json")):
        try:
            calibration = read_calibration(path)
            calibration.check_device(device)
        except CalibrationError as error:
            unfit.append(error)
        else:
            usable += [calibration] if covers(calibration) else []
    if unfit and not usable:
        raise unfit[0]
    return max(usable, key=lambda calibration: calibration.created, default=None)


def _stem(device: str, threads: int) -> str:
    return f"{re.sub(r'[^A-Za-z0-9.-]+', '-', device)}-{threads}-thread"


@contextmanager
def open_meter(config: StudyConfig, on_note: Callable[[str], None] = lambda note: None) -> Iterator[LatencyMeter]:
    """A meter for the study's measured objectives and limits, its devices open; raises DeviceUnavailable.

    A calibration that does not fit is not used, and `on_note` is told why.
    """
    measured = {o.name: o.device for o in config.figures if o.source == "measured" and o.device is not None}
    with ExitStack() as stack:
        devices = {
            name: stack.enter_context(open_device(device, config.latency.threads)) for name, device in measured.items()
        }
        calibrations = {}
        for name, device in devices.items():
            try:
                calibration = usable_calibration(device, lambda found: _covers(found, config.space))
            except CalibrationError as error:
                on_note(f"predictions are left out: {error}")
            else:
                if calibration is not None:
                    calibrations[name] = calibration
        yield LatencyMeter(devices, calibrations)


def _covers(calibration: Calibration, space: SearchSpace) -> bool:
    """Whether networks of `space` lie within what was sampled."""
    generator = random.Random(0)
    return all(calibration.covers(space.sample(RandomTrial(generator))) for _ in range(50))
