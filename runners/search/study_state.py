"""What does a running study know? Every network it has tried, by key, and the front among them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from optuna.trial import FrozenTrial

from objectives.base import Objective
from objectives.limits import Limit, violated
from objectives.pareto import GrowingFront, losses, pareto_mask

ACCURACY = "accuracy"


class HasAttributes(Protocol):
    """A trial as Optuna or `studies.study.database` reads it."""

    @property
    def user_attrs(self) -> Mapping[str, Any]: ...


@dataclass(slots=True)
class Counts:
    """How many trials ended how."""

    completed: int = 0
    rejected: int = 0
    duplicate: int = 0
    failed: int = 0
    stopped: int = 0
    """Trained in part, because they could not reach the front."""

    @property
    def evaluated(self) -> int:
        """What counts towards the study's number of trials."""
        return self.completed + self.failed + self.stopped


@dataclass(frozen=True, slots=True)
class Finished:
    """A completed trial with all its values."""

    trial: int
    values: dict[str, float]
    feasible: bool


@dataclass(frozen=True, slots=True)
class Hurdle:
    """What a trial must reach in the end to be worth its training."""

    accuracy: float
    set_by: str
    """In words that may follow an 'and'."""


def facts_of(trial: HasAttributes) -> dict[str, Any]:
    """What the coordinator has written down of a trial, as far as it is there.

    From its start: key, spec, costs, latency (what was measured). From below the last rung: rungs. From its end:
    status, reason, values, observation, and of a stopped one its forecast. Of a reference: label.
    """
    attrs = trial.user_attrs
    facts = {**attrs.get("candidate", {}), **attrs.get("climbed", {}), **attrs.get("outcome", {})}
    return {**facts, "label": attrs["label"]} if "label" in attrs else facts


class Ledger:
    """Grows with each trial that ends; the coordinator alone writes in it."""

    def __init__(
        self,
        objectives: Sequence[Objective],
        limits: Sequence[Limit],
        box: tuple[Sequence[float], Sequence[float]],
    ) -> None:
        self.counts = Counts()
        self.finished: dict[str, Finished] = {}
        self.failed: dict[str, str] = {}
        """Key -> reason."""
        self.stopped: dict[str, str] = {}
        """Key -> reason."""
        self._objectives = objectives
        self._limits = limits
        self._front = GrowingFront(*losses(box, objectives))

    @property
    def front(self) -> set[int]:
        """Trials on the front."""
        return set(self._front.members)

    @property
    def front_without_limits(self) -> set[int]:
        """Trials that would be on the front if there were no limits."""
        trials = list(self.finished.values())
        values = [[one.values[objective.name] for objective in self._objectives] for one in trials]
        mask = pareto_mask(losses(values, self._objectives)).tolist() if values else []
        return {one.trial for one, is_on in zip(trials, mask, strict=True) if is_on}

    @property
    def hypervolume(self) -> float:
        """Of the front, as a share of the study's box."""
        return self._front.hypervolume

    def best(self, again: Mapping[int, Sequence[float]]) -> list[int]:
        """Trials of the networks that keep the limits, the most accurate first, of equal ones the cheaper.

        `again` has accuracies of further trainings by trial; the mean counts.
        """
        costs = [objective for objective in self._objectives if objective.name != ACCURACY]

        def rank(one: Finished) -> tuple[float, ...]:
            accuracies = [one.values[ACCURACY], *again.get(one.trial, ())]
            return -sum(accuracies) / len(accuracies), *(cost.loss(one.values[cost.name]) for cost in costs)

        kept = [finished for finished in self.finished.values() if finished.feasible]
        return [finished.trial for finished in sorted(kept, key=rank)]

    @property
    def values(self) -> dict[int, dict[str, float]]:
        """Values of each completed trial, by objective."""
        return {finished.trial: finished.values for finished in self.finished.values()}

    def knows(self, key: str) -> bool:
        """Whether that network has been tried to its end."""
        return key in self.finished or key in self.failed or key in self.stopped

    def complete(self, trial: int, key: str, values: dict[str, float]) -> set[int]:
        """Note a completed trial; the trials that it drives from the front."""
        feasible = not violated(self._limits, values)
        self.finished[key] = Finished(trial, values, feasible)
        self.counts.completed += 1
        if not feasible:
            return set()
        row = losses([[values[objective.name] for objective in self._objectives]], self._objectives)[0]
        return self._front.offer(trial, row) or set()

    def fail(self, key: str, reason: str) -> None:
        """Note a failed trial."""
        self.failed[key] = reason
        self.counts.failed += 1

    def stop(self, key: str, reason: str) -> None:
        """Note a trial that was stopped early."""
        self.stopped[key] = reason
        self.counts.stopped += 1

    def hurdle(self, costs: Mapping[str, float]) -> Hurdle | None:
        """For a network of these costs; None where anything will do.

        The best accuracy of a feasible network whose objectives cost no more, or a limit on the accuracy.
        """
        others = [objective.name for objective in self._objectives if objective.name != ACCURACY]
        found = [
            Hurdle(limit.value, f"the limit is {limit}")
            for limit in self._limits
            if limit.objective == ACCURACY and limit.kind == "min"
        ]
        beaten = [
            finished.values[ACCURACY]
            for finished in self.finished.values()
            if finished.feasible and all(finished.values[name] <= costs[name] for name in others)
        ]
        if beaten:
            found.append(Hurdle(max(beaten), f"the front has {100 * max(beaten):.1f} % at no higher cost"))
        return max(found, key=lambda hurdle: hurdle.accuracy, default=None)

    def restore(self, trials: Sequence[FrozenTrial]) -> None:
        """Take up finished trials as the database holds them."""
        for trial in trials:
            facts = facts_of(trial)
            status = facts.get("status", "failed")
            if status == "completed":
                self.complete(trial.number, facts["key"], dict(facts["values"]))
            elif status == "failed":
                self.fail(facts.get("key", f"trial {trial.number}"), facts.get("reason", "failed"))
            elif status == "stopped":
                self.stop(facts["key"], facts["reason"])
            else:
                setattr(self.counts, status, getattr(self.counts, status) + 1)
