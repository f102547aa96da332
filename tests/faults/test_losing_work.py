"""What a study has found or kept must survive databases, folders and processes that are not what they should be."""

from pathlib import Path

import pytest
import torch

from runners.candidate import Candidate
from runners.engine import Failure
from runners.local import _outcome
from runners.worker_pool import WorkerDied
from studies.reading import load_results
from studies.search import run_search
from studies.study import resume_study
from tests.runners.fake_engine import Answer, fake_evaluation
from tests.studies.command import Resfront
from tests.studies.conftest import without_program

from .conftest import Saw
from .studies import (
    answer_with,
    engine,
    finished_study,
    resfront,
)

__all__ = ["engine", "resfront", "without_program"]
pytestmark = pytest.mark.usefixtures("engine")


# --- what failed for its surroundings ---------------------------------------------------------------


def raised(error: Exception) -> Failure:
    """What the engine makes of an error in a worker."""
    failure = _outcome(error)
    assert isinstance(failure, Failure)
    return failure


SURROUNDINGS = {
    "a worker killed twice": WorkerDied("the worker died (exit code -9)"),
    "no memory": MemoryError(),
    "no memory, as torch says it": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
    "no memory on a GPU": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    "a full disk": OSError(28, "No space left on device"),
    "too many open files": RuntimeError("OSError: [Errno 24] Too many open files"),
}


@pytest.mark.fault("a trial fails for {what}, then --resume", expected="the same trial is tried again")
@pytest.mark.parametrize("what", SURROUNDINGS)
def test_what_failed_for_its_surroundings_is_tried_again(
    tmp_path: Path, resfront: Resfront, monkeypatch: pytest.MonkeyPatch, saw: Saw, what: str
) -> None:
    tried: list[str] = []

    def fails_once(candidate: Candidate) -> Answer:
        tried.append(str(candidate.spec))
        return raised(SURROUNDINGS[what]) if tried.count(tried[0]) <= 2 and tried[-1] == tried[0] else fine(candidate)

    def fine(candidate: Candidate) -> Answer:
        return fake_evaluation(candidate)

    answer_with(monkeypatch, fails_once)
    directory = finished_study(tmp_path / "study").directory
    failed = load_results(directory).trials.set_index("trial").loc[0]
    assert failed["status"] == "failed" and "--resume tries it again" in failed["reason"]
    assert resfront("status", "study", "--runs", tmp_path, "--json").json["failed"] == 1
    answer_with(monkeypatch, fine)
    assert resfront("search", "--resume", "--name", "study", "--runs", tmp_path).code == 0
    after = load_results(directory)
    saw(f"trial 0 is {after.trials['status'][0]}; {after.count('completed')} of 8 completed")
    assert after.count("completed") == 8 and after.count("failed") == 0
    again = after.trials.set_index("trial").loc[0]
    assert (again["status"], again["key"]) == ("completed", failed["key"])


@pytest.mark.fault("a trial fails for {what}, then --resume", expected="it stays failed")
@pytest.mark.parametrize(
    ("what", "failure"),
    [
        ("its own divergence", Failure(kind="diverged", reason="nan")),
        ("an error in the code", Failure(kind="error", reason="ValueError: no")),
    ],
)
def test_what_failed_for_itself_stays_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, failure: Failure
) -> None:
    asked: list[Candidate] = []

    def answer(candidate: Candidate) -> Answer:
        asked.append(candidate)
        return failure if len(asked) == 1 else fake_evaluation(candidate)

    answer_with(monkeypatch, answer)
    record = finished_study(tmp_path / "study")
    run_search(resume_study(record.directory, record.config))
    assert len(asked) == 8
    assert load_results(record.directory).trials["status"][0] == "failed"
