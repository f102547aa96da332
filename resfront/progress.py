"""Progress of a search that a program runs: a bar, drawn by tqdm as a notebook or a terminal wants it."""

import sys
from types import TracebackType
from typing import Any

from runners.search.events import TrialEvent
from runners.trial_record import Status


def say(note: str, *, shown: bool) -> None:
    """Print a note on stderr."""
    if shown:
        print(note, file=sys.stderr)


class ProgressBar:
    """A bar of the networks that are done, with the best accuracy on the front; nothing where it is not wanted."""

    def __init__(self, trials: int, *, done: int, best: float, shown: bool) -> None:
        """`done` networks have been evaluated before, the most accurate on the front has the accuracy `best`."""
        from tqdm.auto import tqdm  # looks for a notebook when it is imported

        self._bar: Any = tqdm(total=trials, initial=done, unit="network", disable=not shown)
        self._best = best

    def on_event(self, event: TrialEvent) -> None:
        """Take up what has happened."""
        if event.has_ended:
            if event.on_front and event.trial.status == Status.COMPLETED:
                self._best = max(self._best, event.trial.values["accuracy"])
            self._bar.set_postfix_str(f"best {100 * self._best:.1f} %, {event.front_size} on the front", refresh=False)
            self._bar.update(event.evaluated - self._bar.n)

    def say(self, note: str) -> None:
        """Print a note of the search above the bar."""
        if not self._bar.disable:
            self._bar.write(note)

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
