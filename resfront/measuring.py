"""Measuring a network's latency from Python."""

from objectives.latency.measurement import Measurement, measure_graphs
from objectives.latency.open_device import open_device
from search_space.spec import Architecture


def measure(architecture: Architecture, device: str = "cpu", *, threads: int = 1) -> Measurement:
    """Measure how long a network takes on a device at hand, batch 1.

    Parameters
    ----------
    architecture
        The network: an `ArchSpec`, a reference, or a pruned network. Layers below 32 bits run in int8.
    device
        ``cpu`` for this machine, or ``ssh:user@host``.
    threads
        Threads of the runtime.

    Returns
    -------
    Measurement
        Its `latency_ms` is the median in milliseconds; `timing.p90_ms` is the 90th percentile.

    Raises
    ------
    UserError
        Where the device cannot be reached, or cannot run the network.
    """
    with open_device(device, threads) as opened:
        return measure_graphs([architecture.build_graph()], opened)[0]
