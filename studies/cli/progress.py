"""What does a user see while a study runs? Counts, front, time left and the last trials, on stderr."""

import time
from collections import deque
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from objectives import OBJECTIVES
from runners.coordinator import Event
from runners.ledger import Counts
from studies.study import StudyRecord
from studies.wording import describe_spec, format_duration, format_value

LAST_TRIALS = 8


_ENDED = ("completed", "stopped", "failed")
"""How a trial ends that counts."""


class Progress:
    """Shows events as they come: a live panel on a terminal, a line for each evaluated trial elsewhere."""

    def __init__(self, record: StudyRecord) -> None:
        self.record = record
        self._total = record.config.search.trials
        self._started = time.monotonic()
        self._evaluated_before: int | None = None
        self._event: Event | None = None
        self._last: deque[Text] = deque(maxlen=LAST_TRIALS)
        self._console = Console(stderr=True)
        self._live = (
            Live(self, console=self._console, refresh_per_second=4, transient=True)
            if self._console.is_terminal
            else None
        )

    def __enter__(self) -> "Progress":
        workers = self.record.config.workers
        self._console.print(
            f"study {self.record.name}: {self.record.config.space.size:,} networks, {self._total} trials, "
            f"{workers.workers} workers x {workers.threads_per_worker} threads on {workers.device}",
            highlight=False,
        )
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def on_event(self, event: Event) -> None:
        """Take in what happened."""
        if self._evaluated_before is None:
            self._evaluated_before = event.counts.evaluated - (event.status in _ENDED)
        self._event = event
        if event.status in _ENDED:
            line = self._line(event)
            self._last.append(Text(line.plain, style=line.style, no_wrap=True, overflow="ellipsis"))
            if not self._live:
                self._console.print(line, soft_wrap=True, highlight=False)

    def __rich__(self) -> Group:
        """The live panel."""
        if self._event is None:
            return Group(Text("starting the workers ..."))
        counts = self._event.counts
        head = Table.grid(padding=(0, 2))
        left = self._time_left(counts.evaluated)
        head.add_row(ProgressBar(total=self._total, completed=counts.evaluated, width=24), self._done(counts), left)
        found = f"front {self._event.front_size} · hypervolume {self._event.hypervolume:.4f}"
        ended = f"{counts.stopped} stopped early · " if counts.stopped else ""
        rest = f"{ended}{counts.rejected} rejected · {counts.failed} failed · {counts.duplicate} duplicates"
        return Group(head, Text(f"{found} · {rest}"), *self._last)

    def on_stop(self, running: int) -> None:
        """Say that a request to stop has been heard."""
        text = f"stopping: finishing {running} in training; Ctrl-C again stops at once" if running else "stopping"
        self._console.print(text, highlight=False)

    def on_note(self, note: str) -> None:
        """Say something that the user should know."""
        self._console.print(f"note: {note}", highlight=False, soft_wrap=True)

    def _done(self, counts: Counts) -> str:
        return f"{counts.evaluated}/{self._total} trials"

    def _line(self, event: Event) -> Text:
        done = f"[{event.counts.evaluated:>{len(str(self._total))}}/{self._total}]"
        what = describe_spec(event.spec.to_dict())
        if event.status == "failed":
            return Text(f"{done} trial {event.trial} failed: {event.reason} · {what}", style="red")
        if event.status == "stopped":
            return Text(f"{done}   trial {event.trial} stopped: {event.reason} · {what}", style="dim")
        figures = "  ".join(self._figure(name, event.values[name]) for name in self.record.config.objectives)
        time_left = self._time_left(event.counts.evaluated)
        rest = f"front {event.front_size}  hypervolume {event.hypervolume:.4f}  {time_left}"
        mark = "*" if event.on_front else " "
        return Text(
            f"{done} {mark} trial {event.trial}  {figures}  {what}  | {rest}",
            style="bold" if event.on_front else "",
        )

    def _figure(self, name: str, value: Any) -> str:
        text = format_value(OBJECTIVES[name], value)
        return f"{text:>9} {'' if name.endswith('bytes') else name}".rstrip()

    def _time_left(self, evaluated: int) -> str:
        here = evaluated - (self._evaluated_before or 0)
        if here < 1:
            return "time left: ?"
        seconds = (time.monotonic() - self._started) / here * max(0, self._total - evaluated)
        return f"{format_duration(seconds)} left"
