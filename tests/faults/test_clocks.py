"""Clocks that are corrected, laptops that sleep and processes that are stopped: no figure and no trial goes by them."""

import ast
import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from runners.engines.processes import awake_clock
from runners.engines.processes.pool import WorkerPool
from runners.storage.study_files import study_lock
from runners.storage.study_heartbeat import HEARTBEAT, is_running
from studies.report.report_text import summary
from tests.studies.conftest import make_results, make_trials
from tests.studies.search_process import Search, stored

from .conftest import Saw

HOUR_S = 3600.0
PACKAGES = ("search_space", "objectives", "runners", "studies")
DATES = {
    "runners/storage/study_heartbeat.py",
    "studies/study/record.py",
    "studies/report/page.py",
    "objectives/latency/prediction/calibrate.py",
}
"""Modules that write down when something was made, or look at the times of files."""


@pytest.fixture
def beating(tmp_path: Path) -> Iterator[Path]:
    """A directory whose study runs in this process."""
    with study_lock(tmp_path):
        deadline = time.monotonic() + 20
        while not is_running(tmp_path):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield tmp_path


@pytest.mark.fault("the clock is corrected by {hours} h while a study runs", expected="it is said to run")
@pytest.mark.parametrize("hours", [-1, 1])
def test_a_running_study_whose_clock_is_corrected(
    hours: int, beating: Path, monkeypatch: pytest.MonkeyPatch, saw: Saw
) -> None:
    now = time.time() + hours * HOUR_S
    monkeypatch.setattr(time, "time", lambda: now)
    saw(is_running(beating))
    assert is_running(beating)


@pytest.mark.fault("a dead study's heartbeat, {age}", expected="it does not run")
@pytest.mark.parametrize("age", ["from the future", "from the future, of another machine", "fresh by its file's time"])
def test_a_dead_study(age: str, beating: Path, monkeypatch: pytest.MonkeyPatch, saw: Saw) -> None:
    """The process has been killed an hour ago, and then the clock was set back."""
    while not (words := (beating / HEARTBEAT).read_text().split()):
        time.sleep(0.01)  # it is being written
    dead = beating / "dead"
    dead.mkdir()
    boot = "another" if "another" in age else words[0]
    (dead / HEARTBEAT).write_text(f"{boot} {time.monotonic() - HOUR_S}\n")
    moment = time.time() + (HOUR_S if "future" in age else 0)
    os.utime(dead / HEARTBEAT, (moment, moment))
    saw(is_running(dead))
    assert not is_running(dead)


def busy(seconds: float, device: str) -> int:
    """Compute for so long, by the time of this process."""
    began = time.process_time()
    while time.process_time() - began < seconds:
        pass
    return os.getpid()


@pytest.mark.fault("coordinator and workers are stopped for longer than a trial may take", expected="the trial is done")
def test_time_in_which_all_were_stopped_does_not_count(monkeypatch: pytest.MonkeyPatch, saw: Saw) -> None:
    monkeypatch.setattr(awake_clock, "LONGEST_GAP_S", 0.5)
    with closing(WorkerPool[Any](workers=1, threads=1, device="cpu", timeout_s=3.0)) as pool:
        pool.submit(1, partial(busy, 0.0))
        pid = _ended(pool)
        pool.submit(2, partial(busy, 0.3))
        pool.collect(0.05)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(3.5)  # as if this process were stopped too
        os.kill(pid, signal.SIGCONT)
        found = _ended(pool)
    saw(found)
    assert found == pid


@pytest.mark.fault("a trial that does not end", expected="it fails after its time all the same")
def test_a_task_that_is_too_slow_still_is(saw: Saw) -> None:
    with closing(WorkerPool[Any](workers=1, threads=1, device="cpu", timeout_s=0.5)) as pool:
        pool.submit(1, partial(busy, 60.0))
        found = _ended(pool)
    saw(found)
    assert "took longer than 0.5 s" in str(found)


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.fault("Ctrl-Z for longer than a trial may take, then fg", expected="no trial fails")
def test_a_search_that_is_stopped_for_a_while(tmp_path: Path, saw: Saw) -> None:
    search = Search(tmp_path, "--set", "workers.trial_timeout_s=8", "--workers", "2")
    search.wait_until(lambda: search.evaluated() >= 1)
    os.killpg(search.process.pid, signal.SIGSTOP)
    time.sleep(12)
    os.killpg(search.process.pid, signal.SIGCONT)
    assert search.finish() == 0, search.log.read_text()
    states = [trial.state.name for trial in stored(tmp_path)]
    saw(states)
    assert states.count("COMPLETE") == 5 and "FAIL" not in states


@pytest.mark.fault("the clock is set back {when}", expected="the report states no time that cannot be")
@pytest.mark.parametrize("when", ["between two trials", "in the only trial"])
def test_the_time_that_a_report_states(when: str, saw: Saw) -> None:
    trials = make_trials(["completed"] * (6 if when == "between two trials" else 1))
    told = summary(make_results(trials))["Time"]
    assert "from the first trial to the last" in told
    if when == "between two trials":
        trials.loc[3:, ["started", "finished"]] -= pd.Timedelta(hours=30)
    else:
        trials["finished"] -= pd.Timedelta(hours=1)
    now = summary(make_results(trials))["Time"]
    saw(now)
    assert now == told.partition(",")[0]


@pytest.mark.fault("a duration by the clock on the wall", expected="only dates are taken from it")
def test_nothing_else_asks_for_the_time_of_day(saw: Saw) -> None:
    root = Path(__file__).parents[2]
    found = set()
    for path in (path for package in PACKAGES for path in (root / package).rglob("*.py")):
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
        if any(ast.unparse(call) in ("time.time", "datetime.now", "datetime.datetime.now") for call in calls):
            found.add(path.relative_to(root).as_posix())
    saw(sorted(found))
    assert found == DATES


def _ended(pool: WorkerPool[Any]) -> Any:
    deadline = time.monotonic() + 60
    while not (found := pool.collect(0.1)):
        assert time.monotonic() < deadline
    return found[0].result
