"""Have no Ctrl-C lost: code written in C, in some libraries, swallows the exception that Python raises for it."""

import signal
import threading
from types import FrameType

_was_asked = False


def remember_interrupts() -> None:
    """Have Ctrl-C raise KeyboardInterrupt as before, and be remembered for `raise_swallowed`; once for the process."""
    is_usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_usual and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _remember)


def raise_swallowed() -> None:
    """Raise KeyboardInterrupt where there was a Ctrl-C, whoever swallowed it."""
    global _was_asked
    if _was_asked:
        _was_asked = False
        raise KeyboardInterrupt


def _remember(number: int, frame: FrameType | None) -> None:
    global _was_asked
    _was_asked = True
    signal.default_int_handler(number, frame)
