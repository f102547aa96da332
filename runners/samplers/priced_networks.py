"""The networks of a space as a sampler sees them: their parameters, and what each costs before it is trained."""

import math
from collections.abc import Callable, Container, Mapping, Sequence
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from objectives.base import OBJECTIVES, Objective, Unsupported
from objectives.limits import Limit, violated
from search_space.graph import Graph
from search_space.space import FixedTrial, RecordingTrial, SearchSpace
from search_space.spec import ArchSpec

from ..candidate import ACCURACY
from ..trial_record import Status, TrialRecord
from .history import Hint

FEATURES = ("macs", "params", "peak_memory_bytes")
"""Costs whose logarithms may explain an accuracy, whether or not they are objectives."""
CostsOf = Callable[[Graph, Container[str]], Mapping[str, float]]
"""(graph, names) -> those of the costs that are known or predicted before training; may raise Unsupported."""


class Networks:
    """Answers a `FrontSampler`'s questions about the networks of one space."""

    def __init__(
        self,
        space: SearchSpace,
        objectives: Sequence[Objective],
        limits: Sequence[Limit],
        price: CostsOf,
        prior: Callable[[Graph], float] | None = None,
    ) -> None:
        """`prior(graph)` is what earlier trainings say of a network's accuracy, in any unit."""
        self.has_prior = prior is not None
        self._prior = prior
        self._space, self._objectives, self._limits, self._price = space, objectives, limits, price
        self._needed = {*FEATURES, *(each.name for each in objectives), *(limit.objective for limit in limits)}
        self._look = lru_cache(maxsize=8)(self._looked)

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The sampler's parameters, as `SearchSpace.sample` asks for them."""
        recorder = RecordingTrial()
        self._space.sample(recorder)
        return {
            name: IntDistribution(values.start, values.stop - 1, step=values.step)
            if isinstance(values, range)
            else CategoricalDistribution(values)
            for name, values in recorder.questions.items()
        }

    def known(self, params: Mapping[str, Any]) -> list[float | None]:
        """An entry an objective: what the network costs, None for what is learned and for a latency not predicted."""
        _, _, costs = self._look(tuple(params.items()))
        return [costs.get(objective.name) for objective in self._objectives]

    def constraints(self, params: Mapping[str, Any]) -> list[float]:
        """By what share each limit that can be checked is exceeded; positive where the device cannot run it."""
        _, _, costs = self._look(tuple(params.items()))
        if not costs:
            return [math.inf]
        return [limit.excess(costs) for limit in self._limits if limit.objective in costs]

    def features(self, params: Mapping[str, Any]) -> list[float]:
        """log10 of costs (0 where the device cannot run it, so that none is known) and of the number of nodes."""
        _, graph, costs = self._look(tuple(params.items()))
        return [math.log10(costs.get(name, 1.0)) for name in FEATURES] + [math.log10(len(graph.nodes))]

    def expectation(self, params: Mapping[str, Any]) -> float:
        """What earlier trainings say of its accuracy, where there are any."""
        assert self._prior is not None
        _, graph, _ = self._look(tuple(params.items()))
        return self._prior(graph)

    def key(self, params: Mapping[str, Any]) -> str:
        """Parameters that mean one network have one key."""
        return self._look(tuple(params.items()))[0]

    def hint(self, trial: FrozenTrial) -> Hint | None:
        """What a trial that was stopped would probably have reached, and the latency for which one was rejected."""
        record = TrialRecord.of(trial)
        if record.forecast is None and not record.latency:
            return None
        mean, deviation = (record.forecast.mean, record.forecast.deviation) if record.forecast else (math.nan, 0.0)
        values = {**record.costs, ACCURACY: mean}
        return Hint(
            params=trial.params,
            values=[values.get(o.name, math.nan) for o in self._objectives],
            deviations=[deviation if o.name == ACCURACY else 0.0 for o in self._objectives],
        )

    def is_feasible(self, trial: FrozenTrial) -> bool:
        """Whether a trial that ended keeps the limits as they are now, whatever they were when it ended."""
        values = TrialRecord.of(trial).values
        if not values:
            return all(constraint <= 0 for constraint in trial.constraints.values())
        return not violated(self._limits, values)

    def is_in_reach(self, trial: FrozenTrial) -> bool:
        """Whether a trial was rejected for limits that would not reject it now, so that it may be tried."""
        if trial.state != TrialState.PRUNED or (record := TrialRecord.of(trial)).status != Status.REJECTED:
            return False
        costs = record.costs
        return self._runs_on_devices(costs) and not violated(self._limits, costs)

    def _runs_on_devices(self, costs: Mapping[str, float]) -> bool:
        """Whether what can be computed of a network is there; a device that cannot run it leaves its figures out."""
        figures = [*self._objectives, *(OBJECTIVES[limit.objective] for limit in self._limits)]
        return all(figure.compute is None or figure.name in costs for figure in figures)

    def _looked(self, items: tuple[tuple[str, Any], ...]) -> tuple[str, Graph, Mapping[str, float]]:
        spec: ArchSpec = self._space.sample(FixedTrial(dict(items)))
        graph = spec.build_graph()
        try:
            return spec.key, graph, self._price(graph, self._needed)
        except Unsupported:
            return spec.key, graph, {}
