"""What must hold where the kernel does not end workers with their coordinator, as on macOS; played on Linux."""

import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import psutil
import pytest

from runners.engines.processes.wake_stopped import Watchdog

from .conftest import Saw

ROOT = Path(__file__).parents[2]
ELSEWHERE = """
import sys, types
import runners.engines.processes.worker_start
runners.engines.processes.worker_start.sys = types.SimpleNamespace(**{**vars(sys), "platform": "darwin"})
"""
"""Python runs this in every process that finds it as sitecustomize: workers are spawned, and get no death signal."""
COORDINATOR = """
import os, pathlib, signal, time
from runners.engines.processes.pool import WorkerPool

def collect(pool):
    while not pool.collect(0.2):
        pass

if __name__ == "__main__":
    pool = WorkerPool(workers=1, threads=1, device="cpu")
    for killed in range({workers_before}):
        pool.submit(killed, os.getenv)
        collect(pool)
        with pool.quiet():
            pass
        pool._slots[0].process.kill()
        pool._slots[0].process.join()
    pool.submit(-1, os.getenv)
    collect(pool)
    with pool.quiet():
        pathlib.Path("worker").write_text(str(pool._slots[0].process.pid))
        time.sleep(0.5)  # until it has stopped
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.fault(
    "no death signal: the coordinator is killed while its worker is stopped, after {workers_before} others",
    expected="the worker ends",
)
@pytest.mark.parametrize("workers_before", [0, pytest.param(1, marks=pytest.mark.long)])
def test_no_worker_stays_stopped(workers_before: int, tmp_path: Path, saw: Saw) -> None:
    (tmp_path / "sitecustomize.py").write_text(ELSEWHERE)
    (tmp_path / "coordinator.py").write_text(COORDINATOR.format(workers_before=workers_before))
    search_path = os.pathsep.join([str(tmp_path), str(ROOT)])
    # A session of its own: else a shell's end of the process group might let the worker go on.
    coordinator = subprocess.Popen(
        [sys.executable, "coordinator.py"],
        env={**os.environ, "PYTHONPATH": search_path},
        cwd=tmp_path,
        start_new_session=True,
    )
    assert coordinator.wait(200) == -signal.SIGKILL
    worker = int((tmp_path / "worker").read_text())
    try:
        alive = psutil.wait_procs([psutil.Process(worker)], timeout=20)[1] if psutil.pid_exists(worker) else []
        saw([process.status() for process in alive] or "it has ended")
        assert not alive
    finally:
        if psutil.pid_exists(worker):
            os.kill(worker, signal.SIGKILL)


@pytest.mark.fault("the watchdog is {how}", expected="a stopped process goes on")
@pytest.mark.parametrize("how", ["left by its parent", "killed before"])
def test_the_watchdog_lets_go_on(how: str, saw: Saw) -> None:
    watchdog = Watchdog()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        if how == "killed before":
            watchdog._process.kill()
            watchdog._process.wait()
        watchdog.watch([process.pid])
        os.kill(process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        watchdog.close()
        os.waitid(os.P_PID, process.pid, os.WCONTINUED)
        saw(psutil.Process(process.pid).status())
        assert psutil.Process(process.pid).status() != psutil.STATUS_STOPPED
        process.kill()


@pytest.mark.fault(
    "somebody looks for Windows", expected="no code pretends to run there; the classifiers say where it does"
)
def test_no_code_is_for_windows(saw: Saw) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    systems = {each for each in project["classifiers"] if each.startswith("Operating System")}
    assert systems == {"Operating System :: POSIX :: Linux", "Operating System :: MacOS"}
    packages = ("search_space", "objectives", "runners", "studies", "tests")
    files = [path for package in packages for path in (ROOT / package).rglob("*.py") if path != Path(__file__)]
    words = ("win32", "BELOW_NORMAL", 'os.name == "nt"', "WindowsError", "msvcrt")
    found = [path.relative_to(ROOT).as_posix() for path in files if any(word in path.read_text() for word in words)]
    saw(found or "none")
    assert found == []
