"""A study that knows what to expect from earlier ones: `--like`, and the file that keeps it."""

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import kendalltau

from objectives import known_costs
from objectives.latency.device import DeviceUnavailable
from runners.candidate import Candidate, Evaluation
from runners.prior import read_prior, shipped_prior
from search_space.architectures import architecture_from_dict
from studies.launch import run as search
from studies.launch.priors import OWN_WEIGHT, trainings_of
from studies.results.reading import load_results
from studies.results.study_results import StudyResults
from tests.faults.studies import CONFIG, answer_with, finished_study, with_trials
from tests.runners.engines.fake_engine import fake_evaluation
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


def differing(candidate: Candidate) -> Evaluation:
    """The usual made-up accuracies, 20 times as far from each other, so that 144 images tell them apart."""
    found = fake_evaluation(candidate)
    accuracy = min(max(20 * (found.observation.accuracy - 0.8), 0.05), 0.95)
    return replace(found, observation=replace(found.observation, metrics={"accuracy": accuracy}))


@pytest.fixture
def resfront(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Resfront:
    """The command on studies whose networks are evaluated at once, beside the finished study `before`."""
    answer_with(monkeypatch, differing)
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
    assert "prior: trainings on fashion-mnist (" in done.err and ", before (8 networks)\n" in done.err
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
    assert missing.code == 4 and "prior.npz: is missing; put it back" in missing.err
    assert load_results(tmp_path / "new").count("completed") == 5


def test_no_network_of_each_block_comes_first(resfront: Resfront, tmp_path: Path) -> None:
    """What earlier studies say takes its place."""
    for name, like in (("without", "none"), ("with", "before")):
        done = resfront(*LIKE, "--name", name, "--trials", 6, "--references", "", "--like", like)
        assert done.code == 0, done.err
    first = {
        name: [record.spec["stages"][0]["block"] for record in load_results(tmp_path / name).trials["record"][:3]]
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
    ("name", "words"),
    [
        ("nothing", "unknown study 'nothing'; known: before"),
        ("few", "few: has 3 completed trials; to learn from it takes 5"),
        ("alike", "alike: its accuracies differ no more than by chance on"),
        ("a b", "study 'a b': use letters"),
    ],
)
def test_studies_that_say_nothing(
    resfront: Resfront, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    finished_study(tmp_path / "few", with_trials(CONFIG, 3))
    if name == "alike":
        answer_with(monkeypatch)
        finished_study(tmp_path / "alike")
    done = resfront(*LIKE, "--name", "new", "--like", name)
    assert done.code in (2, 3) and words in done.err and not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["none", "shipped"])
def test_no_study_has_a_name_that_like_takes_for_something_else(resfront: Resfront, tmp_path: Path, name: str) -> None:
    done = resfront(*LIKE, "--name", name)
    assert done.code == 2 and f"study '{name}': `--like {name}` means something else" in done.err
    assert not (tmp_path / name).exists()


def test_the_order_of_earlier_studies_does_not_matter(resfront: Resfront, tmp_path: Path) -> None:
    finished_study(tmp_path / "another")
    assert resfront(*LIKE, "--name", "new", "--trials", 3, "--like", "before", "--like", "another").code == 0
    again = resfront("search", "--resume", "--name", "new", "--trials", 4, "--like", "another", "--like", "before")
    assert again.code == 0, again.err


def test_the_command_says_what_there_is_and_how_far_a_study_agrees(resfront: Resfront, tmp_path: Path) -> None:
    shipped = run_prior(resfront)
    assert shipped["study"] is None and all(-1 <= each["kendall_tau"] <= 1 for each in shipped["trainings"])
    assert resfront(*LIKE, "--name", "new", "--trials", 6, "--like", "none", "--like", "before").code == 0
    found = run_prior(resfront, "new")
    (before,) = found["trainings"]
    assert (before["name"], before["networks"], before["kendall_tau"]) == ("before", 8, None)
    results, kept = load_results(tmp_path / "new"), read_prior(tmp_path / "new" / "prior.npz")
    done = results.trials[results.trials["status"] == "completed"]
    graphs = [architecture_from_dict(dict(record.spec)).build_graph() for record in done["record"]]
    expected, accuracy = [kept.expectation(graph) for graph in graphs], done["accuracy"].to_numpy(dtype=float)
    tau = kendalltau(expected, accuracy)[0]
    logits, x = np.log(accuracy / (1 - accuracy)), np.array(expected)
    errors, of_mean = [], []
    for i in range(6):
        others = np.arange(6) != i
        slope, offset = np.polyfit(x[others], logits[others], 1)
        line = slope * x[i] + offset if slope > 0 else logits[others].mean()
        errors.append(1 / (1 + np.exp(-line)) - accuracy[i])
        of_mean.append(1 / (1 + np.exp(-logits[others].mean())) - accuracy[i])
    macs = [known_costs(graph)["macs"] for graph in graphs]
    assert found["study"] == {
        "networks": 6,
        "trainings": 6,
        "kendall_tau": pytest.approx(tau),
        "p_value": pytest.approx(kendalltau(expected, accuracy)[1]),
        "kendall_tau_of_macs": pytest.approx(kendalltau(macs, accuracy)[0]),
        "error": pytest.approx(math.sqrt(float(np.mean(np.square(errors))))),
        "error_of_mean": pytest.approx(math.sqrt(float(np.mean(np.square(of_mean))))),
    }
    text = resfront("prior", "new").out
    assert "before" in text and f"new, 6 networks trained so far: tau {tau:.2f} (of MACs " in text
    assert ("do not yet show whether the prior holds" in text) == (kendalltau(expected, accuracy)[1] >= 0.05)
    status = resfront("status", "new")
    assert re.search(r"^prior +before$", status.out, re.MULTILINE)
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
