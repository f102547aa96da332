"""Whose time is it? What the runtime's profiler found, kernel by kernel of the graph."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from search_space.graph import Graph

from ..device import KernelTime, Timing
from .kernels import CLIP, KernelKey, kernels_of


def mean_kernel_times(graphs: Sequence[Graph], timings: Sequence[Timing]) -> dict[KernelKey, float]:
    """Mean profiled us of every kernel of the graphs, rounded as it is kept."""
    found: dict[KernelKey, list[float]] = defaultdict(list)
    for graph, timing in zip(graphs, timings, strict=True):
        for kernel, us in zip(kernels_of(graph), kernel_times(graph, timing.kernels), strict=True):
            found[kernel.key].append(us)
    return {key: round(float(np.mean(times)), 3) for key, times in found.items()}


def kernel_times(graph: Graph, profiled: Sequence[KernelTime]) -> list[float]:
    """What `kernels_of` has, in us; what the runtime inserted (reorderings) counts for the kernel that follows.

    The runtime names a kernel after the node that it came from, with something appended.
    """
    owners: dict[str, int] = {}
    kernels = kernels_of(graph)
    for row, (node, key) in enumerate(kernels):
        owners[graph.nodes[node].name + ("_clip" if key.kind == CLIP else "")] = row
    times = [0.0] * len(kernels)
    waiting, last = 0.0, 0
    for name, _, us in profiled:
        owner = _owner(name.partition("/")[0], owners)
        waiting += us
        if owner is not None:
            times[owner] += waiting
            waiting, last = 0.0, owner
    times[last] += waiting
    return times


def _owner(name: str, owners: Mapping[str, int]) -> int | None:
    while name:
        if name in owners:
            return owners[name]
        name = name.rpartition("_")[0]
    return None
