"""What is an objective? A named figure of a network with unit and direction, known before training or not.

One file each: `@cost` registers a function of the graph, `OBJECTIVES.add` anything else. `NAME@DEVICE` is the objective
NAME on a device, which `OBJECTIVES.add_on_devices` makes. `metric` describes what a training measures.
"""

import re
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
    worst: float | None = None
    """Of a metric: its value for a network that has learned nothing. None where the images of a study tell it."""
    best: float = 1.0
    """Of a metric: its value for a perfect network, or the best that can be hoped for."""

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
        self._metrics: dict[str, Objective] = {}
        """What studies of this process measure by trainings of their own; never listed."""

    def add_on_devices(self, name: str, make: Callable[[str], Objective]) -> None:
        """Have `make` answer for NAME@DEVICE, given the device; it raises UserError for an unknown one."""
        self._on_devices[name] = make

    def accept(self, metric: Objective) -> None:
        """Have a metric of a user's own training known by its name; raises UserError for the name of another figure.

        A metric of the same name that was accepted before gives way, as when its module is loaded anew.
        """
        if metric.known:
            raise UserError(f"metric '{metric.name}': must be learned; its source is '{metric.source}'")
        if metric.name in self and metric.name not in self._metrics and self[metric.name] != metric:
            raise UserError(f"metric '{metric.name}': is the name of a figure that resfront has; choose another")
        self._metrics[metric.name] = metric

    def __getitem__(self, name: str) -> Objective:
        """The objective called `name`; raises UserError with the closest known name."""
        if name in self._metrics:
            return self._metrics[name]
        base, separator, device = name.partition("@")
        if not separator or base not in self:
            return super().__getitem__(name)
        if base not in self._on_devices:
            raise UserError(f"objective '{name}': {base} does not depend on a device; write '{base}'")
        return self._on_devices[base](device)

    def __contains__(self, name: object) -> bool:
        """Whether `self[name]` answers, on a device too."""
        if not isinstance(name, str) or "@" not in name:
            return name in self._metrics or super().__contains__(name)
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


def metric(
    name: str, *, label: str, unit: str, direction: Direction, worst: float, best: float, note: str = ""
) -> Objective:
    """Describe a figure that a training of a user's own measures, and that a study may optimise or limit.

    Parameters
    ----------
    name
        Its name in configurations and tables, with the unit, for example ``angle_error_deg``.
    label
        For axes and table heads, with the unit in brackets: ``Angle error (degrees)``.
    unit
        Behind each value; ``fraction`` is shown in per cent.
    direction
        ``minimize`` or ``maximize``.
    worst
        The value of a network that has learned nothing: what is no better counts as nothing.
    best
        The value of a perfect network, or the best that can be hoped for. Positive where it is minimised, because
        what is minimised is compared in logarithms.

    Raises
    ------
    UserError
        Where a value does not fit the direction, or the name cannot be a key of a configuration.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UserError(f"metric {name!r}: a name has lower-case letters, digits and '_', and begins with a letter")
    if direction not in ("minimize", "maximize"):
        raise UserError(f"metric {name}: direction must be 'minimize' or 'maximize', not {direction!r}")
    if not (np.isfinite([worst, best]).all() and (best > worst if direction == "maximize" else 0 < best < worst)):
        order = "worst < best" if direction == "maximize" else "0 < best < worst"
        raise UserError(f"metric {name}: what is to be {direction}d needs {order}, not worst {worst:g}, best {best:g}")
    return Objective(
        name=name, label=label, unit=unit, direction=direction, source="trained", note=note, worst=worst, best=best
    )


def objectives_named(names: Iterable[str]) -> tuple[Objective, ...]:
    """The objectives called `names`; raises UserError for an unknown name or one given twice."""
    found = tuple(OBJECTIVES[name] for name in names)
    canonical = [objective.name for objective in found]
    for name in canonical:
        if canonical.count(name) > 1:
            raise UserError(f"objective '{name}' is given twice")
    return found


def metric_of(objectives: Iterable[Objective]) -> Objective:
    """Return the metric that a study is about: the first that is learned, one that is maximised before others.

    Raises ValueError where none is learned.
    """
    return min((each for each in objectives if not each.known), key=lambda each: not each.maximize)


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
