"""How long would a device that is not at hand take? A roofline for each fused operator (Williams et al. 2009).

time = max(work / (peak x efficiency of the kernel), bytes / bandwidth) + overhead, summed over the operators, plus
the inference's own overhead. A convolution with its batch-norm or bias and its activation is one node of the graph and
so one operator; a sum directly behind it is fused too where the device's runtime does that. Such figures are always
called `estimated`: `docs/devices.md` holds them against published ones.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from search_space.graph import Add, Conv, GlobalPool, Graph, Input, Linear, MaxPool, Node, Shape, Weighted

from ..base import Unsupported
from .capability import KERNEL_BITS, unsupported_reason
from .operators import kernel_kind
from .profile import BYTES_PER_VALUE, DeviceError, DeviceProfile, Kernel, Kernels, Peak

__all__ = ["Estimate", "OperatorTime", "Unsupported", "estimate_latency", "unsupported_reason"]

Bound = Literal["compute", "memory", "overhead"]
IMAGE_CHANNELS = 4
"""Inputs of so few channels are the image; runtimes have kernels of their own for it, which do not pad them."""


class OperatorTime(NamedTuple):
    """One fused operator on the device."""

    name: str
    """The node's; `conv+add` where a sum is fused into it."""
    kind: str
    """Kind of kernel."""
    latency_ms: float
    bound: Bound
    """What the time is mostly spent on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Estimated latency of one image."""

    device: str
    threads: int
    latency_ms: float
    overhead_ms: float
    """Of the inference as a whole, on top of the operators'."""
    operators: tuple[OperatorTime, ...]


class _Machine(NamedTuple):
    """A profile at one number of threads and one precision, ready for arithmetic."""

    macs_per_second: float
    channel_multiple: int
    value_bytes: int
    kernels: Kernels

    def kernel(self, kind: str) -> Kernel:
        found: Kernel = getattr(self.kernels, kind)
        return found


def estimate_latency(graph: Graph, profile: DeviceProfile, *, threads: int | None = None) -> Estimate:
    """Estimated milliseconds of one inference, batch 1, on `threads` threads (by default 1).

    Layers of 32 bits run in the device's float arithmetic, those of 8 bits and below in int8. Raises Unsupported where
    the device cannot run the network, DeviceError for a number of threads that the profile does not list.
    """
    threads = 1 if threads is None else threads
    speed = _speed(profile, threads)
    if (reason := unsupported_reason(graph, profile)) is not None:
        raise Unsupported(reason)
    machines = {is_float: _machine(profile, is_float, speed) for is_float in {_is_float(n) for n in graph.nodes}}
    operators = _operators(graph, profile, machines)
    overhead_ms = profile.overhead.inference_us.value * 1e-3
    latency_ms = overhead_ms + sum(operator.latency_ms for operator in operators)
    return Estimate(
        device=profile.name, threads=threads, latency_ms=latency_ms, overhead_ms=overhead_ms, operators=operators
    )


def _speed(profile: DeviceProfile, threads: int) -> float:
    speeds = {1: 1.0, **{int(count): figure.value for count, figure in profile.threads.items()}}
    if threads not in speeds:
        known = ", ".join(map(str, sorted(speeds)))
        raise DeviceError(f"threads: profile '{profile.name}' knows {known}, not {threads}")
    return speeds[threads]


def _is_float(node: Node) -> bool:
    return node.bits > KERNEL_BITS


def _machine(profile: DeviceProfile, is_float: bool, speed: float) -> _Machine:
    precision = profile.float_precision if is_float else "int8"
    assert precision is not None  # unsupported_reason has seen to it
    peak: Peak = getattr(profile.peak, precision)
    kernels = profile.runtime.float if is_float else profile.runtime.int8
    assert kernels is not None  # the profile has seen to it
    return _Machine(
        peak.macs_per_second * peak.sustained * speed, peak.channel_multiple, BYTES_PER_VALUE[precision], kernels
    )


def _operators(graph: Graph, profile: DeviceProfile, machines: Mapping[bool, _Machine]) -> tuple[OperatorTime, ...]:
    """The times in the order of the nodes; a fused sum is part of its convolution's."""
    nodes = graph.nodes
    machine_of = [machines[_is_float(node)] for node in nodes]
    kinds = [kernel_kind(node.op) for node in nodes]
    sizes = [node.shape.numel * machine.value_bytes for node, machine in zip(nodes, machine_of, strict=True)]
    weights = [_weight_bytes(*each) for each in zip(nodes, kinds, machine_of, strict=True)]
    on_chip, us_per_byte = profile.memory.on_chip_bytes.value, 1e6 / profile.memory.bytes_per_second.value
    streamed = _beyond(weights, on_chip)
    passes, overhead_us = profile.runtime.activation_passes.value, profile.overhead.layer_us.value
    sums = _fused_sums(graph) if profile.runtime.fuses_add else {}
    absorbed = {*sums.values(), *(position for position, node in enumerate(nodes) if isinstance(node.op, Input))}
    found = []
    for position, (node, kind, machine) in enumerate(zip(nodes, kinds, machine_of, strict=True)):
        if position in absorbed:
            continue
        name, moved = node.name, sizes[position] + sum(sizes[source] for source in node.inputs)
        if position in sums:
            name, moved = f"{name}+add", moved + sizes[position]  # the other summand is read as well
        memory_us = (streamed[position] + (moved * passes if moved > on_chip else 0)) * us_per_byte
        work = _work(node, nodes[node.inputs[0]].shape, machine.channel_multiple)
        compute_us = work / (machine.macs_per_second * machine.kernel(kind).efficiency) * 1e6
        found.append(_timed(name, kind, compute_us, memory_us, overhead_us))
    return tuple(found)


def _weight_bytes(node: Node, kind: str, machine: _Machine) -> float:
    """Bytes of weights as the kernel reads them."""
    if not isinstance(node.op, Weighted):
        return 0.0
    return node.op.num_weights * machine.value_bytes * machine.kernel(kind).weight_expansion


def _beyond(weights: Iterable[float], on_chip: float) -> list[float]:
    """Of each operator's weights the bytes that find no room on the chip, which is filled in the order of execution."""
    found = []
    for size in weights:
        found.append(max(0.0, size - on_chip))
        on_chip = max(0.0, on_chip - size)
    return found


def _timed(name: str, kind: str, compute_us: float, memory_us: float, overhead_us: float) -> OperatorTime:
    busy_us = max(compute_us, memory_us)
    bound: Bound = "overhead" if overhead_us > busy_us else "compute" if compute_us >= memory_us else "memory"
    return OperatorTime(name, kind, (busy_us + overhead_us) * 1e-3, bound)


def _work(node: Node, read: Shape, multiple: int) -> int:
    """MACs with the channels padded to `multiple`; without weights the elements: a pool's inputs, else the outputs."""
    op, shape = node.op, node.shape
    if isinstance(op, Conv):
        per_output = op.kernel * op.kernel * _padded(op.in_channels // op.groups, multiple)
        return per_output * _padded(op.out_channels, multiple) * shape.height * shape.width
    if isinstance(op, Linear):
        return _padded(op.in_channels, multiple) * _padded(op.out_channels, multiple)
    if isinstance(op, MaxPool):
        return _padded(shape.channels, multiple) * shape.height * shape.width * op.kernel * op.kernel
    height, width = read[1:] if isinstance(op, GlobalPool) else shape[1:]
    return _padded(shape.channels, multiple) * height * width


def _padded(channels: int, multiple: int) -> int:
    return channels if channels <= IMAGE_CHANNELS else -(-channels // multiple) * multiple


def _fused_sums(graph: Graph) -> dict[int, int]:
    """Convolution -> the sum that it computes too: the only reader of its output, its later summand being the host."""
    readers = Counter(source for node in graph.nodes for source in node.inputs)
    found = {}
    for position, node in enumerate(graph.nodes):
        if isinstance(node.op, Add):
            host = max(node.inputs)
            last = graph.nodes[host]
            if isinstance(last.op, Conv) and last.act is None and readers[host] == 1:
                found[host] = position
    return found
