"""Differences in words, worked out by hand, and their numbers against the values on a whole study."""

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from objectives.base import OBJECTIVES, objectives_named
from search_space.errors import UserError
from studies.analysis.trade import beside_reference, trade
from studies.results.study_results import StudyResults

ROW: dict[str, Any] = {"status": "completed", "label": None, "macs": 10e6, "file_bytes": 100e3}


def study_with(
    drone: StudyResults,
    rows: Sequence[dict[str, Any]],
    objectives: Sequence[str] = ("accuracy", "macs"),
    images: int = 2000,
) -> StudyResults:
    """A study whose trials have these figures; keys differ unless they are given."""
    full = [ROW | {"trial": number, "key": str(number)} | row for number, row in enumerate(rows)]
    named = objectives_named(objectives)
    return replace(drone, objectives=named, trials=pd.DataFrame(full), validation_images=images)


# --- one network against another -------------------------------------------------------------------


def test_the_readmes_knee_against_its_most_accurate(drone: StudyResults) -> None:
    knee = {"accuracy": 0.4895, "latency_ms": 0.150, "file_bytes": 272e3}
    top = {"accuracy": 0.5170, "latency_ms": 0.307, "file_bytes": 281e3}
    results = study_with(drone, [knee, top], ["accuracy", "latency_ms", "file_bytes"])
    # 0.150 / 0.307 = 0.4886; 272 / 281 = 0.968; 0.307 / 0.150 = 2.047; 281 / 272 = 1.0331.
    assert trade(results, 0, 1) == "2.75 points less accurate, 51 % less latency, 3.2 % smaller"
    assert trade(results, 1, 0) == "2.75 points more accurate, 2 times the latency, 3.3 % larger"
    assert trade(results, 0, 0) == "the same accuracy, the same latency, the same size"


@pytest.mark.parametrize(
    ("name", "ours", "theirs", "words"),
    [
        ("accuracy", 0.71, 0.70, "1 point more accurate"),
        ("accuracy", 0.70004, 0.70, "the same accuracy"),
        ("accuracy", math.nan, 0.70, "accuracy unknown"),
        ("macs", 60e6, 80e6, "25 % fewer MACs"),
        ("macs", 80e6, 60e6, "33 % more MACs"),
        ("macs", 92e6, 40e6, "2.3 times the MACs"),
        ("macs", 40e8, 40e6, "100 times the MACs"),
        ("macs", 3e6, 80e6, "3.8 % of the MACs"),
        ("macs", 1e3, 80e6, "0.0013 % of the MACs"),
        ("params", 30e3, 20e3, "50 % more parameters"),
        ("bops", 1.5e9, 2e9, "25 % fewer bit operations"),
        ("peak_memory_bytes", 50e3, 40e3, "25 % more peak memory"),
        ("latency_ms", 1.004, 1.0, "the same latency"),
        ("latency_ms", 1.006, 1.0, "0.6 % more latency"),
        ("latency_ms@rpi4", 4.0, 5.0, "20 % less latency on rpi4"),
        ("latency_ms@rpi4", 15.0, 5.0, "3 times the latency on rpi4"),
        ("latency_ms@ssh:me@board", 5.0, 5.0, "the same latency on me@board"),
    ],
)
def test_each_figure_has_its_words(drone: StudyResults, name: str, ours: float, theirs: float, words: str) -> None:
    results = study_with(drone, [{name: ours}, {name: theirs}], [name])
    assert trade(results, 0, 1) == words


def test_every_objective_reads_without_its_unit(drone: StudyResults) -> None:
    """A cost that gets a file of its own tomorrow too."""
    for name in OBJECTIVES:
        words = trade(study_with(drone, [{name: 0.4}, {name: 0.5}], [name]), 0, 1)
        assert "(" not in words and re.match(r"20 % \D+|10 points less accurate", words)


def test_numbers_are_those_of_the_table(drone: StudyResults) -> None:
    rows = drone.trials[drone.trials["status"] == "completed"].set_index("trial")
    for ours, theirs in itertools.permutations(rows.index[:12], 2):
        accuracy, macs, size = trade(drone, ours, theirs).split(", ")
        difference = 100 * (rows.at[ours, "accuracy"] - rows.at[theirs, "accuracy"])
        said = re.fullmatch(r"([\d.]+) points? (more|less) accurate", accuracy)
        assert said and float(said[1]) * (1 if said[2] == "more" else -1) == pytest.approx(difference, abs=0.0051)
        for phrase, name in ((macs, "macs"), (size, "file_bytes")):
            assert ratio_said(phrase) == pytest.approx(rows.at[ours, name] / rows.at[theirs, name], rel=0.06)


def ratio_said(phrase: str) -> float:
    if phrase.startswith("the same"):
        return 1.0
    number = float(phrase.split()[0])
    if " times " in phrase:
        return number
    if " of the " in phrase:
        return number / 100
    return 1 + number / 100 * (1 if re.search("more|larger", phrase) else -1)


def test_further_objectives_and_unknown_trials(drone: StudyResults) -> None:
    results = study_with(drone, [{"accuracy": 0.8, "params": 3.0}, {"accuracy": 0.8, "params": 4.0}])
    both = [OBJECTIVES["params"], OBJECTIVES["macs"]]
    assert trade(results, 0, 1, also=both) == "the same accuracy, the same MACs, 25 % fewer parameters"
    with pytest.raises(UserError, match="no trial 7; it has 2 trials"):
        trade(results, 0, 7)


# --- beside the published networks -----------------------------------------------------------------


def test_the_nearest_trained_reference_is_that_of_the_nearest_accuracy(drone: StudyResults) -> None:
    rows = [
        {"accuracy": 0.500, "macs": 41e6, "file_bytes": 46e3},
        {"accuracy": 0.470, "macs": 41e6, "file_bytes": 46e3, "label": "resnet20"},
        {"accuracy": 0.512, "macs": 100e6, "file_bytes": 200e3, "label": "resnet32"},
        {"accuracy": 0.501, "label": "resnet44", "status": "rejected"},
        {"accuracy": math.nan, "label": "resnet56", "status": "failed"},
    ]
    words = beside_reference(study_with(drone, rows), 0)
    accuracy = "1.2 points below resnet32 (within the error of 2,000 images)"
    assert words == f"{accuracy} at 41 % of the MACs and 23 % of the size"
    assert beside_reference(study_with(drone, rows), 4) is None


@pytest.mark.parametrize(
    ("accuracy", "images", "words"),
    [
        # At 0.5 the standard error of a difference is sqrt(0.5 / images): 1.58 points of 2,000, 0.16 of 200,000.
        (0.530, 2000, "3 points above resnet20 (within the error of 2,000 images)"),
        (0.500, 2000, "the accuracy of resnet20"),
        (0.496, 2000, "0.4 points below resnet20 (within the error of 2,000 images)"),
        (0.470, 2000, "3 points below resnet20 (within the error of 2,000 images)"),
        (0.532, 2000, "3.2 points above resnet20"),
        (0.468, 2000, "3.2 points below resnet20"),
        (0.504, 200_000, "the accuracy of resnet20"),
        (0.506, 200_000, "0.6 points above resnet20"),
        (0.51, 200_000, "1 point above resnet20"),
        (0.506, 0, "0.6 points above resnet20"),
    ],
)
def test_accuracies_that_the_images_cannot_tell_apart_are_said_to_be_so(
    drone: StudyResults, accuracy: float, images: int, words: str
) -> None:
    rows = [{"accuracy": accuracy}, {"accuracy": 0.5, "label": "resnet20"}]
    said = beside_reference(study_with(drone, rows, images=images), 0)
    assert said == f"{words} at 100 % of the MACs and 100 % of the size"


def test_the_studys_own_costs_come_first(drone: StudyResults) -> None:
    rows = [{"accuracy": 0.5, "latency_ms": 0.2}, {"accuracy": 0.5, "latency_ms": 0.08, "label": "resnet20"}]
    results = study_with(drone, rows, ["accuracy", "latency_ms"])
    words = "the accuracy of resnet20 at 2.5 times the latency, 100 % of the MACs and 100 % of the size"
    assert beside_reference(results, 0) == words


def test_a_reference_is_itself(drone: StudyResults) -> None:
    rows = [{"accuracy": 0.6, "label": "resnet20", "key": "a"}, {"accuracy": 0.6, "label": "resnet32"}]
    again = {"accuracy": 0.6, "key": "a", "status": "duplicate"}
    results = study_with(drone, [*rows, again])
    assert [beside_reference(results, trial) for trial in range(3)] == ["is resnet20", "is resnet32", "is resnet20"]


def test_untrained_references_are_said_to_be_so(drone: StudyResults) -> None:
    rows = [{"accuracy": 0.6, "macs": 8e6, "file_bytes": 75e3, "latency_ms": 0.2}]
    references = pd.DataFrame(
        [
            # On a log scale 8 is nearer to 12.7 (1.59 times) than to 4.5 (1.78 times).
            {"name": "tiny", "keys": (), "macs": 4.5e6, "file_bytes": 75e3, "latency_ms": 0.2},
            {"name": "resnet8", "keys": ("its key",), "macs": 12.7e6, "file_bytes": 326e3, "latency_ms": math.nan},
        ]
    )
    results = replace(study_with(drone, rows, ["accuracy", "latency_ms"]), references=references)
    untrained = "in float (not trained in this study)"
    assert beside_reference(results, 0) == f"63 % of the MACs and 23 % of the size of resnet8 {untrained}"
    measured = replace(results, references=references.fillna(0.4))
    assert (
        beside_reference(measured, 0)
        == f"50 % of the latency, 63 % of the MACs and 23 % of the size of resnet8 {untrained}"
    )
    assert beside_reference(replace(results, references=pd.DataFrame()), 0) is None
    itself = replace(results, trials=results.trials.assign(key="its key"))
    assert beside_reference(itself, 0) == "is resnet8"


def test_a_whole_study(drone: StudyResults) -> None:
    """Every evaluated trial stands beside one of the two references that were trained."""
    for _, row in drone.trials.iterrows():
        said = beside_reference(drone, int(row["trial"]))
        if row["status"] == "completed":
            assert said and re.search(r"resnet(20|56)", said) and "not trained" not in said
