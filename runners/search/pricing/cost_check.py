"""What does a candidate cost, and does it keep the limits? It is timed only if what is quicker to know keeps them."""

from collections.abc import Callable, Container, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from objectives.base import Objective, Unsupported, costs_of, known_costs
from objectives.limits import Limit, violated
from search_space.errors import UserError
from search_space.graph import Graph
from search_space.spec import ArchSpec

from .latency_meter import Facts, LatencyMeter, latencies

MAX_MISSES = 200
"""Proposals in a row that a measured limit may reject before the study is given up."""
FIRST_NOTE, NOTE_EVERY = 5, 20
"""After how many rejections in a row that is said, and after how many more it is said again."""


class NoFeasibleCandidate(UserError):
    """Error of limits that no network of the search space keeps."""

    exit_code = 5


@dataclass(frozen=True, slots=True)
class Price:
    """What a candidate costs, as far as it had to be found out."""

    costs: dict[str, float]
    latency: Facts
    """What was measured."""
    broken: str
    """Why it is rejected; empty where it is not."""


def budget_of(objectives: Sequence[Objective], limits: Sequence[Limit], commonest_share: float) -> list[float | None]:
    """Return the most that limits allow of each objective, None without a limit.

    For a metric it is the value from which on it counts: its worst, that of guessing (`commonest_share`) for the
    accuracy, or a limit where that is better.
    """
    found: list[float | None] = []
    for objective in objectives:
        kind = "min" if objective.maximize else "max"
        values = [limit.value for limit in limits if limit.objective == objective.name and limit.kind == kind]
        if not objective.known:
            values.append(objective.worthless(commonest_share))
        found.append(min(values, key=objective.loss, default=None))
    return found


class Pricer:
    """Prices the candidates of one study, whose `figures` are its objectives and what else it limits."""

    def __init__(
        self,
        figures: Sequence[Objective],
        limits: Sequence[Limit],
        meter: LatencyMeter,
        quiet: Callable[[], AbstractContextManager[None]],
        on_note: Callable[[str], None] = lambda note: None,
    ) -> None:
        self._figures = figures
        self._limits = limits
        self._meter = meter
        self._quiet = quiet
        self._on_note = on_note
        self._misses: list[tuple[float, str]] = []

    def price(self, spec: ArchSpec, *, measure: bool, is_proposal: bool = True) -> Price:
        """Return what the network costs.

        Raises DeviceUnavailable, and NoFeasibleCandidate after too many proposals in a row exceed a measured limit.
        """
        graph = spec.build_graph()
        try:
            costs = costs_of(graph, self._figures)
        except Unsupported as error:
            return Price(known_costs(graph), {}, str(error))
        broken = violated(self._limits, costs)
        if broken or not measure:
            return Price(costs, {}, "; ".join(broken))
        latency = self._meter.measure(spec.key, graph, self._quiet)
        costs |= latencies(latency)
        broken = violated(self._limits, costs)
        if is_proposal:
            self._note(costs, broken)
        return Price(costs, latency, "; ".join(broken))

    def predicted_costs(self, graph: Graph, names: Container[str] | None = None) -> dict[str, float]:
        """Costs of a network as far as they are known without timing it, those in `names` alone where they are given.

        Raises Unsupported.
        """
        return costs_of(graph, self._figures, names) | self._meter.predict(graph)

    def expected_costs(self, graph: Graph) -> dict[str, float]:
        """The same with latencies at the lower end of what is predicted, so that few that fit are passed over."""
        return costs_of(graph, self._figures) | self._meter.predict_optimistic(graph)

    def _note(self, costs: dict[str, float], broken: list[str]) -> None:
        """Give up, with the nearest miss, when measured limits reject one candidate after another."""
        if not broken:
            self._misses.clear()
            return
        excess = max(limit.excess(costs) for limit in self._limits if limit.objective in costs)
        self._misses.append((excess, "; ".join(broken)))
        if len(self._misses) >= MAX_MISSES:
            raise NoFeasibleCandidate(
                f"none of {MAX_MISSES} measured networks keeps the limits; nearest: {min(self._misses)[1]}"
            )
        if len(self._misses) == FIRST_NOTE or len(self._misses) % NOTE_EVERY == 0:
            self._on_note(
                f"{len(self._misses)} networks in a row were timed and rejected, the nearest for "
                f"{min(self._misses)[1]}; the search ends after {MAX_MISSES} of them"
            )
