"""The file by which a running study says so, every few seconds, to whoever looks, on this machine or another.

Clocks are corrected and laptops sleep, so the age of a heartbeat goes by the clock that counts from the start of the
machine wherever both sides share it; the file's time stands in for it elsewhere.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HEARTBEAT = "heartbeat"
HEARTBEAT_S, SILENCE_S = 2.0, 10.0
"""How often a running study says so, and after which silence it is taken as dead."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""Differs for each machine, and on each machine for each start; Linux only."""


@contextmanager
def beating(directory: Path) -> Iterator[None]:
    """Say, for as long as the block runs, that the study in `directory` does."""
    over = threading.Event()
    thread = threading.Thread(target=_beat, args=(directory / HEARTBEAT, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        with suppress(OSError):
            (directory / HEARTBEAT).unlink(missing_ok=True)


def is_running(directory: Path) -> bool:
    """Whether a process owns the study in `directory`, wherever it runs.

    The lock is not tried, for somebody who starts a search at that moment would find it taken. A heartbeat from the
    future is that of a process from before the clock was set back.
    """
    path = directory / HEARTBEAT
    try:
        boot, _, moment = path.read_text().strip().partition(" ")
        age_s = time.time() - path.stat().st_mtime
        if boot and boot == _boot():
            age_s = time.monotonic() - float(moment)
    except (OSError, ValueError):
        return False
    return abs(age_s) < SILENCE_S


def _beat(path: Path, over: threading.Event) -> None:
    boot = _boot()
    while True:
        with suppress(OSError):  # a full disk, say, is for the search itself to report
            path.write_text(f"{boot} {time.monotonic():.3f}\n")
        if over.wait(HEARTBEAT_S):
            return


def _boot() -> str:
    """Return what tells this start of this machine from any other; empty where that is unknown."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
