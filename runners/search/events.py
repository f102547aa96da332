"""What the coordinator tells whoever watches a study."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..trial_record import EVALUATED, Status, TrialRecord
from .study_state import StudyState


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialEvent:
    """Event of a study: a training of a trial has started or ended, or a trial has ended without any."""

    trial: TrialRecord
    """The trial."""
    counts: Mapping[Status, int]
    """Numbers of trials by how they ended, this one included."""
    running: int
    """Number of candidates in training."""
    front_size: int
    """Number of networks on the front."""
    hypervolume: float
    """Hypervolume of the front, from 0 to 1."""
    on_front: bool
    """Whether the trial is on the front."""
    is_again: bool = False
    """Whether it is a second training of a trial that was completed, which confirms the study's metric."""
    has_ended: bool = True
    """Whether the training has ended; False if it has started."""
    metric_again: float | None = None
    """The study's metric of a second training that has ended; None if it failed, and for other events."""

    @property
    def evaluated(self) -> int:
        """Number of trials that count towards what the user has asked for."""
        return sum(self.counts.get(status, 0) for status in EVALUATED)


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochEvent:
    """Event of a study: a trial in training has finished an epoch."""

    trial: int
    """Number of the trial."""
    epoch: int
    """Epochs finished on its rung."""
    epochs: int
    """Epochs of the rung."""
    rung: int
    """Number of the rung that it is on, from 1 on."""
    rungs: int
    """Number of rungs in all."""
    metric: float
    """The study's metric on the validation images after the epoch."""
    done: float
    """Share of the whole training that is over, 0..1: of the images on all rungs, each epoch's counted."""


class Announcer:
    """Tells `on_event` of trials, with how the study stands."""

    def __init__(self, state: StudyState, on_event: Callable[[TrialEvent], None]) -> None:
        self._state, self._on_event = state, on_event

    def tell(
        self,
        trial: TrialRecord,
        running: int,
        *,
        is_again: bool = False,
        has_ended: bool | None = None,
        metric_again: float | None = None,
    ) -> None:
        """Tell of a trial while `running` candidates are in training; see `TrialEvent`."""
        state = self._state
        self._on_event(
            TrialEvent(
                trial=trial,
                counts=dict(state.counts),
                running=running,
                front_size=len(state.front),
                hypervolume=state.hypervolume,
                on_front=trial.number in state.front,
                is_again=is_again,
                has_ended=trial.status != Status.RUNNING if has_ended is None else has_ended,
                metric_again=metric_again,
            )
        )
