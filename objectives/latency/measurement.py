"""What is a candidate's measured latency? The time of the ONNX file that it would be exported as.

A network below 32 bits is timed in int8; fewer bits than 8 have no faster kernels, so they are timed as int8 too, with
the clipping of their activations (benchmarks/int8_by_block.py). The weights are random: they do not change the time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from search_space.backends.network_values import random_values
from search_space.graph import FLOAT_BITS, Graph

from .device import Device, Timing

Precision = Literal["float32", "int8"]
PRECISIONS: tuple[Precision, ...] = ("float32", "int8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A measured latency, with where and how it was measured."""

    device: str
    """``cpu`` for this machine, or ``ssh:user@host``."""
    threads: int
    """Number of threads of the runtime."""
    precision: Precision
    """``float32``, or ``int8`` if any layer has less than 32 bits."""
    timing: Timing
    """The times that were measured."""
    processor: str
    """Name of the processor."""
    runtime: str
    """Name and version of the runtime."""

    @property
    def latency_ms(self) -> float:
        """Median time of one inference, in milliseconds."""
        return self.timing.latency_ms

    def to_dict(self) -> dict[str, Any]:
        """Return the measurement as plain values, ready for JSON."""
        return {
            "kind": "measured",
            **self.timing.to_dict(),
            "precision": self.precision,
            "device": self.device,
            "threads": self.threads,
            "processor": self.processor,
            "runtime": self.runtime,
        }


def runs_in_int8(graph: Graph) -> bool:
    """Whether any layer is quantized, so that the network ships as an int8 file."""
    return any(node.bits != FLOAT_BITS for node in graph.nodes)


def precision_of(graph: Graph) -> Precision:
    """The precision of the file that is timed."""
    return "int8" if runs_in_int8(graph) else "float32"


def timed_model(graph: Graph) -> bytes:
    """The ONNX file whose time is the network's latency."""
    from search_space.backends.onnx_model import build_onnx

    model = build_onnx(graph, random_values(graph), int8=runs_in_int8(graph))
    return bytes(model.SerializeToString())


def measure_graphs(graphs: Sequence[Graph], device: Device) -> list[Measurement]:
    """Time each network on `device`; raises DeviceUnavailable."""
    timings = device.time([timed_model(graph) for graph in graphs])
    return [measurement_of(device, t, precision_of(graph)) for graph, t in zip(graphs, timings, strict=True)]


def measurement_of(device: Device, timing: Timing, precision: Precision) -> Measurement:
    """A timing with where it was made."""
    return Measurement(
        device=device.name,
        threads=device.threads,
        precision=precision,
        timing=timing,
        processor=str(device.fingerprint["processor"]),
        runtime=str(device.fingerprint["runtime"]),
    )
