"""Processes that die: the coordinator and its workers are killed at several moments, and nothing finished is lost."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from optuna.trial import FrozenTrial, TrialState

from studies.results.reading import load_results
from tests.studies.search_process import CONFIG, Search, finished, stored


@pytest.mark.slow
def test_a_killed_coordinator_loses_nothing_that_was_finished(tmp_path: Path) -> None:
    """Killed while its workers' server starts and, resumed, after two trials; then resumed to the end."""
    known: dict[int, FrozenTrial] = {}
    first_params: dict[int, dict[str, object]] = {}
    for trials_here in (0, 2):
        search = Search(tmp_path, resume=trials_here > 0)
        if trials_here == 0:
            search.wait_until(search.has_begun)
        else:
            search.wait_until(lambda search=search, n=trials_here: search.evaluated() >= n)
        family = psutil.Process(search.process.pid).children(recursive=True)
        assert family
        os.kill(search.process.pid, signal.SIGKILL)
        search.finish()
        _, alive = psutil.wait_procs(family, timeout=20)
        assert not alive, "workers outlive their coordinator"
        now = finished(tmp_path)
        assert {number: now[number] for number in known} == known
        known = now
        first_params |= {t.number: t.params for t in stored(tmp_path) if t.number not in first_params}
    last = Search(tmp_path, resume=True)
    assert last.finish() == 0, last.log.read_text()
    trials = stored(tmp_path)
    assert {t.number: t for t in trials if t.number in known} == known
    assert all(trial.state.is_finished() for trial in trials)
    assert sum(trial.state == TrialState.COMPLETE for trial in trials) >= 5
    for number, params in first_params.items():
        assert params.items() <= trials[number].params.items(), "a resumed trial has other parameters"
    results = load_results(tmp_path / "digits")
    for trial in results.front["trial"]:
        assert (tmp_path / "digits" / "trials" / f"{trial:05d}" / "weights.safetensors").exists()


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["a worker", "each worker", "their server"])
def test_killed_workers_cost_an_attempt(tmp_path: Path, victim: str) -> None:
    search = Search(tmp_path, "--workers", "2")
    search.wait_until(lambda: search.evaluated() >= 1)
    workers = search.workers()
    for process in {"a worker": workers[:1], "each worker": workers, "their server": search.children()}[victim]:
        process.send_signal(signal.SIGKILL)
    assert search.finish() == 0, search.log.read_text()
    assert all(trial.state.is_finished() for trial in stored(tmp_path))
    results = load_results(tmp_path / "digits")
    assert results.count("completed") == 5
    assert results.count("failed") == 0


@pytest.mark.slow
def test_ctrl_c_ends_resumable(tmp_path: Path) -> None:
    search = Search(tmp_path, "--trials", "200")
    search.wait_until(lambda: search.evaluated() >= 1)
    second = Search(tmp_path, "--trials", "200", resume=True)
    assert second.finish() == 4, "two processes may not own one study"
    assert "another process is running this study" in second.log.read_text()
    os.killpg(search.process.pid, signal.SIGINT)  # as a terminal does: to the workers too
    assert search.finish() == 130
    assert "go on with: resfront search --resume --name digits" in search.log.read_text()
    trials = stored(tmp_path)
    assert all(trial.state.is_finished() for trial in trials), "the running trials were to be finished"
    assert 1 <= len(trials) < 200


@pytest.mark.slow
def test_ctrl_c_while_the_workers_start_is_no_failure(tmp_path: Path) -> None:
    search = Search(tmp_path)
    search.wait_until(search.has_begun)
    os.killpg(search.process.pid, signal.SIGINT)
    # Before the coordinator counts them, one Ctrl-C ends the process as it ends any other.
    assert search.finish() in (130, -signal.SIGINT), search.log.read_text()
    assert "Traceback" not in search.log.read_text()
    last = Search(tmp_path, resume=True)
    assert last.finish() == 0, last.log.read_text()
    assert len(finished(tmp_path)) >= 5


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_at_once_leaves_the_running_trials_to_be_resumed(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C twice, or one SIGTERM, sent to the workers and their server too, as `timeout` and systemd do."""
    search = Search(tmp_path, "--trials", "200", "--workers", "2")
    search.wait_until(lambda: search.evaluated() >= 1)
    os.killpg(search.process.pid, number)
    if number == signal.SIGINT:
        time.sleep(0.05)  # two signals of one number at once may arrive as one
        os.killpg(search.process.pid, number)
    assert search.finish() == 130
    assert "Traceback" not in search.log.read_text()
    assert "go on with" in search.log.read_text()
    evaluated = len(finished(tmp_path))
    assert 1 <= evaluated < 200
    if number == signal.SIGTERM:
        last = Search(tmp_path, "--trials", str(evaluated + 1), resume=True)
        assert last.finish() == 0, last.log.read_text()
        assert len(finished(tmp_path)) > evaluated


@pytest.mark.slow
def test_a_trial_that_takes_too_long_fails_alone(tmp_path: Path) -> None:
    """Deep networks need more than the limit, shallow ones do not; here nothing fits, so the study says why it ends."""
    (tmp_path / "slow.toml").write_text(CONFIG.replace("threads = 1", "threads = 1\ntrial_timeout_s = 0.05"))
    command = [sys.executable, "-m", "studies.cli", "search", str(tmp_path / "slow.toml"), "--runs", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 1
    assert "took longer than 0.05 s" in done.stderr
