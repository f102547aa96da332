"""How far can a proxy be trusted? Figures by hand, and a few real trainings through the command line."""

import json
import math
from pathlib import Path

import pytest

from studies.analysis.fidelity import LongerTrained, choose_networks, fidelity_of, shortness
from studies.figures.trainings.fidelity_figure import draw_fidelity
from studies.results.reading import load_results
from studies.results.study_results import StudyResults
from tests.studies.command import Resfront
from tests.studies.synthetic import write_study

pytestmark = pytest.mark.numbers


def network(trial: int, proxy: float, full: float, front: bool = False) -> LongerTrained:
    return LongerTrained(
        trial=trial, front=front, proxy_accuracy=proxy, full_accuracy=full, proxy_s=1.0, full_s=10.0, network="net"
    )


def test_figures_by_hand() -> None:
    """Of six pairs five agree: tau = (5 - 1) / 6. The proxy's first has 0.88, the best 0.9."""
    found = fidelity_of(
        [network(1, 0.5, 0.7, True), network(2, 0.6, 0.8, True), network(3, 0.7, 0.9, True), network(4, 0.8, 0.88)],
        9,
        0,
    )
    assert found.tau == pytest.approx(4 / 6)
    assert found.tau_front == pytest.approx(1)
    assert found.regret == pytest.approx(0.02)
    assert (found.proxy_s, found.full_s) == (1, 10)
    figure = draw_fidelity(found)
    assert [len(trace.x) for trace in figure.data] == [1, 3]
    assert "0.67" in figure.layout.title.subtitle.text
    assert math.isnan(fidelity_of([network(1, 0.5, 0.7), network(2, 0.6, 0.8)], 9, 0).tau)


def test_the_choice_spreads_over_the_front(drone: StudyResults) -> None:
    front = drone.front.sort_values("accuracy")["trial"].tolist()
    chosen = choose_networks(drone, 3)
    on_front = [trial for trial in chosen if trial in front]
    assert on_front[0] == front[0] and on_front[-1] == front[-1]
    others = [trial for trial in chosen if trial not in front]
    completed = set(drone.trials["trial"][drone.trials["status"] == "completed"])
    assert len(others) == min(3, len(completed) - len(front)) and set(others) < completed
    assert choose_networks(drone, 3) == chosen
    assert len(choose_networks(drone, 100)) == len(completed)


def test_a_longer_training_that_is_not_is_said(drone: StudyResults) -> None:
    """The synthetic study's proxy: 8 epochs of 10,000 images."""
    note = shortness(drone, 2, 1000)
    assert note is not None and note.startswith("2 x 1,000 images are not more than the proxy's 8 x 10,000")
    assert shortness(drone, 9, 10_000) is None
    assert shortness(drone, 1, 0) is None  # all images, of which there may be more


@pytest.mark.slow
def test_on_real_images(resfront: Resfront, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of the front and two others; a second look trains nothing."""
    monkeypatch.setenv("RESFRONT_DATA", str(tmp_path / "cache"))
    write_study(tmp_path / "drone", trials=20)
    options = ("fidelity", "drone", "--runs", tmp_path, "--top", 2, "--epochs", 1, "--images", 128, "--workers", 2)
    first = resfront(*options)
    assert first.code == 0, first.err
    assert (
        first.err.count("1 epoch ") == 4
        and "note: 1 x 128 images are not more" in first.err
        and "Kendall's tau" in first.out
    )
    kept = json.loads((tmp_path / "drone" / "fidelity.json").read_text())
    assert len(kept["networks"]) == 4 and (tmp_path / "drone" / "fidelity.html").exists()
    results = load_results(tmp_path / "drone").trials.set_index("trial")
    for one in kept["networks"]:
        assert one["proxy_accuracy"] == results.loc[one["trial"], "accuracy"]
        assert 0 < one["full_accuracy"] < 1
    weights = {
        path: path.stat().st_mtime_ns for path in (tmp_path / "cache" / "networks").glob("*/weights.safetensors")
    }
    assert len(weights) == 4
    assert resfront(*options, "--json").json["networks"] == kept["networks"]
    assert all(path.stat().st_mtime_ns == when for path, when in weights.items())
