"""A study that knows what to expect from earlier ones: `--like`, and the file that keeps it."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import kendalltau

from objectives.latency.device import DeviceUnavailable
from runners.prior import read_prior, shipped_prior
from search_space.architectures import architecture_from_dict
from studies.launch import run as search
from studies.launch.priors import OWN_WEIGHT, trainings_of
from studies.results.reading import load_results
from studies.results.tables import StudyResults
from tests.faults.studies import CONFIG, answer_with, finished_study, with_trials
from tests.studies.command import Resfront, run_main

LIKE = (
    "search",
    "quick",
    "--data",
    "digits",
    "--set",
    "space.resolution=[8]",
    "--set",
    "objectives=['accuracy','macs']",
)


@pytest.fixture
def resfront(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Resfront:
    """The command on studies whose networks are evaluated at once, beside the finished study `before`."""
    answer_with(monkeypatch)
    finished_study(tmp_path / "before")
    return lambda *args: run_main(capsys, monkeypatch, (*args, "--runs", tmp_path))


def test_a_studys_trials_are_trainings(drone: StudyResults) -> None:
    found = trainings_of(drone)
    done = drone.trials[drone.trials["status"] == "completed"]
    assert found.accuracy.tolist() == done["accuracy"].tolist() and found.images == drone.validation_images
    assert len(found.features) == len(done)


def test_it_is_kept_in_the_study_and_used_on_resume(resfront: Resfront, tmp_path: Path) -> None:
    done = resfront(*LIKE, "--name", "new", "--trials", 3, "--like", "before")
    assert done.code == 0, done.err
    assert "expects what earlier networks have shown: " in done.err and ", 8 on before\n" in done.err
    kept = read_prior(tmp_path / "new" / "prior.npz")
    own = kept.trainings[-1]
    assert (own.name, len(own.accuracy), own.weight) == ("before", 8, OWN_WEIGHT)
    assert [each.name for each in kept.trainings[:-1]] == [each.name for each in shipped_prior().trainings]
    assert resfront("search", "--resume", "--name", "new", "--trials", 5).code == 0
    assert load_results(tmp_path / "new").count("completed") == 5
    changed = resfront("search", "--resume", "--name", "new", "--trials", 6, "--like", "shipped")
    assert changed.code == 2 and "like" in changed.err
    (tmp_path / "new" / "prior.npz").write_bytes(kept.with_trainings(kept.trainings[1:]).to_bytes())
    other = resfront("search", "--resume", "--name", "new", "--trials", 6)
    assert other.code == 4 and "prior.npz: is not what the study was made with" in other.err
    (tmp_path / "new" / "prior.npz").unlink()
    missing = resfront("search", "--resume", "--name", "new", "--trials", 6)
    assert missing.code == 4 and "prior.npz" in missing.err
    assert load_results(tmp_path / "new").count("completed") == 5


def test_no_network_of_each_block_comes_first(resfront: Resfront, tmp_path: Path) -> None:
    """What earlier studies say takes its place."""
    for name, like in (("without", "none"), ("with", "before")):
        done = resfront(*LIKE, "--name", name, "--trials", 6, "--references", "", "--like", like)
        assert done.code == 0, done.err
    first = {
        name: [spec["stages"][0]["block"] for spec in load_results(tmp_path / name).trials["spec"][:3]]
        for name in ("without", "with")
    }
    assert len(set(first["without"])) == 3
    assert not (tmp_path / "without" / "prior.npz").exists()


def test_what_ships_is_known_by_default(resfront: Resfront, tmp_path: Path) -> None:
    for name, options in (("usual", ()), ("other", ("--sampler", "random"))):
        done = resfront(*LIKE, "--name", name, "--trials", 3, *options)
        assert done.code == 0, done.err
    assert (tmp_path / "usual" / "prior.npz").read_bytes() == shipped_prior().to_bytes()
    assert not (tmp_path / "other" / "prior.npz").exists()
    assert resfront("search", "--resume", "--name", "usual", "--trials", 4, "--like", "shipped").code == 0
    assert resfront("search", "--resume", "--name", "usual", "--trials", 5, "--like", "none").code == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--like", "before", "--sampler", "tpe"), "like: the sampler tpe learns nothing from earlier studies"),
        (("--like", "shipped", "--sampler", "random"), "like: the sampler random learns nothing"),
    ],
)
def test_what_cannot_be_is_said(resfront: Resfront, tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    done = resfront(*LIKE, "--name", "new", *options)
    assert done.code == 2 and words in done.err and not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("name", "words"), [("nothing", "unknown study 'nothing'; known: before"), ("few", "few: has 3 completed trials")]
)
def test_studies_that_say_nothing(resfront: Resfront, tmp_path: Path, name: str, words: str) -> None:
    finished_study(tmp_path / "few", with_trials(CONFIG, 3))
    done = resfront(*LIKE, "--name", "new", "--like", name)
    assert done.code in (2, 3) and words in done.err and not (tmp_path / "new").exists()


def test_the_command_says_what_there_is_and_how_far_a_study_agrees(resfront: Resfront, tmp_path: Path) -> None:
    shipped = run_prior(resfront)
    assert shipped["study"] is None and all(-1 <= each["kendall_tau"] <= 1 for each in shipped["trainings"])
    assert resfront(*LIKE, "--name", "new", "--trials", 6, "--like", "none", "--like", "before").code == 0
    found = run_prior(resfront, "new")
    (before,) = found["trainings"]
    assert (before["name"], before["networks"], before["kendall_tau"]) == ("before", 8, None)
    results, kept = load_results(tmp_path / "new"), read_prior(tmp_path / "new" / "prior.npz")
    done = results.trials[results.trials["status"] == "completed"]
    graphs = [architecture_from_dict(dict(spec)).build_graph() for spec in done["spec"]]
    expected, accuracy = [kept.expectation(graph) for graph in graphs], done["accuracy"].to_numpy(dtype=float)
    tau = kendalltau(expected, accuracy)[0]
    slope, offset = np.polyfit(expected, np.log(accuracy / (1 - accuracy)), 1)
    errors = 1 / (1 + np.exp(-(slope * np.array(expected) + offset))) - accuracy
    assert found["study"] == {
        "networks": 6,
        "kendall_tau": pytest.approx(tau),
        "error": pytest.approx(math.sqrt(float(np.mean(errors**2)))),
        "deviation": pytest.approx(float(np.std(accuracy))),
    }
    text = resfront("prior", "new").out
    assert "before" in text and f"new: tau {tau:.2f}, error " in text and "over 6 networks trained so far" in text
    none = resfront("prior", "before")
    assert none.code == 2 and "knows nothing from earlier studies" in none.err


def run_prior(resfront: Resfront, *args: str) -> dict[str, Any]:
    found: dict[str, Any] = resfront("prior", *args, "--json").json
    return found


def test_a_study_that_never_began_leaves_nothing(
    resfront: Resfront, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unplugged(*arguments: object) -> None:
        raise DeviceUnavailable("the device is unplugged")

    monkeypatch.setattr(search, "open_meter", unplugged)
    done = resfront(*LIKE, "--name", "new", "--like", "before")
    assert done.code == 3 and "the name is free" in done.err and not (tmp_path / "new").exists()
