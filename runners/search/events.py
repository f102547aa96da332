"""What the coordinator tells whoever watches a study."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..trial_record import EVALUATED, Status, TrialRecord
from .study_state import StudyState


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialEvent:
    """A training of a trial has started or ended, or a trial has ended without any."""

    trial: TrialRecord
    counts: Mapping[Status, int]
    """Numbers of trials by how they ended, this one included."""
    running: int
    """Candidates in training."""
    front_size: int
    hypervolume: float
    on_front: bool
    is_again: bool = False
    """Whether it is a second training of a trial that was completed, which confirms the study's metric."""
    has_ended: bool = True
    metric_again: float | None = None
    """The study's metric of a second training that has ended; None where it failed."""

    @property
    def evaluated(self) -> int:
        """Number of trials that count towards what the user has asked for."""
        return sum(self.counts.get(status, 0) for status in EVALUATED)


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochEvent:
    """A trial in training has finished an epoch."""

    trial: int
    epoch: int
    """Epochs finished on its rung."""
    epochs: int
    """Epochs of the rung."""
    rung: int
    """On which it is; 1 is the first."""
    rungs: int
    metric: float
    """The study's metric on the validation images, after that epoch."""
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
