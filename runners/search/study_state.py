"""The state of a running study: every network that it has tried, by key, and the front among them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from objectives.base import Objective
from objectives.limits import Limit, violated
from objectives.metrics import metric_of
from objectives.pareto import GrowingFront, losses, pareto_mask

from ..candidate import ACCURACY
from ..early_stopping.rungs import Hurdle
from ..trial_record import EVALUATED, Status, TrialRecord


class StudyState:
    """Grows with each trial that ends; the coordinator alone writes in it."""

    def __init__(
        self,
        objectives: Sequence[Objective],
        limits: Sequence[Limit],
        box: tuple[Sequence[float], Sequence[float]],
    ) -> None:
        self.counts: Counter[Status] = Counter()
        """Numbers of trials by how they ended."""
        self.trials: dict[str, TrialRecord] = {}
        """The trial that has evaluated each network, by key, without its observation."""
        self._kept: list[TrialRecord] = []
        """Completed trials that keep the limits."""
        self._objectives = objectives
        self._metric = metric_of(objectives)
        self._limits = limits
        self._front = GrowingFront(*losses(box, objectives))

    @property
    def evaluated(self) -> int:
        """Number of trials that count towards what the user has asked for."""
        return sum(self.counts[status] for status in EVALUATED)

    @property
    def completed(self) -> list[TrialRecord]:
        """The trials that were trained to the end."""
        return [trial for trial in self.trials.values() if trial.status == Status.COMPLETED]

    @property
    def front(self) -> set[int]:
        """Trials on the front."""
        return set(self._front.members)

    @property
    def front_without_limits(self) -> set[int]:
        """Trials that would be on the front if there were no limits."""
        trials = self.completed
        values = [[trial.values[objective.name] for objective in self._objectives] for trial in trials]
        mask = pareto_mask(losses(values, self._objectives)).tolist() if values else []
        return {trial.number for trial, is_on in zip(trials, mask, strict=True) if is_on}

    @property
    def hypervolume(self) -> float:
        """Of the front, as a share of the study's box."""
        return self._front.hypervolume

    def best(self, again: Mapping[int, Sequence[float]]) -> list[int]:
        """Trials of the networks that keep the limits, the best by the metric first, of equal ones the cheaper.

        `again` has the metric of further trainings by trial; the mean counts.
        """
        metric = self._metric
        others = [objective for objective in self._objectives if objective != metric]

        def rank(trial: TrialRecord) -> tuple[float, ...]:
            found = [trial.values[metric.name], *again.get(trial.number, ())]
            return metric.loss(sum(found) / len(found)), *(other.loss(trial.values[other.name]) for other in others)

        return [trial.number for trial in sorted(self._kept, key=rank)]

    def add(self, trial: TrialRecord) -> set[int]:
        """Take up a trial that has ended, and return the trials that it drives from the front."""
        self.counts[trial.status] += 1
        if trial.status not in EVALUATED:
            return set()
        trial = replace(trial, observation=None)
        self.trials[trial.key or f"trial {trial.number}"] = trial
        if trial.status != Status.COMPLETED or violated(self._limits, trial.values):
            return set()
        self._kept.append(trial)
        row = losses([[trial.values[objective.name] for objective in self._objectives]], self._objectives)[0]
        return self._front.offer(trial.number, row) or set()

    def hurdle(self, costs: Mapping[str, float]) -> Hurdle | None:
        """For a network of these costs; None where anything will do, and where something else than accuracy is learned.

        The best accuracy of a feasible network whose objectives cost no more, or a limit on the accuracy.
        """
        if self._metric.name != ACCURACY:
            return None
        others = [objective.name for objective in self._objectives if objective.name != ACCURACY]
        found = [
            Hurdle(limit.value, f"the limit is {limit}")
            for limit in self._limits
            if limit.objective == ACCURACY and limit.kind == "min"
        ]
        beaten = [
            trial.values[ACCURACY] for trial in self._kept if all(trial.values[name] <= costs[name] for name in others)
        ]
        if beaten:
            found.append(Hurdle(max(beaten), f"the front has {100 * max(beaten):.1f} % at no higher cost"))
        return max(found, key=lambda hurdle: hurdle.accuracy, default=None)
