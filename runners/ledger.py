"""What does a running study know? Every network it has tried, by key, and the front among them."""

from collections.abc import Sequence
from dataclasses import dataclass

from optuna.trial import FrozenTrial

from objectives.base import Objective
from objectives.constraints import Limit, violated
from objectives.pareto import hypervolume, losses, pareto_mask


@dataclass(slots=True)
class Counts:
    """How many trials ended how."""

    completed: int = 0
    rejected: int = 0
    duplicate: int = 0
    failed: int = 0

    @property
    def evaluated(self) -> int:
        """What counts towards the study's number of trials."""
        return self.completed + self.failed


@dataclass(frozen=True, slots=True)
class Finished:
    """A completed trial with all its values."""

    trial: int
    values: dict[str, float]
    feasible: bool


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
        self.front: set[int] = set()
        self.hypervolume = 0.0
        self._objectives = objectives
        self._limits = limits
        self._box = losses(box, objectives)

    def knows(self, key: str) -> bool:
        """Whether that network has been tried to its end."""
        return key in self.finished or key in self.failed

    def complete(self, trial: int, key: str, values: dict[str, float]) -> set[int]:
        """Note a completed trial; the trials that it drives from the front."""
        self._add(trial, key, values)
        return self._update_front()

    def fail(self, key: str, reason: str) -> None:
        """Note a failed trial."""
        self.failed[key] = reason
        self.counts.failed += 1

    def restore(self, trials: Sequence[FrozenTrial]) -> None:
        """Take up finished trials as the database holds them."""
        for trial in trials:
            attrs = trial.user_attrs
            status = attrs.get("status", "failed")
            if status == "completed":
                self._add(trial.number, attrs["key"], dict(attrs["values"]))
            elif status == "failed":
                self.fail(attrs.get("key", f"trial {trial.number}"), attrs.get("reason", "failed"))
            else:
                setattr(self.counts, status, getattr(self.counts, status) + 1)
        if self.finished:
            self._update_front()

    def _add(self, trial: int, key: str, values: dict[str, float]) -> None:
        self.finished[key] = Finished(trial, values, feasible=not violated(self._limits, values))
        self.counts.completed += 1

    def _update_front(self) -> set[int]:
        entries = list(self.finished.values())
        loss = losses([[entry.values[o.name] for o in self._objectives] for entry in entries], self._objectives)
        mask = pareto_mask(loss, [entry.feasible for entry in entries])
        front = {entry.trial for entry, on_front in zip(entries, mask, strict=True) if on_front}
        left, self.front = self.front - front, front
        self.hypervolume = hypervolume(loss[mask], *self._box)
        return left
