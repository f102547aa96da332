"""What is an objective? A named figure of a network with unit and direction, known before training or not.

One file each: `@cost` registers a function of the graph, `OBJECTIVES.add` anything else. `NAME@DEVICE` is the objective
NAME on a device, which `OBJECTIVES.add_on_devices` makes.
"""

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, fields
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
    """One figure of a network that a study can optimise, limit or report."""

    name: str
    """Name with its unit, for example ``latency_ms`` or ``latency_ms@rpi4``."""
    label: str
    """Name on axes and in the heads of tables, with the unit."""
    unit: str
    """Unit of its values, for example ``ms``; ``fraction`` for an accuracy."""
    direction: Direction
    """``minimize`` or ``maximize``."""
    source: Source
    """How a value comes about: ``exact``, ``measured``, ``estimated`` or ``trained``."""
    compute: Callable[[Graph], float] | None = None
    """Function that computes an exact or estimated value from the graph, and may raise Unsupported; None for others."""
    device: str | None = None
    """Device on which it is measured or for which it is estimated."""
    note: str = ""
    """Explanation as a clause, for places where it is shown; empty if the label says enough."""
    worst: float | None = None
    """Of a metric: its value for a network that has learned nothing. None if the images of a study tell it."""
    best: float = 1.0
    """Of a metric: its value for a perfect network, or the best that can be hoped for."""

    @property
    def known(self) -> bool:
        """Whether it is known before training."""
        return self.source != "trained"

    @property
    def maximize(self) -> bool:
        """Whether more of it is better."""
        return self.direction == "maximize"

    def worthless(self, commonest_share: float) -> float:
        """Return the value of a metric for a network that has learned nothing.

        Parameters
        ----------
        commonest_share
            Share of the images that are of the commonest class: the accuracy of always answering that class.

        Returns
        -------
        float
            `worst`; `commonest_share` for the accuracy.
        """
        return commonest_share if self.worst is None else self.worst

    def loss(self, value: float) -> float:
        """Return what the hypervolume and the knee of a front minimise: log10 of a cost, or minus an accuracy.

        Costs span orders of magnitude, so equal ratios count alike, as on the log axis of a plot.

        Parameters
        ----------
        value
            Value of the objective, in its unit.

        Returns
        -------
        float
            The loss; less is better.
        """
        return -value if self.maximize else float(log_cost(value))


def log_cost(value: "ArrayLike") -> "NDArray[np.float64]":
    """log10 of costs, of 0 as well."""
    return np.asarray(np.log10(np.maximum(value, 1e-12)))


class Unsupported(UserError):
    """Error of a network that a device cannot run; the message names the device and the reason."""


class ObjectiveRegistry(Registry[Objective]):
    """Registry of objectives by name, and by ``NAME@DEVICE`` for those that depend on a device."""

    def __init__(self) -> None:
        folders = ("objectives.costs", "objectives.device_costs", "objectives.learned")
        super().__init__("objective", *folders, plugins="objectives")
        self._on_devices: dict[str, Callable[[str], Objective]] = {}
        self._metrics: dict[str, Objective] = {}
        """What studies of this process measure by trainings of their own; never listed."""

    def add_on_devices(self, name: str, make: Callable[[str], Objective]) -> None:
        """Register a function that makes the objectives ``NAME@DEVICE``.

        Parameters
        ----------
        name
            Name of the objective without a device.
        make
            Function from the name of a device to the objective; it raises UserError for an unknown device.
        """
        self._on_devices[name] = make

    def accept(self, metric: Objective) -> None:
        """Make a metric of a user's own training known by its name.

        Parameters
        ----------
        metric
            The metric, as the function `metric` describes it.

        Raises
        ------
        UserError
            If it is the name of a figure that resfront has, or of a metric that this process knows with another
            description: what a value means must not change while a process shows it.
        """
        if metric.known:
            raise UserError(f"metric '{metric.name}': must be learned; its source is '{metric.source}'")
        if metric.name in self and metric.name not in self._metrics and self[metric.name] != metric:
            raise UserError(f"metric '{metric.name}': is the name of a figure that resfront has; choose another")
        known = self._metrics.setdefault(metric.name, metric)
        if changed := [f.name for f in fields(Objective) if getattr(known, f.name) != getattr(metric, f.name)]:
            was, now = (getattr(each, changed[0]) for each in (known, metric))
            raise UserError(
                f"metric '{metric.name}': its {changed[0]} is {was!r} in one place and {now!r} in another; give one of "
                "them another name (or start the program anew, where its module has changed)"
            )

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
"""All objectives by name, those of plug-ins included: ``OBJECTIVES["latency_ms@rpi4"]``; iterating gives the names."""


def cost(
    name: str, *, label: str, unit: str, note: str = ""
) -> Callable[[Callable[[Graph], int]], Callable[[Graph], int]]:
    """Register the decorated function, from a graph to a whole number, as an exact cost to minimise.

    Parameters
    ----------
    name
        Name of the objective, with its unit.
    label
        Name on axes and in the heads of tables, with the unit.
    unit
        Unit of the values. Amounts of a unit other than ``ms`` and ``fraction`` may have the suffixes k, M, G, Ki, Mi
        and Gi.
    note
        Explanation as a clause, for places where the objective is shown; empty if the label says enough.

    Returns
    -------
    Callable
        Decorator of the function.
    """

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
    """Compute the costs that the graph of a network determines exactly.

    Parameters
    ----------
    graph
        The network, for example ``spec.build_graph()``.
    names
        Costs to compute; by default all.

    Returns
    -------
    dict
        Name of the cost -> value, in the unit of the name: ``macs``, ``params``, ``file_bytes``, ``packed_bytes``,
        ``bops``, ``peak_memory_bytes``, and those of plug-ins.
    """
    return {
        name: compute(graph)
        for name in OBJECTIVES
        if (names is None or name in names) and (compute := OBJECTIVES[name].compute) is not None
    }


def costs_of(graph: Graph, objectives: Iterable[Objective], names: Container[str] | None = None) -> dict[str, float]:
    """`known_costs`, and what of `objectives` is estimated; raises Unsupported where a device cannot run it."""
    estimated = {o.name: o.compute(graph) for o in objectives if o.source == "estimated" and o.compute is not None}
    return known_costs(graph, names) | estimated
