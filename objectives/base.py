"""What is an objective? A named figure of a network with unit and direction, known before training or not.

One file each: `@cost` registers a function of the graph, `OBJECTIVES.add` anything else. `NAME@DEVICE` is the objective
NAME on a device, which `OBJECTIVES.add_on_devices` makes.
"""

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from search_space.errors import UserError
from search_space.graph import Graph
from search_space.named_registry import Registry

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Direction = Literal["minimize", "maximize"]
Source = Literal["exact", "measured", "estimated", "trained"]
"""How a figure comes about: exactly from the graph, timed on a device, from a device's data sheet, or by training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """One figure that a study can optimise, constrain or report."""

    name: str
    label: str
    """For axes and table heads, with the unit."""
    unit: str
    direction: Direction
    source: Source
    compute: Callable[[Graph], float] | None = None
    """The figure from the graph alone: exact or estimated. May raise Unsupported."""
    device: str | None = None
    """Where it is measured or for what it is estimated."""
    note: str = ""
    """What it is, for places where it is shown, as a clause; empty where the label says it."""

    @property
    def known(self) -> bool:
        """Known before training."""
        return self.source != "trained"

    @property
    def maximize(self) -> bool:
        return self.direction == "maximize"

    def loss(self, value: float) -> float:
        """What the front's geometry (hypervolume, knee) minimises: log10 of a cost, minus an accuracy.

        Costs span orders of magnitude, so equal ratios count alike, as on the log axis of a plot.
        """
        return -value if self.maximize else float(log_cost(value))


def log_cost(value: "ArrayLike") -> "NDArray[np.float64]":
    """log10 of costs, of 0 as well."""
    return np.asarray(np.log10(np.maximum(value, 1e-12)))


class Unsupported(UserError):
    """A device cannot run the network; says which, why and by how much."""


class ObjectiveRegistry(Registry[Objective]):
    """Objectives by name, and by NAME@DEVICE where an objective depends on a device."""

    def __init__(self) -> None:
        folders = ("objectives.costs", "objectives.device_costs", "objectives.learned")
        super().__init__("objective", *folders, plugins="objectives")
        self._on_devices: dict[str, Callable[[str], Objective]] = {}

    def add_on_devices(self, name: str, make: Callable[[str], Objective]) -> None:
        """Have `make` answer for NAME@DEVICE, given the device; it raises UserError for an unknown one."""
        self._on_devices[name] = make

    def __getitem__(self, name: str) -> Objective:
        """The objective called `name`; raises UserError with the closest known name."""
        base, separator, device = name.partition("@")
        if not separator or base not in self:
            return super().__getitem__(name)
        if base not in self._on_devices:
            raise UserError(f"objective '{name}': {base} does not depend on a device; write '{base}'")
        return self._on_devices[base](device)

    def __contains__(self, name: object) -> bool:
        """Whether `self[name]` answers, on a device too."""
        if not isinstance(name, str) or "@" not in name:
            return super().__contains__(name)
        try:
            self[name]
        except UserError:
            return False
        return True


OBJECTIVES = ObjectiveRegistry()


def cost(
    name: str, *, label: str, unit: str, note: str = ""
) -> Callable[[Callable[[Graph], int]], Callable[[Graph], int]]:
    """Register the decorated function of the graph as an exact cost to minimise."""

    def register(compute: Callable[[Graph], int]) -> Callable[[Graph], int]:
        objective = Objective(
            name=name, label=label, unit=unit, direction="minimize", source="exact", compute=compute, note=note
        )
        OBJECTIVES.add(name, objective)
        return compute

    return register


def objectives_named(names: Iterable[str]) -> tuple[Objective, ...]:
    """The objectives called `names`; raises UserError for an unknown name or one given twice."""
    found = tuple(OBJECTIVES[name] for name in names)
    canonical = [objective.name for objective in found]
    for name in canonical:
        if canonical.count(name) > 1:
            raise UserError(f"objective '{name}' is given twice")
    return found


def known_costs(graph: Graph, names: Container[str] | None = None) -> dict[str, float]:
    """Every cost that the graph alone determines exactly, by name; of those in `names` alone where they are given."""
    return {
        name: compute(graph)
        for name in OBJECTIVES
        if (names is None or name in names) and (compute := OBJECTIVES[name].compute) is not None
    }


def costs_of(graph: Graph, objectives: Iterable[Objective], names: Container[str] | None = None) -> dict[str, float]:
    """`known_costs`, and what of `objectives` is estimated; raises Unsupported where a device cannot run it."""
    estimated = {o.name: o.compute(graph) for o in objectives if o.source == "estimated" and o.compute is not None}
    return known_costs(graph, names) | estimated
