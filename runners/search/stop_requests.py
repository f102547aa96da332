"""Requests to stop a study: Ctrl-C asks once, SIGTERM at once."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequests:
    """Counts requests: after one, nothing further starts; after two, what is in training is given up."""

    def __init__(self, on_stop: Callable[[int], None]) -> None:
        """`on_stop` is told, after each request, how many candidates are in training."""
        self.count = 0
        self._on_stop = on_stop
        self._answered = 0

    def __bool__(self) -> bool:
        """Whether somebody has asked to stop."""
        return self.count > 0

    @property
    def at_once(self) -> bool:
        """Whether what is in training is given up, to be resumed."""
        return self.count > 1

    def answer(self, running: int) -> bool:
        """Tell of each new request how many are `running`, and return whether there has been any."""
        if self.count > self._answered:
            self._answered = self.count
            self._on_stop(running)
        return bool(self)

    @contextmanager
    def from_signals(self) -> Iterator[None]:
        """Count Ctrl-C as one request and SIGTERM as two, instead of ending the process."""

        def handle(number: int, frame: FrameType | None) -> None:
            self.count += 1 if number == signal.SIGINT else 2

        numbers = (signal.SIGINT, signal.SIGTERM)
        previous = [signal.signal(number, handle) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, previous, strict=True):
                signal.signal(number, handler)
