"""Persistent worker processes on this machine, each with its own threads or GPU, which do one task at a time.

A worker that dies or takes too long is replaced, and its task comes back as an error. No two workers share a queue or
a lock, because a process that is killed would keep it. Hence also no pool of a library: those of the standard library
and of pebble break when a worker is killed between two tasks.
"""

import math
import os
import pickle
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar

from .awake_clock import AwakeClock
from .wake_stopped import Watchdog
from .worker_loop import HAS_BEGUN, IS_READY, device_of, work
from .worker_start import kernel_ends_workers, without_script, worker_context

_STARTS = 3
"""To how many workers a task is given, one after another, that are gone before they begin it."""
_LOADING_S = 60
_END_S = 10
T = TypeVar("T")


class WorkerDied(Exception):
    """The process that had a task is gone."""


class TooSlow(Exception):
    """A task took longer than it may."""


@dataclass(frozen=True, slots=True)
class Ended(Generic[T]):
    """What became of a task."""

    ticket: int
    result: T | Exception
    """What it returned or raised; WorkerDied or TooSlow where the worker was lost."""


@dataclass(slots=True)
class _Task:
    ticket: int
    message: bytes
    """What the worker is sent."""
    starts: int = 0
    """How many workers it was given to."""
    has_begun: bool = False
    deadline: float = math.inf
    """When it has taken too long, on the pool's clock."""


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    connection: Connection
    """Closed by the kernel when the worker dies, whatever it dies of."""
    is_ready: bool = False
    """Whether it has loaded; from then on it also ends with the coordinator."""
    task: _Task | None = None


@dataclass(slots=True)
class WorkerPool(Generic[T]):
    """Runs at most `workers` tasks at a time; a task is a function of the device that it is to use."""

    workers: int
    """How many processes there are, once all have been needed."""
    threads: int
    """Of each worker."""
    device: str
    """'cuda' is shared out over the GPUs, see `device_of`."""
    timeout_s: float | None = None
    """Seconds that a task may take from when it has begun; those in `quiet` do not count, nor those in which this
    process was stopped, and its workers probably with it."""
    on_start: Callable[[], None] | None = None
    """Called once in each new worker."""
    _slots: list[_Worker | None] = field(init=False)
    _watchdog: Watchdog | None = field(init=False, default=None)
    _clock: AwakeClock = field(init=False, default_factory=AwakeClock)
    _lost: list[int] = field(init=False, default_factory=list)
    """Tickets of tasks for which no worker could be started."""

    def __post_init__(self) -> None:
        worker_context(self.device)  # the server loads while the caller goes on
        self._slots = [None] * self.workers

    @property
    def free(self) -> int:
        """How many tasks may be submitted now."""
        return sum(worker is None or worker.task is None for worker in self._slots)

    def submit(self, ticket: int, task: Callable[[str], T]) -> None:
        """Hand a task to a free worker, of which there must be one."""
        slot = next(i for i, worker in enumerate(self._slots) if worker is None or worker.task is None)
        self._give(slot, _Task(ticket, pickle.dumps(partial(task, device_of(self.device, slot)))))

    def collect(self, timeout_s: float) -> list[Ended[T]]:
        """Tasks that have ended, after waiting at most `timeout_s` for the first."""
        if self._lost:
            lost, self._lost = self._lost, []
            return [Ended(ticket, WorkerDied("no worker could be started")) for ticket in lost]
        tasks = self._tasks()
        if not tasks:
            return []
        slots = {worker.connection: slot for slot, (worker, _) in tasks.items()}
        now = self._clock.now()
        patience_s = min([timeout_s, *(task.deadline - now for _, task in tasks.values())])
        ended: list[Ended[T]] = []
        for connection in wait(list(slots), max(0.0, patience_s)):
            assert isinstance(connection, Connection)
            ended += self._read(slots[connection])
        return ended + self._too_slow()

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Stop the workers (SIGSTOP), once they have loaded, and let them go on."""
        for slot in range(self.workers):
            self._wait_until_ready(slot)
        began = self._clock.now()
        pids = [worker.process.pid for worker in self._slots if worker is not None and worker.process.pid is not None]
        if not kernel_ends_workers():
            self._watchdog = self._watchdog or Watchdog()
            self._watchdog.watch(pids)
        _signal(pids, signal.SIGSTOP)
        try:
            yield
        finally:
            _signal(pids, signal.SIGCONT)
            if self._watchdog is not None:
                self._watchdog.watch([])
            held_s = self._clock.now() - began
            for _, task in self._tasks().values():
                task.deadline += held_s

    def close(self) -> None:
        """End the workers at once, with what they are doing."""
        for slot in range(self.workers):
            self._drop(slot)
        if self._watchdog is not None:
            self._watchdog.close()
            self._watchdog = None

    def _tasks(self) -> dict[int, tuple[_Worker, _Task]]:
        """By slot, those that are not free."""
        workers = {slot: worker for slot, worker in enumerate(self._slots) if worker is not None}
        return {slot: (worker, worker.task) for slot, worker in workers.items() if worker.task is not None}

    def _give(self, slot: int, task: _Task) -> None:
        while task.starts < _STARTS:
            task.starts += 1
            with suppress(OSError, EOFError):  # the worker, or the server that forks it, has been killed
                worker = self._worker(slot)
                worker.connection.send_bytes(task.message)
                worker.task = task
                return
            self._drop(slot)
        self._lost.append(task.ticket)

    def _worker(self, slot: int) -> _Worker:
        worker = self._slots[slot]
        if worker is None:
            context = worker_context(self.device)  # each time: the server may have been killed since
            connection, far = context.Pipe()
            with far:  # an end of it that is open here would hide that the worker is gone
                arguments = (far, self.threads, dict(os.environ), self.on_start)
                process = context.Process(target=work, args=arguments, daemon=True)  # type: ignore[attr-defined]
                worker = self._slots[slot] = _Worker(process, connection)
                with without_script():
                    process.start()
        return worker

    def _wait_until_ready(self, slot: int) -> None:
        with suppress(OSError, EOFError):  # it is gone; whoever collects its task or submits the next one learns of it
            worker = self._worker(slot)
            if not worker.is_ready and worker.connection.poll(_LOADING_S):
                worker.is_ready = worker.connection.recv_bytes() == IS_READY

    def _read(self, slot: int) -> list[Ended[T]]:
        worker, task = self._tasks()[slot]
        try:
            message = worker.connection.recv_bytes()
        except (OSError, EOFError):
            self._drop(slot)
            if task.has_begun:
                return [Ended(task.ticket, WorkerDied(f"the worker died (exit code {worker.process.exitcode})"))]
            self._give(slot, task)
            return []
        if message == IS_READY:
            worker.is_ready = True
            return []
        if message == HAS_BEGUN:
            task.has_begun = True
            task.deadline = self._clock.now() + (math.inf if self.timeout_s is None else self.timeout_s)
            return []
        worker.task = None
        return [Ended(task.ticket, pickle.loads(message))]

    def _too_slow(self) -> list[Ended[T]]:
        now = self._clock.now()
        late = {slot: task for slot, (_, task) in self._tasks().items() if now >= task.deadline}
        for slot in late:
            self._drop(slot)
        return [Ended(task.ticket, TooSlow(f"took longer than {self.timeout_s:g} s")) for task in late.values()]

    def _drop(self, slot: int) -> None:
        worker, self._slots[slot] = self._slots[slot], None
        if worker is None:
            return
        with suppress(OSError):
            worker.connection.close()
        if worker.process.pid is not None:
            worker.process.kill()  # one that is stopped hears nothing else
            worker.process.join(_END_S)


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
