"""How long does one inference take? Measured on a device at hand, or estimated from a device's data sheet.

`latency_ms` is measured on this host; `latency_ms@DEVICE` is measured where DEVICE is `ssh:user@host`, and estimated
where it is a profile (`objectives/devices`). What is measured can be predicted, after a calibration, for candidates
by the thousand. onnx and onnxruntime are imported only when something is timed.
"""

from search_space.graph import Graph

from ..base import OBJECTIVES, Objective
from ..devices import load_profile
from ..roofline import estimate_latency
from .device import HOST, SSH, check_ssh_target

LATENCY = "latency_ms"


def latency_on(device: str) -> Objective:
    """The latency on a device; raises UserError for one that is neither this host, nor ssh:..., nor a profile."""
    if device == HOST:
        return OBJECTIVES[LATENCY]
    name = f"{LATENCY}@{device}"
    if device.startswith(SSH):
        check_ssh_target(device.removeprefix(SSH))
        label = f"Latency on {device.removeprefix(SSH)}, measured (ms)"
        return Objective(name=name, label=label, unit="ms", direction="minimize", source="measured", device=device)
    profile = load_profile(device)

    def estimate(graph: Graph) -> float:
        return estimate_latency(graph, profile).latency_ms

    label = f"Latency on {profile.name}, estimated (ms)"
    return Objective(
        name=name,
        label=label,
        unit="ms",
        direction="minimize",
        source="estimated",
        compute=estimate,
        device=device,
    )


OBJECTIVES.add(
    LATENCY,
    Objective(
        name=LATENCY, label="Latency, measured (ms)", unit="ms", direction="minimize", source="measured", device=HOST
    ),
)
OBJECTIVES.add_on_devices(LATENCY, latency_on)
