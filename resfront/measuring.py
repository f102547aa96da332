"""Measuring a network's latency from Python."""

from objectives.latency.measurement import Measurement, measure_graphs
from objectives.latency.open_device import open_device
from search_space.spec import Architecture


def measure(architecture: Architecture, device: str = "cpu", *, threads: int = 1) -> Measurement:
    """Measure the latency of a network on a device: the time of one inference of one image.

    The network is timed as the ONNX file that it would be exported as, with random weights, which do not change the
    time. It takes about a third of a second.

    Parameters
    ----------
    architecture
        The network: an `ArchSpec`, a reference, or a pruned network. Layers below 32 bits run in int8.
    device
        ``cpu`` for this machine, or ``ssh:user@host``.
    threads
        Number of threads of onnxruntime.

    Returns
    -------
    Measurement
        Its `latency_ms` is the median in milliseconds, and its `timing.p90_ms` the 90th percentile.

    Raises
    ------
    UserError
        If the device cannot be reached, or cannot run the network.
    """
    with open_device(device, threads) as opened:
        return measure_graphs([architecture.build_graph()], opened)[0]
