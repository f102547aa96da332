"""How do candidates run on this machine? Persistent worker processes, each with its own threads or GPU.

A worker that dies or outlasts the trial timeout is replaced; its candidate comes back as a `Failure`.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import contextmanager, suppress
from dataclasses import replace

from pebble import ProcessExpired, ProcessPool

from search_space.errors import UserError

from .candidate import Candidate, Evaluation, TrainingDiverged
from .config import WorkersConfig
from .engine import Failure, Result

_PR_SET_PDEATHSIG = 1


class LocalEngine:
    """An `Engine` of processes on this machine."""

    def __init__(self, config: WorkersConfig) -> None:
        self._config = config
        self._pool = ProcessPool(
            max_workers=config.workers,
            initializer=start_worker,
            initargs=(config.threads_per_worker, os.getpid()),
            context=multiprocessing.get_context("spawn"),
        )
        self._running: dict[Future[Evaluation], tuple[int, int]] = {}

    @property
    def slots(self) -> int:
        return self._config.workers

    def submit(self, ticket: int, candidate: Candidate) -> None:
        taken = {slot for _, slot in self._running.values()}
        slot = next(i for i in range(self.slots) if i not in taken)
        candidate = replace(candidate, device=device_of(self._config.device, slot))
        future = self._pool.schedule(_evaluate, args=(candidate,), timeout=self._config.trial_timeout_s)
        self._running[future] = (ticket, slot)

    def collect(self, timeout_s: float) -> list[Result]:
        if not self._running:
            return []
        done, _ = wait(self._running, timeout=timeout_s, return_when=FIRST_COMPLETED)
        return [Result(ticket=self._running.pop(future)[0], outcome=self._outcome(future)) for future in done]

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Stop the workers (SIGSTOP), and let them go on; a training would spoil the timing."""
        workers = [process.pid for process in multiprocessing.active_children() if process.pid]
        _signal(workers, signal.SIGSTOP)
        try:
            yield
        finally:
            _signal(workers, signal.SIGCONT)

    def close(self) -> None:
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()

    def _outcome(self, future: "Future[Evaluation]") -> Evaluation | Failure:
        try:
            return future.result()
        except TrainingDiverged as error:
            return Failure(kind="diverged", reason=str(error))
        except TimeoutError:
            return Failure(kind="timeout", reason=f"took longer than {self._config.trial_timeout_s:g} s")
        except (ProcessExpired, CancelledError) as error:
            code = getattr(error, "exitcode", None)
            return Failure(kind="died", reason=f"the worker died (exit code {code})")
        except UserError:
            raise
        except Exception as error:
            return Failure(kind="error", reason=f"{type(error).__name__}: {error}")


def device_of(device: str, slot: int) -> str:
    """The device of a worker's slot: 'cuda' is shared out over the GPUs that there are."""
    if device != "cuda":
        return device
    import torch

    return f"cuda:{slot % max(1, torch.cuda.device_count())}"


def _evaluate(candidate: Candidate) -> Evaluation:
    from .evaluate import evaluate  # with torch, which only the workers need

    return evaluate(candidate)


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def start_worker(threads: int, coordinator: int) -> None:
    """Make this process a worker: its threads, deaf to Ctrl-C, ended with the process that it works for."""
    # Ctrl-C reaches the whole process group, and only the coordinator may decide what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        # The thread below cannot end a worker that is stopped when the coordinator is killed; the kernel can.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_exit_with, args=(coordinator,), daemon=True).start()
    import torch  # takes seconds, in which the coordinator may be gone

    torch.set_num_threads(threads)


def _exit_with(coordinator: int) -> None:
    """End this process soon after the coordinator is gone, even when it was killed."""
    while os.getppid() == coordinator:
        time.sleep(0.5)
    os._exit(1)
