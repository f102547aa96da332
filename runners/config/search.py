"""How candidates are proposed, and when a study ends."""

from typing import Annotated

from pydantic import Field

from search_space.errors import UserError
from search_space.settings import settings

from .ranges import MOST_SECONDS, MOST_TRIALS, Seed

CONFIRMED, TRIALS_TO_CONFIRM = 2, 16
"""Networks that are trained once more at the end of a study, and the trials from which on."""
SHIPPED, NO_STUDY = "shipped", "none"
"""Stand for the trainings that the project ships, and for leaving them out, among names of studies."""
LEARNING_SAMPLER = "front"
"""The one that knows from earlier studies what to expect."""


@settings
class SearchConfig:
    """How candidates are proposed, and when the study ends."""

    sampler: str = "front"
    trials: Annotated[int, Field(ge=1, le=MOST_TRIALS)] = 50
    """Evaluated candidates in all, earlier runs of the study included; rejected ones and duplicates cost nothing."""
    timeout_s: Annotated[float, Field(ge=0.0, le=MOST_SECONDS)] | None = None
    """No new candidate is started after this many seconds of one run."""
    rungs: tuple[float, ...] = ()
    """Shares of the training that come before all of it, each a complete schedule of its own: 0.0625, 0.25 for example.

    Whoever cannot reach the front any more goes no further.
    """
    stop_confidence: float = 0.95
    """How sure it must be that a trial cannot reach the front before it is stopped; 0 stops none.

    It holds for a trial's whole training: each of the points at which it may stop has a share of the doubt.
    """
    seed: Seed = 0
    references: tuple[str, ...] = ()
    """Networks of the space that are evaluated first, by name: those that keep the limits, at 8 bits where these do."""
    block_starts: bool = True
    """Whether one network of each block near the limits comes next, before the sampler proposes any.

    Without effect where earlier studies say what each block is worth (`like`).
    """
    like: tuple[str, ...] = ()
    """Earlier studies that tell the sampler `front` what to expect, beside what the project ships.

    With NO_STUDY among them, these alone.
    """
    confirm: Annotated[int, Field(ge=0, le=100)] | None = None
    """Best networks within the limits that are trained once more at the end, with another seed; 0 is off.

    It goes on until the best by the mean is one of them, with twice as many trainings at most. By default CONFIRMED
    with TRIALS_TO_CONFIRM trials or more, else none.
    """

    def __post_init__(self) -> None:
        if self.stop_confidence and not 0.5 <= self.stop_confidence <= 0.999:
            raise UserError(
                f"stop_confidence: must be 0 (nobody stops) or from 0.5 to 0.999, not {self.stop_confidence:g}"
            )
        if list(self.rungs) != sorted(set(self.rungs)) or not all(0.001 <= share < 1 for share in self.rungs):
            raise UserError(
                f"rungs: must be rising shares of the training from 0.001 to below 1, not {list(self.rungs)}"
            )
        if self.rungs and not self.stop_confidence:
            raise UserError("rungs: need a stop_confidence, 0.95 by default; without it nobody stops on them")
        if self.sampler != LEARNING_SAMPLER and set(self.like) - {NO_STUDY}:
            raise UserError(
                f"like: the sampler {self.sampler} learns nothing from earlier studies; only {LEARNING_SAMPLER} does"
            )

    @property
    def earlier_studies(self) -> tuple[str, ...]:
        """Names of the earlier studies that tell what to expect, SHIPPED for what the project ships."""
        if self.sampler != LEARNING_SAMPLER:
            return ()
        usual = () if NO_STUDY in self.like else (SHIPPED,)
        return (*usual, *(name for name in dict.fromkeys(self.like) if name not in (NO_STUDY, *usual)))

    @property
    def confirmations(self) -> int:
        """Networks that are trained once more."""
        if self.confirm is not None:
            return self.confirm
        return CONFIRMED if self.trials >= TRIALS_TO_CONFIRM else 0
