"""What is an objective? A named figure of a network with unit and direction, known before training or not.

One file each: `@cost` registers a function of the graph, `OBJECTIVES.add` anything else.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from search_space.errors import UserError
from search_space.graph import Graph
from search_space.registry import Registry

Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """One figure that a study can optimise, constrain or report."""

    name: str
    label: str
    """For axes and table heads, with the unit."""
    unit: str
    direction: Direction
    compute: Callable[[Graph], float] | None = None
    """The exact figure from the graph; None where only an evaluation can tell."""

    @property
    def known(self) -> bool:
        """Known before training."""
        return self.compute is not None

    @property
    def maximize(self) -> bool:
        return self.direction == "maximize"

    def loss(self, value: float) -> float:
        """What the front's geometry (hypervolume, knee) minimises: log10 of a cost, minus an accuracy.

        Costs span orders of magnitude, so equal ratios count alike, as on the log axis of a plot.
        """
        return -value if self.maximize else math.log10(max(value, 1e-12))


OBJECTIVES: Registry[Objective] = Registry("objective", "objectives")


def cost(name: str, *, label: str, unit: str) -> Callable[[Callable[[Graph], int]], Callable[[Graph], int]]:
    """Register the decorated function of the graph as a cost to minimise."""

    def register(compute: Callable[[Graph], int]) -> Callable[[Graph], int]:
        OBJECTIVES.add(name, Objective(name=name, label=label, unit=unit, direction="minimize", compute=compute))
        return compute

    return register


def objectives_named(names: Iterable[str]) -> tuple[Objective, ...]:
    """The objectives called `names`; raises UserError for an unknown name or one given twice."""
    names = tuple(names)
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"objective '{name}' is given twice")
    return tuple(OBJECTIVES[name] for name in names)


def known_costs(graph: Graph) -> dict[str, float]:
    """Every cost that the graph alone determines, by name."""
    return {name: compute(graph) for name in OBJECTIVES if (compute := OBJECTIVES[name].compute) is not None}
