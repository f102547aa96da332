"""Can the device run the network at all? One line, with figures, that says why not."""

from search_space.graph import Graph

from ..costs.packed_bytes import packed_bytes
from ..costs.peak_memory_bytes import peak_memory_bytes
from .operators import operator_name
from .profile import DeviceProfile

KERNEL_BITS = 8
"""No device has kernels below 8 bits: such layers are computed, and their weights kept, as int8."""


def unsupported_reason(graph: Graph, profile: DeviceProfile) -> str | None:
    """Why the device cannot run the network, or None where it can.

    The flash holds the weights as the kernels read them, in bytes where they have fewer bits (`packed_bytes` of the
    graph at 8 bits at least), in a form of the device's own: the ONNX file around them (`file_bytes`) stays behind.
    """
    return _unsupported_bits(graph, profile) or _unsupported_operator(graph, profile) or _too_large(graph, profile)


def _unsupported_bits(graph: Graph, profile: DeviceProfile) -> str | None:
    no_float, no_int8 = profile.float_precision is None, profile.peak.int8 is None
    if not no_float and not no_int8:
        return None
    for node in graph.nodes[1:]:
        is_float = node.bits > KERNEL_BITS
        if no_float and is_float:
            return f"{profile.name} runs int8 alone, but '{node.name}' is float ({node.bits} bits)"
        if no_int8 and not is_float:
            return f"{profile.name} runs {profile.float_precision} alone, but '{node.name}' has {node.bits} bits"
    return None


def _unsupported_operator(graph: Graph, profile: DeviceProfile) -> str | None:
    if not profile.unsupported:
        return None
    for node in graph.nodes:
        for name in (operator_name(node.op), node.act):
            if name in profile.unsupported:
                return f"{profile.name} cannot run '{name}', which '{node.name}' needs"
    return None


def _too_large(graph: Graph, profile: DeviceProfile) -> str | None:
    if profile.limits.activation_bytes is not None:
        needed, limit = peak_memory_bytes(graph), profile.limits.activation_bytes.value
        if needed > limit:
            return f"{profile.name} has {limit:,.0f} bytes for activations, but {needed:,} are needed at once"
    if profile.limits.flash_bytes is not None:
        needed, limit = packed_bytes(_as_run(graph)), profile.limits.flash_bytes.value
        if needed > limit:
            return f"{profile.name} has {limit:,.0f} bytes of flash, but the weights take {needed:,}"
    return None


def _as_run(graph: Graph) -> Graph:
    """The graph with every layer at the bits of the kernel that runs it."""
    if all(node.bits >= KERNEL_BITS for node in graph.nodes):
        return graph
    return Graph(tuple(node._replace(bits=max(node.bits, KERNEL_BITS)) for node in graph.nodes))
