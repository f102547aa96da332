"""Processes of a study that are killed or stopped at any moment."""

import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from optuna.trial import FrozenTrial, TrialState

from objectives.pareto import pareto_mask
from studies.results.reading import load_results
from tests.studies.search_process import Search, finished, stored

from .conftest import Saw


def kill(search: Search) -> list[psutil.Process]:
    """Kill a search, and return what it leaves behind of its processes."""
    family = psutil.Process(search.process.pid).children(recursive=True)
    os.kill(search.process.pid, signal.SIGKILL)
    search.finish()
    _, alive = psutil.wait_procs(family, timeout=20)
    return alive


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.fault(
    "twenty SIGKILLs at random moments", expected="every finished trial is kept as it was, and the front's weights"
)
def test_twenty_kills_at_random_lose_no_finished_trial(tmp_path: Path, saw: Saw) -> None:
    moments = random.Random(2)
    known: dict[int, FrozenTrial] = {}
    for kills in range(20):
        search = Search(tmp_path, "--trials", "60", "--workers", "2", resume=kills > 0)
        deadline = time.monotonic() + moments.uniform(0.3, 9.0)
        while time.monotonic() < deadline and search.process.poll() is None:
            time.sleep(0.02)
        if search.process.poll() is None:
            assert kill(search) == [], "processes outlive their coordinator"
        else:
            assert search.finish() == 0, search.log.read_text()
        if not (tmp_path / "digits" / "study.db").exists():
            (tmp_path / "digits.toml").unlink()
            continue
        now = finished(tmp_path)
        assert {number: now[number] for number in known} == known
        known = now
    last = Search(tmp_path, "--trials", "60", resume=True)
    assert last.finish() == 0, last.log.read_text()
    assert all(trial.state.is_finished() for trial in stored(tmp_path))
    complete = sum(trial.state == TrialState.COMPLETE for trial in stored(tmp_path))
    # Weights are kept by the first accuracies: what comes to the front by the mean of two trainings may have none.
    done = load_results(tmp_path / "digits").trials.query("status == 'completed'")
    first = done["first_metric"].where(done["trainings"] > 1, done["accuracy"])
    on_front = pareto_mask(np.column_stack([-first, np.log(done["macs"])]), done["feasible"].astype(bool).tolist())
    for number in done["trial"][on_front]:
        assert (tmp_path / "digits" / "trials" / f"{number:05d}" / "weights.safetensors").exists()
    saw(f"{len(known)} finished trials at the last kill, none changed; {complete} complete at the end")


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.fault("the server is stopped while it starts, and the coordinator killed", expected="nothing is left")
def test_a_server_that_was_stopped_early_ends_with_its_coordinator(tmp_path: Path, saw: Saw) -> None:
    """A latency limit has networks timed, and so workers held still, from the beginning."""
    for attempt in range(10):
        runs = tmp_path / str(attempt)
        runs.mkdir()
        search = Search(runs, "--max", "latency_ms=2", "--objectives", "accuracy,latency_ms")
        search.wait_until(search.has_begun)
        time.sleep(0.1 * attempt)
        assert kill(search) == []
    saw("nothing, ten times")
