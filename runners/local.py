"""How do candidates run on this machine? Persistent worker processes, each with its own threads or GPU.

A worker that dies or outlasts the trial timeout is replaced; its candidate comes back as a `Failure`.
"""

import os
import signal
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing.connection import Connection

from pebble import ProcessExpired, ProcessPool

from search_space.errors import UserError

from .candidate import Candidate, Epoch, Evaluation, TrainingDiverged
from .config import WorkersConfig
from .engine import EpochReport, Failure, Result
from .reports import ReportPipe, write_report
from .worker import process_ids, start_worker, worker_context


class LocalEngine:
    """An `Engine` of processes on this machine."""

    def __init__(self, config: WorkersConfig) -> None:
        self._config = config
        self._pipe = ReportPipe()
        self._pool = ProcessPool(
            max_workers=config.workers,
            initializer=_start,
            initargs=(config.threads_per_worker, dict(os.environ), self._pipe.writer),
            context=worker_context(config.device),
        )
        self._running: dict[Future[Evaluation], tuple[int, int]] = {}

    @property
    def slots(self) -> int:
        return self._config.workers

    def submit(self, ticket: int, candidate: Candidate) -> None:
        taken = {slot for _, slot in self._running.values()}
        slot = next(i for i in range(self.slots) if i not in taken)
        candidate = replace(candidate, device=device_of(self._config.device, slot))
        future = self._pool.schedule(_evaluate, args=(ticket, candidate), timeout=self._config.trial_timeout_s)
        self._running[future] = (ticket, slot)

    def collect(self, timeout_s: float) -> list[Result]:
        if not self._running:
            return []
        done, _ = wait(self._running, timeout=timeout_s, return_when=FIRST_COMPLETED)
        return [Result(ticket=self._running.pop(future)[0], outcome=self._outcome(future)) for future in done]

    def reports(self) -> list[EpochReport]:
        running = {ticket for ticket, _ in self._running.values()}
        return [report for report in self._pipe.read() if report.ticket in running]

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Stop the workers (SIGSTOP), and let them go on; a training would spoil the timing."""
        workers = process_ids()
        _signal(workers, signal.SIGSTOP)
        try:
            yield
        finally:
            _signal(workers, signal.SIGCONT)

    def close(self) -> None:
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()
        self._pipe.close()

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


_writer: Connection | None = None
"""Of a worker process: where it reports its epochs."""


def _start(threads: int, environment: Mapping[str, str], writer: Connection) -> None:
    global _writer
    _writer = writer
    start_worker(threads, environment)


def _evaluate(ticket: int, candidate: Candidate) -> Evaluation:
    from .evaluate import evaluate  # with torch, which only the workers need

    def report(point: Epoch) -> None:
        assert _writer is not None
        epochs = candidate.training.epochs
        write_report(_writer, EpochReport(ticket=ticket, epoch=point.epoch, epochs=epochs, accuracy=point.accuracy))

    return evaluate(candidate, report)


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
