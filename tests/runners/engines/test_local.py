"""Worker processes: held still while something is timed, and gone with their coordinator even then."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from runners.candidate import Candidate, Evaluation
from runners.config import DataConfig, TrainingConfig, WorkersConfig
from runners.engines.base import EpochReport, Failure, Result
from runners.engines.local import LocalEngine
from runners.engines.processes import pool as worker_pool
from runners.engines.processes.worker_start import start_worker, worker_context
from search_space import reference

CANDIDATE = Candidate(
    spec=reference("resnet8", resolution=8, in_channels=1).to_dict(),
    seed=1,
    data=DataConfig(name="digits"),
    training=TrainingConfig(epochs=8, batch_size=32),
)


def wait_until(condition: Callable[[], object], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_workers_are_held_still_and_go_on_to_the_end() -> None:
    engine = LocalEngine(WorkersConfig(workers=1, threads=1))
    try:
        engine.submit(7, CANDIDATE)
        wait_until(lambda: multiprocessing.active_children() != [])
        worker = psutil.Process(multiprocessing.active_children()[0].pid)
        with engine.quiet():
            wait_until(lambda: worker.status() == psutil.STATUS_STOPPED)
            before = worker.cpu_times().user
            time.sleep(0.3)
            assert worker.cpu_times().user == before
        wait_until(lambda: worker.status() != psutil.STATUS_STOPPED)
        results = []
        wait_until(lambda: bool(results.extend(engine.collect(0.2)) or results), 120)
        assert results[0].ticket == 7
        assert isinstance(results[0].outcome, Evaluation)
    finally:
        engine.close()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_epochs_are_reported_and_a_killed_worker_takes_no_report_of_others_with_it(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    if method == "spawn":
        monkeypatch.setattr(worker_pool, "worker_context", lambda device: multiprocessing.get_context("spawn"))
    elif sys.platform != "linux":
        pytest.skip("workers are forked from a server on Linux only")
    engine = LocalEngine(WorkersConfig(workers=1, threads=1))
    reports: list[EpochReport] = []
    results: list[Result] = []
    long = replace(CANDIDATE, training=replace(CANDIDATE.training, epochs=500))

    def watch() -> None:
        results.extend(engine.collect(0.05))
        reports.extend(engine.reports())

    try:
        engine.submit(1, long)
        wait_until(lambda: watch() or len(reports) > 2, 120)
        assert [(r.ticket, r.epoch, r.epochs) for r in reports[:3]] == [(1, n, 500) for n in (1, 2, 3)]
        os.kill(multiprocessing.active_children()[0].pid or 0, signal.SIGKILL)
        wait_until(lambda: watch() or results != [])
        assert isinstance(results.pop().outcome, Failure)
        reports.clear()
        engine.submit(2, CANDIDATE)
        wait_until(lambda: watch() or results != [], 120)
    finally:
        engine.close()
    evaluation = results[0].outcome
    assert isinstance(evaluation, Evaluation)
    # The last one may come with the result, when nobody asks any more.
    told = [(r.ticket, r.epoch, r.metric) for r in reports]
    assert told == [(2, point.epoch, point.metric) for point in evaluation.observation.curve][: len(told)]
    assert len(told) >= 7


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_stopped_worker_ends_with_its_coordinator() -> None:
    """Killed in the middle of a timing, a coordinator cannot let its workers go on."""
    code = (
        "import multiprocessing, sys, time\n"
        "from runners.engines.local import LocalEngine\n"
        "from tests.runners.engines.test_local import CANDIDATE, WorkersConfig\n"
        "if __name__ == '__main__':\n"
        "    engine = LocalEngine(WorkersConfig(workers=1, threads=1))\n"
        "    engine.submit(1, CANDIDATE)\n"
        "    engine.collect(4.0)\n"  # until it trains
        "    with engine.quiet():\n"
        "        print(multiprocessing.active_children()[0].pid, flush=True)\n"
        "        time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as coordinator:
        assert coordinator.stdout is not None
        worker = psutil.Process(int(coordinator.stdout.readline()))
        wait_until(lambda: worker.status() == psutil.STATUS_STOPPED)
        os.kill(coordinator.pid, signal.SIGKILL)
    psutil.wait_procs([worker], timeout=10)
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE


def test_workers_have_the_environment_of_their_coordinator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not of the time when the server that they are forked from was started."""
    for value in ("one", "two"):
        monkeypatch.setenv("RESFRONT_TEST", value)
        start = (1, dict(os.environ))
        with ProcessPoolExecutor(1, worker_context("cpu"), initializer=start_worker, initargs=start) as pool:
            assert pool.submit(os.getenv, "RESFRONT_TEST").result() == value


def test_workers_of_a_gpu_are_not_forked() -> None:
    """CUDA that was asked anything before does not survive it."""
    assert worker_context("cuda").get_start_method() == "spawn"
    assert worker_context("cpu").get_start_method() == ("forkserver" if sys.platform == "linux" else "spawn")


@pytest.mark.slow
@pytest.mark.parametrize("place", ["modules of the same names", "a path too long for a socket"])
def test_workers_start_wherever_it_is_called_from(tmp_path: Path, place: str) -> None:
    code = (
        "import os, sys\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from runners.engines.processes.worker_start import start_worker, worker_context\n"
        "if __name__ == '__main__':\n"
        "    context = worker_context('cpu')\n"
        "    with ProcessPoolExecutor(1, context, initializer=start_worker, initargs=(1, dict(os.environ))) as pool:\n"
        "        pool.submit(os.getpid).result()\n"
        "    print(context.get_start_method())\n"
    )
    (tmp_path / "start.py").write_text(code)
    working, temporary = tmp_path / "working", tmp_path / ("long" * 30)
    for folder in (working / "runners", working / "torch", temporary):
        folder.mkdir(parents=True)
    for name in ("runners", "torch"):
        (working / name / "__init__.py").write_text("raise RuntimeError('another module')")
    environment = dict(os.environ)
    if place == "a path too long for a socket":
        environment["TMPDIR"] = str(temporary)
    command = [sys.executable, str(tmp_path / "start.py")]
    done = subprocess.run(command, cwd=working, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    forked = sys.platform == "linux" and "long" not in place
    assert done.stdout.strip() == ("forkserver" if forked else "spawn")
