"""How long does one inference take? Measured on a device at hand, or estimated from a device's data sheet.

`latency_ms` is measured on this host; `latency_ms@DEVICE` is measured where DEVICE is `ssh:user@host`, and estimated
where it is a profile (`objectives/devices`). What is measured can be predicted, after a calibration, for candidates
by the thousand.
"""

from functools import cache
from pathlib import Path

from ..base import OBJECTIVES, Objective
from ..devices import DeviceProfile, load_profile
from ..devices.roofline import estimate_latency
from ..latency.device import HOST, SSH, check_ssh_target

LATENCY = "latency_ms"


_named_by_studies = set[str]()


def accept_device(device: str) -> None:
    """Have `latency_on` take a profile by its name alone, because a study has figures for it; it may be gone since."""
    _named_by_studies.add(device)


def latency_on(device: str) -> Objective:
    """The latency on a device; raises UserError for one that is neither this host, nor ssh:..., nor a profile."""
    if device == HOST:
        return OBJECTIVES[LATENCY]
    if device.startswith(SSH):
        check_ssh_target(device.removeprefix(SSH))
        label = f"Latency on {device.removeprefix(SSH)}, measured (ms)"
        return Objective(
            name=f"{LATENCY}@{device}",
            label=label,
            unit="ms",
            direction="minimize",
            source="measured",
            device=device,
        )
    if device in _named_by_studies:
        return estimated_latency(device)
    return estimated_latency(device, load_profile(device))


def estimated_latency(device: str, profile: DeviceProfile | None = None) -> Objective:
    """The latency as a profile has it; without one, that of the device's name, read when a network is estimated."""

    @cache
    def known() -> DeviceProfile:
        return load_profile(device) if profile is None else profile

    return Objective(
        name=f"{LATENCY}@{device}",
        label=f"Latency on {Path(device).stem if device.endswith('.toml') else device}, estimated (ms)",
        unit="ms",
        direction="minimize",
        source="estimated",
        compute=lambda graph: estimate_latency(graph, known()).latency_ms,
        device=device,
    )


OBJECTIVES.add(
    LATENCY,
    Objective(
        name=LATENCY, label="Latency, measured (ms)", unit="ms", direction="minimize", source="measured", device=HOST
    ),
)
OBJECTIVES.add_on_devices(LATENCY, latency_on)
