"""An engine of worker processes on this machine, each with its own threads or GPU."""

from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection

from search_space.errors import UserError

from ..candidate import Candidate, Epoch, Evaluation, TrainingDiverged
from ..config import WorkersConfig
from .base import EpochReport, Failure, Result, engine
from .processes.pool import TooSlow, WorkerDied, WorkerPool
from .processes.reports import ReportPipe, write_report

_OUT_OF_MEMORY = ("OutOfMemoryError", "AcceleratorError")
"""Of torch, which is not imported here."""
_NO_RESOURCES = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED", "CUDA error", "[Errno ")
"""What such errors say, also where they come back as another kind because they could not be pickled."""


@engine("local")
class LocalEngine:
    """An `Engine` of processes on this machine.

    A worker that dies or outlasts the trial timeout is replaced; its candidate comes back as a `Failure`.
    """

    def __init__(self, config: WorkersConfig) -> None:
        self._config = config
        self._pipe = ReportPipe()
        self._pool = WorkerPool[Evaluation](
            workers=config.workers,
            threads=config.threads_per_worker,
            device=config.device,
            timeout_s=config.trial_timeout_s,
            on_start=partial(_report_to, self._pipe.writer),
        )
        self._running = set[int]()

    @property
    def slots(self) -> int:
        return self._config.workers

    def submit(self, ticket: int, candidate: Candidate) -> None:
        self._pool.submit(ticket, partial(_evaluate, ticket, candidate))
        self._running.add(ticket)

    def collect(self, timeout_s: float) -> list[Result]:
        ended = self._pool.collect(timeout_s)
        self._running -= {one.ticket for one in ended}
        return [Result(ticket=one.ticket, outcome=_outcome(one.result)) for one in ended]

    def reports(self) -> list[EpochReport]:
        return [report for report in self._pipe.read() if report.ticket in self._running]

    def quiet(self) -> AbstractContextManager[None]:
        """Stop the workers (SIGSTOP), and let them go on; a training would spoil the timing."""
        return self._pool.quiet()

    def close(self) -> None:
        self._pool.close()
        self._pipe.close()


def _outcome(result: Evaluation | Exception) -> Evaluation | Failure:
    match result:
        case UserError():
            raise result
        case TrainingDiverged():
            return Failure(kind="diverged", reason=str(result))
        case TooSlow():
            return Failure(kind="timeout", reason=str(result))
        case WorkerDied():
            return Failure(kind="died", reason=str(result))
        case Exception() if _is_of_resources(result):
            return Failure(kind="resources", reason=f"{type(result).__name__}: {result}")
        case Exception():
            return Failure(kind="error", reason=f"{type(result).__name__}: {result}")
        case _:
            return result


def _is_of_resources(error: Exception) -> bool:
    """Whether memory, a disk or the like was short; torch tells by a message alone that a CPU's memory was."""
    if isinstance(error, MemoryError | OSError) or type(error).__name__ in _OUT_OF_MEMORY:
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _NO_RESOURCES)


_writer: Connection | None = None
"""Of a worker process: where it reports its epochs."""


def _report_to(writer: Connection) -> None:
    global _writer
    _writer = writer


def _evaluate(ticket: int, candidate: Candidate, device: str) -> Evaluation:
    from ..evaluate import evaluate  # with torch, which only the workers need

    def report(point: Epoch) -> None:
        assert _writer is not None
        epochs = candidate.training.epochs
        write_report(_writer, EpochReport(ticket=ticket, epoch=point.epoch, epochs=epochs, metric=point.metric))

    return evaluate(replace(candidate, device=device), report)
