"""A process that lets stopped workers go on when the process that has stopped them is killed.

On Linux the kernel kills workers with their coordinator, even while they are stopped (SIGSTOP). Elsewhere a worker
notices by itself that its coordinator is gone, but not while it is stopped: it would remain for ever.
"""

import subprocess
import sys
from collections.abc import Iterable

_PROGRAM = """
import os, signal, sys
stopped = []
for line in sys.stdin:
    stopped = line.split()
for pid in stopped:
    try:
        os.kill(int(pid), signal.SIGCONT)
    except OSError:
        pass
"""
"""Reads, a line each, which processes are stopped now; at the end of the lines its parent is gone or has finished."""


class Watchdog:
    """Tells a process of its own which workers are stopped."""

    def __init__(self) -> None:
        self._process = _start()

    def watch(self, pids: Iterable[int]) -> None:
        """Let these processes go on, and no others, when this process ends."""
        if self._process.poll() is not None:  # it has been killed itself
            self.close()
            self._process = _start()
        assert self._process.stdin is not None
        self._process.stdin.write(f"{' '.join(map(str, pids))}\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """End it, after it has let go on what is stopped."""
        self._process.communicate()


def _start() -> subprocess.Popen[str]:
    """In a session of its own: Ctrl-C in the terminal must not end it before its parent."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
