"""How long will the rest of a study take? From the trials that have ended lately and how far the running ones are."""

import math

FADING = 0.8
"""Weight of a trial, as a share of that of the next one: searches move to smaller or larger networks as they go."""
LEAST = 2
"""Ended trials without which there is no estimate."""
LATER, LATER_S = 1.5, 10.0
"""An estimate above the one that is shown takes its place only where it is so many times, and seconds, above it."""
OVERDUE = 0.1
"""What a trial that should have ended still takes, as a share of a typical one."""
_STEPS = ((60, 10), (120, 30), (600, 60), (3600, 300), (6 * 3600, 1800))
"""Below so many seconds an estimate is rounded to multiples of so many; above all of them to hours."""


class TimeLeft:
    """Estimates the seconds until the last trial of a study ends; `now` is any clock's time in seconds.

    A trial to come is expected to last as long as a typical recent one: the weighted geometric mean, which a few large
    networks among many small ones hardly move.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._began: dict[int, float] = {}
        """Running trial -> when it began."""
        self._ends: dict[int, float] = {}
        """Running trial -> when it will end by its own pace, from its first report on."""
        self._log_seconds: list[float] = []
        """Logarithms of how long the ended trials lasted, in the order in which they ended."""
        self._shown: float | None = None

    def begin(self, trial: int, now: float) -> None:
        """Take in that a trial goes to a worker."""
        self._began[trial] = now

    def advance(self, trial: int, done: float, now: float) -> None:
        """Take in that a share of a trial's training is over, above 0 and at most 1."""
        self._ends[trial] = self._began[trial] + (now - self._began[trial]) / done

    def finish(self, trial: int, now: float) -> None:
        """Take in that a trial has been completed, stopped or failed."""
        self._log_seconds.append(math.log(max(now - self._began.pop(trial), 0.01)))
        self._ends.pop(trial, None)

    def seconds(self, now: float, remaining: int) -> float | None:
        """The time left when `remaining` trials have not ended yet, the running ones included; None where unknown.

        Where trials begin to last longer, it holds still until the estimate is far above it.
        """
        if len(self._log_seconds) < LEAST:
            return None
        if remaining <= 0:
            return 0.0
        estimate = self._estimate(now, remaining)
        if self._shown is None or not self._shown < estimate <= max(LATER * self._shown, self._shown + LATER_S):
            self._shown = estimate
        return self._shown

    def _typical(self) -> float:
        """Seconds of a trial to come; the first ones, for which workers load torch, count while others are few."""
        known = self._log_seconds
        if len(known) > 2 * self._workers:
            known = known[self._workers :]
        weights = [FADING**age for age in range(len(known))]
        return math.exp(sum(w * each for w, each in zip(weights, reversed(known), strict=True)) / sum(weights))

    def _estimate(self, now: float, remaining: int) -> float:
        typical = self._typical()
        ends = [self._ends.get(trial, began + typical) for trial, began in self._began.items()]
        rest = [max(end - now, OVERDUE * typical) for end in ends]
        waiting = max(0, remaining - len(rest))
        return max([(sum(rest) + waiting * typical) / self._workers, *rest])


def describe_left(seconds: float | None) -> str:
    """`about 5 min left`, rounded as coarsely as it is known; empty where it is unknown, or nothing is left."""
    if not seconds:
        return ""
    step = next((step for below, step in _STEPS if seconds < below), 3600)
    whole = max(step, round(seconds / step) * step)
    if whole < 60 or whole == 90:
        return f"about {whole} s left"
    if whole < 3600:
        return f"about {whole // 60} min left"
    return f"about {whole / 3600:g} h left"
