"""How do networks fare across hardware? Latencies of networks on devices, measured or estimated, side by side."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from objectives.base import Unsupported
from objectives.devices import load_profile, profile_names
from objectives.devices.roofline import estimate_latency
from objectives.latency.device import HOST, SSH
from objectives.latency.measurement import measure_graphs
from objectives.latency.open_device import open_device
from search_space.errors import UserError, unknown_name
from search_space.spec import Architecture


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A network to compare."""

    name: str
    architecture: Architecture
    accuracy: float = math.nan
    """As a study found it, or as it was trained; NaN where it was not."""
    from_study: bool = False
    """Whether it is of the front that the others are held against."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceColumn:
    """One device's latencies, in the contenders' order."""

    device: str
    kind: Literal["measured", "estimated"]
    latency_ms: tuple[float, ...]
    """NaN where the device cannot run the network."""
    reasons: tuple[str, ...]
    """Why it cannot; empty where it can."""
    runtime: str
    """The software that runs it there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Networks in rows, devices in columns."""

    contenders: tuple[Contender, ...]
    columns: tuple[DeviceColumn, ...]
    threads: int


def compare(
    contenders: Sequence[Contender],
    devices: Sequence[str],
    *,
    threads: int = 1,
    progress: Callable[[str], None] = lambda line: None,
) -> Comparison:
    """Measure on `cpu` and `ssh:...`, estimate for profiles; raises UserError for an unknown device."""
    for device in devices:
        check_device(device)
    columns = []
    for device in devices:
        progress(f"{device} ...")
        is_measured = device == HOST or device.startswith(SSH)
        columns.append(
            _measured(contenders, device, threads) if is_measured else _estimated(contenders, device, threads)
        )
    return Comparison(contenders=tuple(contenders), columns=tuple(columns), threads=threads)


def check_device(device: str) -> None:
    """Raise UserError, with the closest known name, unless `device` can be measured or estimated."""
    if device == HOST or device.startswith(SSH):
        return
    if not device.endswith(".toml") and device not in profile_names():
        raise UserError(
            f"{unknown_name('device', device, [HOST, *profile_names()])} (or ssh:user@host, or a .toml file)"
        )
    load_profile(device)


def _measured(contenders: Sequence[Contender], device: str, threads: int) -> DeviceColumn:
    with open_device(device, threads) as opened:
        found = measure_graphs([contender.architecture.build_graph() for contender in contenders], opened)
    return DeviceColumn(
        device=device,
        kind="measured",
        latency_ms=tuple(measurement.latency_ms for measurement in found),
        reasons=("",) * len(contenders),
        runtime=str(opened.fingerprint["runtime"]),
    )


def _estimated(contenders: Sequence[Contender], device: str, threads: int) -> DeviceColumn:
    profile = load_profile(device)
    latencies, reasons = [], []
    for contender in contenders:
        try:
            latencies.append(
                estimate_latency(contender.architecture.build_graph(), profile, threads=threads).latency_ms
            )
            reasons.append("")
        except Unsupported as error:
            latencies.append(math.nan)
            reasons.append(str(error))
    return DeviceColumn(
        device=device,
        kind="estimated",
        latency_ms=tuple(latencies),
        reasons=tuple(reasons),
        runtime=profile.runtime.name,
    )
