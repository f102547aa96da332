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
    """Networks of one space as a sampler sees them: their parameters, and what each costs before it is trained.

    Parameters
    ----------
    space
        The search space.
    objectives
        Objectives of the study.
    limits
        Limits of the study.
    price
        Function that returns the costs of a graph that are known or predicted before training.
    prior
        Function from a graph to the accuracy that earlier trainings predict, in any unit; None without any.
    """

    def __init__(
        self,
        space: SearchSpace,
        objectives: Sequence[Objective],
        limits: Sequence[Limit],
        price: CostsOf,
        prior: Callable[[Graph], float] | None = None,
    ) -> None:
        self.has_prior = prior is not None
        """Whether earlier trainings predict accuracies."""
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
        """Return what a network costs, an entry for each objective: None for a metric or an unknown latency.

        Parameters
        ----------
        params
            The sampler's parameters of a network: name -> value.
        """
        _, _, costs = self._look(tuple(params.items()))
        return [costs.get(objective.name) for objective in self._objectives]

    def constraints(self, params: Mapping[str, Any]) -> list[float]:
        """Return the share by which each limit that can be checked is exceeded; infinite if a device cannot run it.

        Parameters
        ----------
        params
            The sampler's parameters of a network: name -> value.
        """
        _, _, costs = self._look(tuple(params.items()))
        if not costs:
            return [math.inf]
        return [limit.excess(costs) for limit in self._limits if limit.objective in costs]

    def features(self, params: Mapping[str, Any]) -> list[float]:
        """Return log10 of the costs and of the number of nodes, from which a sampler may learn the accuracy.

        The costs count as 1 if a device cannot run the network, because none is known then.

        Parameters
        ----------
        params
            The sampler's parameters of a network: name -> value.
        """
        _, graph, costs = self._look(tuple(params.items()))
        return [math.log10(costs.get(name, 1.0)) for name in FEATURES] + [math.log10(len(graph.nodes))]

    def expectation(self, params: Mapping[str, Any]) -> float:
        """Return the accuracy that earlier trainings predict; only if `has_prior`.

        Parameters
        ----------
        params
            The sampler's parameters of a network: name -> value.
        """
        assert self._prior is not None
        _, graph, _ = self._look(tuple(params.items()))
        return self._prior(graph)

    def key(self, params: Mapping[str, Any]) -> str:
        """Return the key of a network, which is the same for all parameters that mean the same network.

        Parameters
        ----------
        params
            The sampler's parameters of a network: name -> value.
        """
        return self._look(tuple(params.items()))[0]

    def hint(self, trial: FrozenTrial) -> Hint | None:
        """Return what a stopped trial would probably have reached, or the latency that rejected one; None for others.

        Parameters
        ----------
        trial
            Trial of Optuna.
        """
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
        """Return whether a trial that ended keeps the limits as they are now, whatever they were when it ended.

        Parameters
        ----------
        trial
            Trial of Optuna.
        """
        values = TrialRecord.of(trial).values
        if not values:
            return all(constraint <= 0 for constraint in trial.constraints.values())
        return not violated(self._limits, values)

    def is_in_reach(self, trial: FrozenTrial) -> bool:
        """Return whether a trial was rejected for limits that would not reject it now, so that it may be tried.

        Parameters
        ----------
        trial
            Trial of Optuna.
        """
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
