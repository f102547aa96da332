"""A trial of a study: what is written down of it when it starts and when it ends, and read again from the database."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from .candidate import ACCURACY, Epoch, Observation

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial, Trial

_START, _BETWEEN, _END, _LABEL = "candidate", "climbed", "outcome", "label"
"""Attributes of a trial in Optuna's database. Each is written at once, because each write is a transaction."""
NEEDED_WHEN_COMPLETE = (_START, _END)


class Status(StrEnum):
    """State of a trial."""

    RUNNING = "running"
    """In training, or interrupted in it."""
    COMPLETED = "completed"
    """Trained to the end."""
    STOPPED = "stopped"
    """Trained in part, because it could not reach the front."""
    REJECTED = "rejected"
    """Over a limit before any training."""
    DUPLICATE = "duplicate"
    """Of a network that was tried before, whose values it has."""
    FAILED = "failed"
    """Ended by an error."""


EVALUATED = (Status.COMPLETED, Status.STOPPED, Status.FAILED)
"""What counts towards the number of trials that a user asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """What a trial found on one rung, as far as it got there."""

    accuracies: tuple[float, ...]
    """After each epoch; of the last as it would be deployed. None of a training of the user's own."""
    images: int
    """Training images seen, each epoch's counted."""
    seconds: float
    """Duration of training and evaluation."""

    @classmethod
    def of(cls, observation: Observation) -> "Rung":
        """Return the rung whose evaluation found this."""
        points = [point.metric for point in observation.curve[:-1]]
        return cls(
            accuracies=(*points, observation.accuracy) if ACCURACY in observation.metrics else (),
            images=observation.training_images * len(observation.curve),
            seconds=observation.duration_s,
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Rung":
        """Read what `asdict` gave."""
        return cls(**{**data, "accuracies": tuple(data["accuracies"])})


@dataclass(frozen=True, slots=True)
class Forecast:
    """Accuracy that a trial would probably have in the end."""

    mean: float
    """Expected accuracy."""
    deviation: float
    """Standard deviation of a single trial around the mean, that of the mean included."""
    optimistic: float
    """What it stays below with the confidence asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """One trial, as far as it has got."""

    number: int
    """Number of the trial in its study, from 0 on."""
    status: Status
    """How it ended, or that it runs."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """The sampler's parameters."""
    label: str | None = None
    """Name of the reference that the network is."""
    key: str | None = None
    """Key of its spec."""
    spec: Mapping[str, Any] | None = None
    """The spec as plain values, because a study may hold ten thousand."""
    costs: Mapping[str, float] = field(default_factory=dict)
    """Objective -> figure, as far as it was known before training."""
    latency: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Objective -> what was measured."""
    rungs: tuple[Rung, ...] = ()
    """What it found on each rung."""
    reason: str | None = None
    """Why it was rejected, stopped or failed, or of which trial it is a duplicate."""
    values: Mapping[str, float] = field(default_factory=dict)
    """Objective -> figure, of a trial that was completed, or of the one that a duplicate repeats."""
    forecast: Forecast | None = None
    """Of a stopped trial."""
    observation: Observation | None = None
    """What the evaluation of the last rung found."""
    started: datetime | None = None
    """When its training started, in UTC."""
    finished: datetime | None = None
    """When it ended, in UTC."""
    is_told: bool = False
    """Whether Optuna knows that it has ended. What failed for its surroundings is not told, and runs again."""

    @classmethod
    def read(
        cls,
        number: int,
        attributes: Mapping[str, Any],
        *,
        is_told: bool,
        params: Mapping[str, Any],
        started: datetime | None = None,
        finished: datetime | None = None,
    ) -> "TrialRecord":
        """Return the trial whose attributes these are; raises KeyError, TypeError or ValueError for damaged ones.

        Attributes may say how a trial ended before Optuna is told, and a failure that is tried again is never told.
        """
        facts = {**attributes.get(_START, {}), **attributes.get(_BETWEEN, {}), **attributes.get(_END, {})}
        told = Status(facts["status"]) if "status" in facts else None
        is_over = is_told or told == Status.FAILED
        return cls(
            number=number,
            status=(told or Status.FAILED) if is_over else Status.RUNNING,
            params=params,
            label=attributes.get(_LABEL),
            key=facts.get("key"),
            spec=facts.get("spec"),
            costs=facts.get("costs", {}),
            latency=facts.get("latency", {}),
            rungs=tuple(Rung.from_dict(rung) for rung in facts.get("rungs", ())),
            reason=facts.get("reason"),
            values=facts.get("values", {}),
            forecast=Forecast(**facts["forecast"]) if "forecast" in facts else None,
            observation=Observation.from_dict(facts["observation"]) if "observation" in facts else None,
            started=started,
            finished=finished,
            is_told=is_told,
        )

    @classmethod
    def of(cls, trial: "FrozenTrial") -> "TrialRecord":
        """Return one of Optuna's trials."""
        return cls.read(trial.number, trial.user_attrs, is_told=trial.state.is_finished(), params=trial.params)

    @property
    def curve(self) -> tuple[Epoch, ...]:
        """Its learning curve, on the last rung that it reached; empty where it was not trained."""
        return () if self.observation is None else self.observation.curve

    @property
    def duration_s(self) -> float:
        """Seconds of training and evaluation, on all rungs; NaN where it was not trained."""
        if self.rungs:
            return sum(rung.seconds for rung in self.rungs)
        return math.nan if self.observation is None else self.observation.duration_s

    @property
    def figures(self) -> Mapping[str, float]:
        """Objective -> what is known of it: the values, or the costs where there are none."""
        return self.values or self.costs


def started_record(
    trial: "Trial",
    key: str,
    spec: Mapping[str, Any],
    costs: Mapping[str, float],
    latency: Mapping[str, Mapping[str, Any]],
) -> TrialRecord:
    """Return the record of a trial that starts, or starts anew: nothing of an earlier attempt is in it."""
    return TrialRecord(
        number=trial.number,
        status=Status.RUNNING,
        params=trial.params,
        label=trial.user_attrs.get(_LABEL),
        key=key,
        spec=spec,
        costs=costs,
        latency=latency,
    )


def reference_attributes(label: str | None) -> dict[str, Any]:
    """Return the attributes of a trial that is enqueued, of a named reference where there is a label."""
    return {_LABEL: label} if label else {}


def write_start(trial: "Trial", record: TrialRecord) -> None:
    """Store the network of a trial and what it costs, and forget how an earlier attempt ended."""
    facts = {"key": record.key, "spec": record.spec, "costs": record.costs, "latency": record.latency}
    trial.set_user_attr(_START, facts)
    if _END in trial.user_attrs:
        trial.set_user_attr(_END, {})


def write_rungs(trial: "Trial", rungs: Sequence[Rung]) -> None:
    """Store what a trial found on the rungs that it has left behind, so that it goes on from there."""
    trial.set_user_attr(_BETWEEN, {"rungs": [asdict(rung) for rung in rungs]})


def rungs_below(trial: "Trial") -> list[Rung]:
    """Return what `write_rungs` stored.

    The rungs of the end are others: those may be stored, with the last rung among them, without the end being told.
    """
    return [Rung.from_dict(rung) for rung in trial.user_attrs.get(_BETWEEN, {}).get("rungs", [])]


def write_end(trial: "Trial", record: TrialRecord) -> None:
    """Store how a trial ended, before Optuna is told."""
    facts = {
        "status": record.status.value,
        "reason": record.reason,
        "values": dict(record.values) or None,
        "forecast": None if record.forecast is None else asdict(record.forecast),
        "observation": None if record.observation is None else record.observation.to_dict(),
        "rungs": [asdict(rung) for rung in record.rungs] or None,
    }
    trial.set_user_attr(_END, {name: fact for name, fact in facts.items() if fact is not None})
