"""Worker processes that are killed at any time, are stopped, take too long, or raise what cannot be sent."""

import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from multiprocessing import forkserver
from typing import Any

import psutil
import pytest

from runners.engines.processes import pool as worker_pool
from runners.engines.processes import worker_loop as work
from runners.engines.processes.pool import Ended, TooSlow, WorkerDied, WorkerPool

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked from a server on Linux only")


@pytest.fixture
def pool() -> Iterator[WorkerPool[Any]]:
    with closing(WorkerPool[Any](workers=2, threads=1, device="cpu")) as pool:
        yield pool


def sleep(seconds: float, device: str) -> int:
    time.sleep(seconds)
    return os.getpid()


def refuse(error: Exception, device: str) -> None:
    raise error


def which(device: str) -> str:
    return device


class OfTwoArguments(Exception):
    """Python can pickle it, and not read it again."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(one)


def ended(pool: WorkerPool[Any], tasks: int) -> list[Ended[Any]]:
    """The next `tasks` that end, by ticket."""
    found: list[Ended[Any]] = []
    deadline = time.monotonic() + 60
    while len(found) < tasks:
        assert time.monotonic() < deadline, found
        found += pool.collect(0.2)
    return sorted(found, key=lambda one: one.ticket)


def wait_until_begun(pool: WorkerPool[Any], tasks: int) -> None:
    deadline = time.monotonic() + 60
    while sum(task.has_begun for _, task in pool._tasks().values()) < tasks:
        assert pool.collect(0.05) == []
        assert time.monotonic() < deadline


def kill(pid: int | None) -> None:
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with suppress(psutil.NoSuchProcess):  # not wait(): it would take the exit code away from multiprocessing
        while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)


def server_pid() -> int:
    return forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined, no-any-return]


def test_a_worker_that_is_killed_between_two_tasks_costs_none(pool: WorkerPool[Any]) -> None:
    pool.submit(1, partial(sleep, 0.0))
    first = ended(pool, 1)[0].result
    kill(first)
    pool.submit(2, partial(sleep, 0.0))
    second = ended(pool, 1)[0].result
    assert isinstance(second, int)
    assert second != first


def test_wherever_a_worker_is_killed_the_task_ends_once(pool: WorkerPool[Any]) -> None:
    """Before it has taken its task, while it does it, while it answers."""
    moments = random.Random(0)
    for round_ in range(20):
        for ticket in (2 * round_, 2 * round_ + 1):
            pool.submit(ticket, partial(sleep, 0.02))
        victims = multiprocessing.active_children()
        time.sleep(moments.uniform(0, 0.04))
        with suppress(ProcessLookupError):  # it may still be dying from the last round
            os.kill(moments.choice(victims).pid or 0, signal.SIGKILL)
        found = ended(pool, 2)
        assert [one.ticket for one in found] == [2 * round_, 2 * round_ + 1]
        assert sum(isinstance(one.result, WorkerDied) for one in found) <= 1
        assert all(isinstance(one.result, int | WorkerDied) for one in found)
    assert pool.free == 2


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["while both work", "between two tasks", "while it loads"])
def test_the_server_that_workers_are_forked_from_is_killed(pool: WorkerPool[Any], moment: str) -> None:
    if moment == "while it loads":
        kill(server_pid())
        pool.close()
        pool = WorkerPool(workers=2, threads=1, device="cpu")  # starts the next one
    else:
        for ticket in (1, 2):
            pool.submit(ticket, partial(sleep, 30.0 if moment == "while both work" else 0.0))
        if moment == "between two tasks":
            ended(pool, 2)
        else:
            wait_until_begun(pool, 2)
    before = [psutil.Process(child.pid) for child in multiprocessing.active_children()]
    kill(server_pid())
    if moment == "while both work":
        assert [type(one.result) for one in ended(pool, 2)] == [WorkerDied, WorkerDied]
    for ticket in (3, 4):
        pool.submit(ticket, partial(sleep, 0.0))
    assert all(isinstance(one.result, int) for one in ended(pool, 2))
    _, alive = psutil.wait_procs(before, timeout=10)
    assert not alive, "workers of the first server are left"


def test_a_worker_that_cannot_be_started_is_told_as_one_that_died(
    pool: WorkerPool[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_to_start(device: str) -> None:
        raise OSError("no more processes")

    monkeypatch.setattr(worker_pool, "worker_context", refuse_to_start)
    pool.submit(1, which)
    monkeypatch.undo()
    assert isinstance(ended(pool, 1)[0].result, WorkerDied)
    pool.submit(2, which)
    assert ended(pool, 1)[0].result == "cpu"


def test_what_is_too_slow_ends_and_what_is_held_still_is_not_slow() -> None:
    with closing(WorkerPool[Any](workers=1, threads=1, device="cpu", timeout_s=1.0)) as pool:
        pool.submit(1, partial(sleep, 30.0))
        assert isinstance(ended(pool, 1)[0].result, TooSlow)
        pool.submit(2, partial(sleep, 0.5))
        wait_until_begun(pool, 1)
        with pool.quiet():
            time.sleep(1.2)
        assert isinstance(ended(pool, 1)[0].result, int)


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (ValueError("no"), ValueError("no")),
        (OfTwoArguments("one", "other"), RuntimeError("OfTwoArguments: one")),
        (MemoryError(), MemoryError()),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_a_task_raises_comes_back(error: Exception, seen: Exception) -> None:
    message = work._do(lambda: refuse(error, "cpu"))
    raised = worker_pool.pickle.loads(message)
    assert (type(raised), raised.args) == (type(seen), seen.args)


def test_a_free_slot_has_the_gpu_that_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four GPUs, the second's worker ends first, so the next task goes there."""
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    monkeypatch.setattr(worker_pool, "worker_context", lambda device: multiprocessing.get_context("forkserver"))
    with closing(WorkerPool[Any](workers=4, threads=1, device="cuda")) as pool:
        seconds: list[Callable[[str], Any]] = [partial(sleep, 5.0)] * 4
        seconds[1] = which
        for ticket, task in enumerate(seconds):
            pool.submit(ticket, task)
        assert ended(pool, 1)[0].result == "cuda:1"
        pool.submit(4, which)
        assert ended(pool, 1)[0].result == "cuda:1"
