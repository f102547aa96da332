"""A clock for time limits, which stands still while the process that reads it is stopped or suspended."""

import time

LONGEST_GAP_S = 5.0
"""Most that passes between two looks at the clock: who looks many times a second was stopped where it is more."""


class AwakeClock:
    """Seconds by the monotonic clock, without those in which nobody looked.

    The system's monotonic clock stands still while a laptop sleeps, and is not corrected. It goes on while a process
    is stopped (Ctrl-Z) or its container is paused, and then what the process waits for was stopped as well.
    """

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._seconds = 0.0

    def now(self) -> float:
        """Seconds since some moment, never less than before."""
        now = time.monotonic()
        self._seconds += min(now - self._last, LONGEST_GAP_S)
        self._last = now
        return self._seconds
