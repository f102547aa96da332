"""What a study ends with: the best network within the limits, the knee, and what they use of the limits."""

from dataclasses import replace

import pytest

from studies.report.next_steps import best_and_knee, describe_choice, next_steps, shares_of_limits
from studies.report.report_text import summary
from studies.results.study_results import StudyResults


def test_the_best_and_the_knee_are_named_with_their_exports(drone: StudyResults) -> None:
    chosen = best_and_knee(drone)
    front = drone.front.set_index("trial")
    assert front.loc[chosen["best"], "accuracy"] == front["accuracy"].max()
    assert chosen["knee"] == drone.knee_trial != chosen["best"]
    lines = next_steps(drone, " --runs elsewhere")
    assert lines[0].startswith(f"best:   trial {chosen['best']}, ")
    assert lines[1].startswith(f"knee:   trial {chosen['knee']}, ")
    assert lines[2:] == [
        f"next:   resfront export drone --trial {chosen['best']} -o drone-best --runs elsewhere",
        "        resfront export drone --knee -o drone-knee --runs elsewhere",
        "        resfront train drone-best --data cifar10 -o drone-trained   # in full",
    ]
    assert summary(drone)["Best within the limits"] == describe_choice(drone, chosen["best"])


def test_shares_are_those_of_the_limits(drone: StudyResults) -> None:
    best = best_and_knee(drone)["best"]
    row = drone.trials.set_index("trial").loc[best]
    most = drone.config["limits"]["max"]["file_bytes"]
    assert shares_of_limits(drone, row)["file_bytes"] == pytest.approx(row["file_bytes"] / most)
    assert f"{100 * row['file_bytes'] / most:.0f} % of the size allowed" in describe_choice(drone, best)
    both = replace(drone, config={**drone.config, "limits": {"max": {"macs": 1e12, "latency_ms": 1e6}, "min": {}}})
    both = replace(both, trials=both.trials.assign(latency_ms=1e5))
    assert describe_choice(both, best).endswith(" of the MACs and 10 % of the latency allowed")
    free = replace(drone, config={**drone.config, "limits": {"max": {}, "min": {}}})
    assert "allowed" not in describe_choice(free, best)


def test_a_mean_of_trainings_says_how_far_the_first_was_off(drone: StudyResults) -> None:
    best = best_and_knee(drone)["best"]
    trials = drone.trials.copy()
    row = trials["trial"] == best
    accuracy = float(trials.loc[row, "accuracy"].iloc[0])
    trials.loc[row, "trainings"], trials.loc[row, "first_metric"] = 2, accuracy + 0.011
    said = describe_choice(replace(drone, trials=trials), best)
    assert f"(mean of 2 trainings; the first had {100 * (accuracy + 0.011):.2f} %, 1.1 points more)" in said


def test_an_empty_front_has_nothing_to_name(drone: StudyResults) -> None:
    nothing = replace(drone, trials=drone.trials.assign(front=False))
    assert best_and_knee(nothing) == {}
    assert "Knee" not in summary(nothing)


def test_references_that_limits_left_out_and_earlier_limits_are_in_the_report(drone: StudyResults) -> None:
    trials = drone.trials.copy()
    rejected = trials.index[trials["status"] == "rejected"][0]
    trials.loc[rejected, ["label", "reason"]] = ["resnet110", "macs <= 80,000,000 (is 253,149,824)"]
    limits = (("2026-11-29T21:00:00+00:00", ()),)
    found = summary(replace(drone, trials=trials, earlier_limits=limits))
    assert found["References left out"] == "resnet110 (macs <= 80,000,000 (is 253,149,824))"
    assert found["Earlier limits"] == "until 2026-11-29 21:00:00 UTC: none"
    assert "References left out" not in summary(drone)
