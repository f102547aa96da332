"""How do the processes that train start, and how do they end with the process that they work for?"""

import ctypes
import multiprocessing
import multiprocessing.forkserver
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.context import BaseContext

_PR_SET_PDEATHSIG = 1
_COORDINATOR = "RESFRONT_COORDINATOR"
"""Environment variable of the server: the process id of whoever started it."""
_HIDING = threading.Lock()
"""Held while the script is hidden, because studies may run in several threads."""
_server: int | None = None
"""Process id of the server, in it and in what is forked from it."""


def worker_context(device: str) -> BaseContext:
    """How to start workers: on Linux they are forked from a server that has torch loaded.

    So it is loaded once (some 6 s) and lies in memory once, however many workers there are, and one that is replaced is
    there at once. The server starts with the first call, and whoever starts the first worker waits for it. Workers of
    a GPU load for themselves: CUDA that has been asked anything does not survive a fork.
    """
    if sys.platform != "linux" or device != "cpu":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["runners.preload"])
    try:
        with _for_the_server():
            # From the main thread: the kernel kills the server when the thread that started it ends.
            multiprocessing.forkserver.ensure_running()
    except OSError:  # no socket can be made, as where the name of TMPDIR is too long for one
        return multiprocessing.get_context("spawn")
    return context


@contextmanager
def _for_the_server() -> Iterator[None]:
    """It has import paths from its environment alone, and must not hear Ctrl-C while it loads."""
    before = dict(os.environ)
    # Else a file of the working directory could take the place of a module.
    os.environ |= {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PYTHONSAFEPATH": "1"}
    os.environ[_COORDINATOR] = str(os.getpid())
    resource_tracker.ensure_running()  # else started below, where it would let Ctrl-C through
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # of the server too; here it only waits
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def without_script() -> Iterator[None]:
    """Keep a process that is started from running the program's own script once more, guarded or not.

    Workers need nothing of it: what they are given lies in modules. The script's path and name, by which
    multiprocessing would find it, are taken away for the moment.
    """
    main = sys.modules["__main__"].__dict__
    with _HIDING:
        known: dict[str, object] = {name: main[name] for name in ("__file__", "__spec__") if name in main}
        main |= {"__file__": None, "__spec__": None}
        try:
            yield
        finally:
            del main["__file__"]
            main |= known


def kernel_ends_workers() -> bool:
    """Whether workers end with their coordinator even while they are stopped (SIGSTOP)."""
    return sys.platform == "linux"


def start_worker(threads: int, environment: Mapping[str, str]) -> None:
    """Make this process a worker: its threads, deaf to Ctrl-C, ended with the process that it works for.

    `environment` is the coordinator's; the server's is that of the time when it was started.
    """
    os.environ.clear()
    os.environ.update(environment)
    # Ctrl-C reaches the whole process group, and only the coordinator may decide what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    coordinator = multiprocessing.parent_process()
    assert coordinator is not None and coordinator.pid is not None
    _end_with_parent(_server or coordinator.pid)
    threading.Thread(target=_end_with_coordinator, daemon=True).start()
    import torch  # takes seconds where there is no server, in which the coordinator may be gone

    torch.set_num_threads(threads)


def become_server() -> None:
    """Make this process the server that workers are forked from."""
    global _server
    _server = os.getpid()
    _end_with_parent(int(os.environ.get(_COORDINATOR, os.getppid())))


def _end_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends, even while it is stopped (SIGSTOP).

    A worker's parent is the server of `worker_context`, the server's the coordinator. Linux only.
    """
    if kernel_ends_workers():
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it was gone before
            os._exit(1)


def _end_with_coordinator() -> None:
    coordinator = multiprocessing.parent_process()
    assert coordinator is not None
    coordinator.join()
    os._exit(1)
