"""Between which figures does a study's hypervolume count? A box from the space's ranges of costs and the limits."""

import random
from collections.abc import Callable, Mapping, Sequence

from search_space.graph import Graph
from search_space.space import RandomTrial, SearchSpace
from search_space.spec import Architecture, ArchSpec

from .base import Objective, Unsupported, costs_of
from .limits import Limit

SAMPLES = 500
BEYOND_LIMIT = 0.3
"""Share of the range between the least cost and a limit, in logarithms, by which the box reaches beyond the limit.

Without it a network at the limit would add nothing.
"""
TIMED = 3
"""How many of the samples with the fewest and the most MACs, and nodes, are timed."""

Measure = Callable[[Architecture, Graph], Mapping[str, float]]
"""(network, its graph) -> measured objectives."""


def sample_costs(space: SearchSpace, figures: Sequence[Objective], measure: Measure) -> list[dict[str, float]]:
    """What 500 networks of the space cost, drawn with a fixed seed; those that a device cannot run are left out.

    Where one of `figures` is measured, the samples with the fewest and the most MACs, and nodes, are timed.
    """
    generator = random.Random(0)
    found: list[tuple[ArchSpec, Graph, dict[str, float]]] = []
    for _ in range(SAMPLES):
        spec = space.sample(RandomTrial(generator))
        graph = spec.build_graph()
        try:
            found.append((spec, graph, costs_of(graph, figures)))
        except Unsupported:
            continue
    if any(figure.source == "measured" for figure in figures):
        by_macs = sorted(found, key=lambda sample: sample[2]["macs"])
        by_nodes = sorted(found, key=lambda sample: len(sample[1].nodes))
        for spec, graph, costs in [*by_macs[:TIMED], *by_macs[-TIMED:], *by_nodes[:TIMED], *by_nodes[-TIMED:]]:
            costs |= measure(spec, graph)
    return [costs for _, _, costs in found]


def cost_ranges(
    samples: Sequence[Mapping[str, float]], objectives: Sequence[Objective]
) -> dict[str, tuple[float, float]]:
    """The least and the most that the samples cost, by objective; without those that no sample has."""
    found = {}
    for objective in objectives:
        figures = [sample[objective.name] for sample in samples if objective.name in sample]
        if objective.known and figures:
            found[objective.name] = (min(figures), max(figures))
    return found


def hypervolume_box(
    ranges: Mapping[str, tuple[float, float]],
    objectives: Sequence[Objective],
    limits: Sequence[Limit],
    commonest_share: float,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the corners (worst, best) of the box, a figure for each objective in its own unit.

    A cost spans its range among the space's networks; with a limit it ends BEYOND_LIMIT of the logarithm's range above
    the limit. A metric spans from its worst to its best, accuracy from what always answering the commonest class has.
    """
    worst, best = [], []
    for objective in objectives:
        low, high = objective.best, objective.worthless(commonest_share)
        if objective.known:
            low, high = ranges.get(objective.name, (1.0, 1.0))
            for limit in limits:
                if limit.objective == objective.name and limit.kind == "max":
                    high = limit.value * max(1.0, limit.value / low) ** BEYOND_LIMIT
        # A limit below every sample, or a space of one cost, must still leave a box.
        worst.append(high)
        best.append(low if not objective.known or low < high else high / 10)
    return tuple(worst), tuple(best)
