"""What does a user see while a study runs? What takes the time, each trial, the running ones and the time left."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from runners.search.events import EpochEvent, TrialEvent
from runners.trial_record import EVALUATED, Status
from search_space.texts.counting import count_of

from ...study.record import StudyRecord
from ...texts.wording import describe_spec
from .fitted_line import Part, fitted_line
from .time_left import TimeLeft, describe_left
from .trial_lines import confirmed_line, ended_line, running_line

MOST_RUNNING = 8
"""Running trials that the panel shows, one a line."""
BAR = 20
"""Width of the progress bar, in columns."""
STYLES = {Status.FAILED: "red", Status.STOPPED: "dim"}


@dataclass(slots=True)
class _Running:
    spec: dict[str, Any]
    began: float
    last: EpochEvent | None = None


class Progress:
    """Shows events as they come: a line for each evaluated trial, and on a terminal a panel of the running ones."""

    def __init__(
        self,
        record: StudyRecord,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.record = record
        self._total = record.config.search.trials
        self._epochs = record.config.training.epochs
        self._clock = clock
        self._time_left = TimeLeft(record.config.workers.workers)
        self._running: dict[int, _Running] = {}
        self._has_begun = False
        self._event: TrialEvent | None = None
        self._confirmed = 0
        self._stops = 0
        self._console = console or Console(stderr=True)
        self._live = (
            Live(self, console=self._console, refresh_per_second=4, transient=True)
            if self._console.is_terminal
            else None
        )

    def __enter__(self) -> "Progress":
        workers, space = self.record.config.workers, self.record.config.space
        processes = f"{count_of(workers.workers, 'worker')} x {count_of(workers.threads_per_worker, 'thread')}"
        trials = count_of(self._total, "trial")
        self._say(f"study {self.record.name}: {space.size:,} networks, {trials}, {processes} on {workers.device}")
        self._say(
            f"starting {count_of(workers.workers, 'worker')}: loading torch and the images takes some seconds ..."
        )
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def on_event(self, event: TrialEvent) -> None:
        """Take in that a trial has begun or ended."""
        now, trial = self._clock(), event.trial
        self._event = event
        if not event.has_ended:
            spec = dict(trial.spec or {})
            if not self._live and not self._has_begun:
                self._say(f"trial {trial.number} begins: {describe_spec(spec)}")
            self._has_begun = True
            self._running[trial.number] = _Running(spec, now)
            self._time_left.begin(trial.number, now)
        elif trial.status == Status.REJECTED and trial.label:
            self._say(f"{trial.label} is left out: {trial.reason}")
        elif event.is_again or trial.status in EVALUATED:
            self._confirmed += event.is_again
            del self._running[trial.number]
            self._time_left.finish(trial.number, now)
            style = "bold" if event.on_front else STYLES.get(trial.status, "")
            self._say(self._ended(event), style)

    def on_epoch(self, event: EpochEvent) -> None:
        """Take in how far a running trial is."""
        self._running[event.trial].last = event
        self._time_left.advance(event.trial, event.done, self._clock())

    def on_stop(self, running: int) -> None:
        """Say that a request to stop has been heard."""
        self._stops += 1
        if not running:
            self._say("stopping")
        elif self._stops == 1:
            self._say(f"stopping: finishing {running} in training; Ctrl-C again stops at once")
        else:
            self._say(f"stopping at once: --resume begins the {running} in training anew")

    def on_note(self, note: str) -> None:
        """Say something that the user should know."""
        self._say(f"note: {note}")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The live panel: how far the study is, what it has found, and a line for each running trial."""
        for line in self.panel(options.max_width):
            yield Text(line, no_wrap=True, overflow="ellipsis")

    def panel(self, width: int) -> list[str]:
        """The lines of the live panel; as many as there are workers, and two."""
        shown = list(self._running.items())[:MOST_RUNNING]
        now, metric = self._clock(), self.record.config.metric
        lines = [
            running_line(trial, running.spec, now - running.began, running.last, self._epochs, metric, width)
            for trial, running in shown
        ]
        if len(self._running) > len(shown):
            lines[-1] = f"and {len(self._running) - len(shown) + 1} more in training"
        slots = min(self.record.config.workers.workers, MOST_RUNNING)
        return [self._head(width), self._found(width), *lines, *[""] * (slots - len(lines))]

    def _say(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style=style), soft_wrap=not self._console.is_terminal)

    def _ended(self, event: TrialEvent) -> str:
        if event.is_again:
            return confirmed_line(event, self.record.config.metric)
        return ended_line(
            event,
            total=self._total,
            objectives=self.record.config.objectives,
            left=describe_left(self._seconds_left()),
            width=self._console.width if self._console.is_terminal else None,
        )

    def _seconds_left(self) -> float | None:
        evaluated = self._event.evaluated if self._event else 0
        trainings = self._total + min(self.record.config.search.confirmations, evaluated)
        return self._time_left.seconds(self._clock(), trainings - evaluated - self._confirmed)

    def _head(self, width: int) -> str:
        evaluated = self._event.evaluated if self._event else 0
        full = min(BAR, BAR * evaluated // self._total)
        seconds = self._seconds_left()
        left = "time left: known after the first trials" if seconds is None else describe_left(seconds)
        bar = Part("━" * full + "╌" * (BAR - full), 1)
        return fitted_line([bar, Part(f"{evaluated}/{self._total} trials"), Part(left)], width)

    def _found(self, width: int) -> str:
        if self._event is None:
            return "choosing the first networks ..."
        counts = self._event.counts
        numbers = {
            "stopped early": counts.get(Status.STOPPED, 0),
            "failed": counts.get(Status.FAILED, 0),
            "rejected": counts.get(Status.REJECTED, 0),
            "duplicates": counts.get(Status.DUPLICATE, 0),
        }
        ended = [
            Part(f"{number} {kind}", 2 + rank, " · ") for rank, (kind, number) in enumerate(numbers.items()) if number
        ]
        volume = Part(f"hypervolume {self._event.hypervolume:.4f}", 9, " · ")
        return fitted_line([Part(f"front {self._event.front_size}"), *ended, volume], width)
