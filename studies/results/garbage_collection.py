"""Python's garbage collector, in a process that keeps large tables and reads them in several threads."""

import gc
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager


class _Collector:
    """Use of the collector by the threads of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at_rest = 0
        self._was_enabled = False
        self._kept = 0
        """Objects after the last pass over all of them."""
        self._added = 0
        """Objects that have been kept since."""

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        with self._lock:
            if self._at_rest == 0:
                self._was_enabled = gc.isenabled()
                gc.disable()
            self._at_rest += 1
        try:
            yield
        finally:
            with self._lock:
                self._at_rest -= 1
                if self._at_rest == 0 and self._was_enabled:
                    gc.enable()

    def keep(self) -> None:
        with self._lock:
            looks_at_all = self._added >= self._kept
            if looks_at_all:
                gc.unfreeze()
            gc.collect()
            found = len(gc.get_objects())  # gc.get_freeze_count() takes as long as a pass over all of them
            gc.freeze()
            self._kept, self._added = (found, 0) if looks_at_all else (self._kept, self._added + found)


_COLLECTOR = _Collector()


def collector_at_rest() -> AbstractContextManager[None]:
    """Switch the collector off for a block that makes many objects, none of them garbage; that saves a quarter.

    Blocks may overlap in several threads; the collector is on again when the last of them has ended.
    """
    return _COLLECTOR.at_rest()


def keep_what_is_there() -> None:
    """Collect the garbage, and leave what remains out of the collector's later passes.

    What becomes garbage afterwards is collected once twice as many objects are kept as after the last pass over all.
    """
    _COLLECTOR.keep()
