"""What is said at the end of a study: limits that nothing keeps, proxies that learned nothing, intervals."""

import math
from dataclasses import replace
from typing import Any

import pytest
from scipy.stats import binomtest

from objectives import OBJECTIVES
from studies.report.report_text import front_note
from studies.report.verdict import (
    best_is_a_reference,
    closing_notes,
    differing_trainings,
    hardly_learned,
    no_better_than_guessing,
    single_trainings,
    why_no_front,
)
from studies.results.study_results import StudyResults
from studies.texts.wording import format_figure, wilson_interval
from tests.studies.conftest import make_results, make_trials


def with_accuracies(*accuracies: float, **limits: Any) -> StudyResults:
    trials = make_trials(["completed"] * len(accuracies) + ["failed"])
    trials.loc[: len(accuracies) - 1, "accuracy"] = accuracies
    results = make_results(trials)
    return replace(results, config={**results.config, "limits": {"max": {}, "min": {}, **limits}})


@pytest.mark.parametrize(("right", "count"), [(735, 1000), (0, 50), (50, 50), (3, 400), (9_120, 10_000)])
def test_intervals_are_scipys(right: int, count: int) -> None:
    expected = binomtest(right, count).proportion_ci(0.95, method="wilson")
    assert wilson_interval(right / count, count) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_it_is_said_that_no_own_network_beats_the_references() -> None:
    results = with_accuracies(0.735, 0.60, 0.70)
    for named, is_said in (([None, "resnet20", None], False), (["resnet20", None, None], True)):
        trials = results.trials.copy()
        trials["label"] = [*named, None]
        trials["front"] = [True, True, True, False]
        told = best_is_a_reference(replace(results, trials=trials))
        assert ("the best network is the reference resnet20: of 2 networks" in told) == is_said
        assert (told in closing_notes(replace(results, trials=trials))) == is_said


def test_an_interval_stands_beside_an_accuracy() -> None:
    row = with_accuracies(0.735).trials.iloc[0]
    # 1.96 * sqrt(0.735 * 0.265 / 2000) is 1.93 points.
    assert format_figure(OBJECTIVES["accuracy"], row) == "73.5 % ±1.9"
    assert "±" not in format_figure(OBJECTIVES["macs"], row)
    unknown = row.copy()
    unknown["record"] = replace(row["record"], observation=None)
    assert format_figure(OBJECTIVES["accuracy"], unknown) == "73.50 %"


@pytest.mark.parametrize(
    ("common", "images", "accuracy", "learned"),
    [
        (0.107, 2000, 0.124, False),
        (0.107, 2000, 0.19, False),  # less than a tenth of the way from 10.7 % to 100 %
        (0.107, 2000, 0.20, True),
        (0.5, 2000, 0.54, False),
        (0.5, 2000, 0.56, True),
        (0.5, 60, 0.62, False),  # within two standard errors, 12.9 points
        (0.5, 60, 0.64, True),
        (0.96, 2000, 0.963, False),
        (0.96, 2000, 0.97, True),
    ],
)
def test_a_proxy_that_hardly_learned(common: float, images: int, accuracy: float, learned: bool) -> None:
    results = replace(with_accuracies(accuracy, 0.01), commonest_share=common, validation_images=images)
    note = hardly_learned(results)
    assert (note == "") == learned
    if not learned:
        assert f"{100 * accuracy:.1f} %, is hardly better than the {100 * common:.1f} %" in note
        assert "(now 10,000 and 8)" in note and "training.epochs" in note


def test_members_of_the_front_that_are_no_better_than_guessing_are_named() -> None:
    results = with_accuracies(0.9, 0.6, 0.1, 0.05)
    results.trials["front"] = [True, True, True, True, False]
    note = "trials 2, 3 of the front are no better than always answering the commonest class (10.0 %)"
    assert no_better_than_guessing(results) == note
    assert note in front_note(results).lower()
    results.trials["front"] = [True, True, False, False, False]
    assert no_better_than_guessing(results) == ""


def test_trainings_that_differ_by_more_than_their_images_explain_are_told() -> None:
    """Pairs of trainings that are 20 and 22 points apart: the variance of one is half of the square."""
    results = replace(with_accuracies(0.60, 0.65, 0.50), validation_images=480)
    assert differing_trainings(results) == ""
    trials = results.trials.copy()
    trials.loc[[0, 1], "trainings"] = 2
    trials["first_metric"] = [0.70, 0.76, *[math.nan] * (len(trials) - 2)]
    note = differing_trainings(replace(results, trials=trials))
    # Half the mean of 0.20^2 and 0.22^2 is 0.0221, of which the root is 14.9 points; 0.48 / sqrt(480) is 2.2.
    assert "standard deviation 14.9 points" in note and "480 validation images alone make 2.2" in note
    assert note in closing_notes(replace(results, trials=trials))
    trials["first_metric"] = trials["accuracy"] + 0.02
    assert differing_trainings(replace(results, trials=trials)) == "", "2.8 points are within twice 2.2"


@pytest.mark.parametrize(("trials", "again", "noted"), [(12, 1, True), (16, 1, False), (12, 2, False)])
def test_accuracies_of_single_trainings_are_said_to_be_so(trials: int, again: int, noted: bool) -> None:
    results = with_accuracies(0.9)
    results.trials.loc[0, "trainings"] = again
    results = replace(results, config={**results.config, "search": {**results.config["search"], "trials": trials}})
    assert ("--resume --set search.confirm=2" in single_trainings(results)) == noted


def test_without_a_completed_trial_there_is_no_verdict(empty: StudyResults) -> None:
    assert hardly_learned(empty) == ""
    assert why_no_front(empty) == "no trial has completed yet"
    assert "is not better than the 10.0 %" in hardly_learned(with_accuracies(0.04))


def test_the_best_accuracy_within_the_other_limits_is_told() -> None:
    results = with_accuracies(0.91, 0.72, 0.65, math.nan, min={"accuracy": 0.8})
    costs = results.trials["macs"].tolist()
    assert "the best accuracy is 91.00 % (trial 0), and --min asks for at least 80.00 %" in why_no_front(results)
    # The most accurate is over the limit, the next is not.
    limit = min(costs[0] - 1, max(costs[1:]))
    results = with_accuracies(0.91, 0.72, 0.65, min={"accuracy": 0.8}, max={"macs": limit})
    kept = [(accuracy, n) for n, accuracy in enumerate((0.91, 0.72, 0.65)) if costs[n] <= limit]
    best, trial = max(kept)
    assert trial != 0
    assert why_no_front(results) == (
        f"none of the completed trials keeps the limits: of those that keep macs <= {limit:,.0f}, "
        f"the best accuracy is {100 * best:.2f} % (trial {trial}), and --min asks for at least 80.00 %"
    )
    results = with_accuracies(0.91, min={"accuracy": 0.8}, max={"macs": 1000})
    assert why_no_front(results) == "none of the completed trials keeps the limits (macs <= 1,000)"
