"""Progress of a search that a program runs: a bar, drawn by tqdm as a notebook or a terminal wants it."""

import sys
from types import TracebackType
from typing import Any

from objectives import Objective
from runners.search.events import TrialEvent
from runners.trial_record import Status
from studies.texts.wording import format_value


def say(note: str, *, shown: bool) -> None:
    """Print a note on stderr."""
    if shown:
        print(note, file=sys.stderr)


class ProgressBar:
    """A bar of the networks that are done, with the best metric on the front; nothing where it is not wanted."""

    def __init__(self, trials: int, metric: Objective, *, done: int, best: float, shown: bool) -> None:
        """`done` networks have been evaluated before; `best` is the best metric on the front, NaN where it is empty."""
        from tqdm.auto import tqdm  # looks for a notebook when it is imported

        self._bar: Any = tqdm(total=trials, initial=done, unit="network", disable=not shown)
        self._metric, self._best = metric, best

    def on_event(self, event: TrialEvent) -> None:
        """Take up what has happened."""
        if event.has_ended:
            if event.on_front and event.trial.status == Status.COMPLETED:
                found = [event.trial.values[self._metric.name], self._best]
                self._best = min((value for value in found if value == value), key=self._metric.loss)
            best = f"best {format_value(self._metric, self._best)}, {event.front_size} on the front"
            self._bar.set_postfix_str(best, refresh=False)
            self._bar.update(event.evaluated - self._bar.n)

    def say(self, note: str) -> None:
        """Print a note of the search above the bar."""
        if not self._bar.disable:
            self._bar.write(note, file=sys.stderr)

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
