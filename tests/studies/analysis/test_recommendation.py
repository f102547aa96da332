"""Recommendations by hand, against brute force over random limits, and from the command line."""

import json
import math
import random
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest

from objectives import OBJECTIVES, Limit
from objectives.base import Unsupported, objectives_named
from search_space.architectures import architecture_from_dict
from search_space.errors import UserError
from studies.analysis.recommendation import considered, recommend, with_figures
from studies.cli import main
from studies.results import study_results as study_results
from studies.results.study_results import StudyResults
from studies.texts.wording import INTERVAL_NOTE


def at_most(objective: str, value: float) -> Limit:
    return Limit(objective=objective, kind="max", value=value)


def at_least(objective: str, value: float) -> Limit:
    return Limit(objective=objective, kind="min", value=value)


FIGURES = [
    # accuracy, latency_ms, file_bytes
    (0.90, 2.0, 300e3),
    (0.85, 1.0, 250e3),
    (0.84, 1.0, 260e3),  # dominated by 1
    (0.80, 0.8, 400e3),  # dominated by 4
    (0.80, 0.4, 100e3),
    (0.99, 0.1, 10e3),  # breaks a limit of the study
    (0.99, 0.1, 10e3),  # a duplicate
    (math.nan, 0.1, 10e3),  # rejected
]


@pytest.fixture
def small(drone: StudyResults) -> StudyResults:
    """Five networks to choose from."""
    trials = drone.trials.iloc[: len(FIGURES)].drop(columns=["accuracy", "file_bytes"])
    trials = trials.assign(
        trial=range(len(FIGURES)),
        status=["completed"] * 6 + ["duplicate", "rejected"],
        feasible=[True] * 5 + [False, True, False],
        label=["resnet20", *[None] * 7],
        key=list("abcdefgh"),
    )
    figures = pd.DataFrame(FIGURES, columns=["accuracy", "latency_ms", "file_bytes"], index=trials.index)
    objectives = objectives_named(["accuracy", "latency_ms", "file_bytes"])
    return replace(drone, objectives=objectives, trials=pd.concat([trials, figures], axis=1))


# --- by hand ---------------------------------------------------------------------------------------


def test_without_limits_the_most_accurate(small: StudyResults) -> None:
    found = recommend(small, [])
    assert (found.best, found.runner_up, found.remaining, found.considered) == (0, 1, 5, 5)
    assert found.goal.name == "accuracy" and found.binding == () and found.nearest is None
    assert found.trade == "5 points less accurate, 50 % less latency, 17 % smaller"


def test_the_runner_up_is_one_that_the_best_does_not_dominate(small: StudyResults) -> None:
    found = recommend(small, [at_most("latency_ms", 1.0)])
    assert (found.best, found.runner_up, found.remaining) == (1, 4, 4)
    assert found.trade == "5 points less accurate, 60 % less latency, 60 % smaller"


def test_where_the_best_dominates_all_the_runner_up_is_the_next(small: StudyResults) -> None:
    found = recommend(small, [at_least("accuracy", 0.83), at_most("latency_ms", 1.0)])
    assert (found.best, found.runner_up, found.remaining) == (1, 2, 2)
    assert (
        found.trade == "1 point less accurate, the same latency, 4 % larger; better in none of the study's objectives"
    )
    alone = recommend(small, [at_least("accuracy", 0.845), at_most("latency_ms", 1.0)])
    assert (alone.best, alone.runner_up, alone.trade) == (1, None, "")


def test_ties_go_to_the_lower_first_cost_and_never_to_a_dominated_one(small: StudyResults) -> None:
    assert recommend(small, [at_most("latency_ms", 0.9)]).best == 4
    # 1 and 2 take equally long; 1 is the more accurate.
    assert recommend(small, [at_least("latency_ms", 0.9)], goal="latency_ms").best == 1


def test_who_limits_only_the_accuracy_wants_the_cheapest(small: StudyResults) -> None:
    found = recommend(small, [at_least("accuracy", 0.83)])
    assert (found.goal.name, found.best, found.runner_up) == ("latency_ms", 1, 0)
    both = recommend(small, [at_least("accuracy", 0.83), at_most("macs", 1e12)])
    assert (both.goal.name, both.best) == ("accuracy", 0)
    assert recommend(small, [at_least("accuracy", 0.83)], goal="accuracy").best == 0
    assert recommend(small, [], goal="file_bytes").best == 4


def test_the_trade_has_a_goal_that_is_no_objective(small: StudyResults) -> None:
    small.trials["params"] = [6.0, 4.0, 3.0, 5.0, 8.0, 1.0, 1.0, 1.0]
    found = recommend(small, [], goal="params")
    assert (found.best, found.runner_up) == (2, 1)
    assert found.trade == "1 point more accurate, the same latency, 3.8 % smaller, 33 % more parameters"


@pytest.mark.parametrize(
    ("limits", "binding", "nearest", "excess"),
    [
        ([at_most("latency_ms", 0.25)], [0], 4, ["latency 0.4 ms, over 0.25 ms by 60 %"]),
        ([at_most("latency_ms", 0.1)], [0], 4, ["latency 0.4 ms, over 0.1 ms by a factor of 4"]),
        (
            [at_most("latency_ms", 1.0), at_least("accuracy", 0.88)],
            [0, 1],
            1,
            ["accuracy 85.00 %, under 88.00 % by 3 points"],
        ),
        # Without the first 1 remains, without the second 4, without the third none. 1 is the nearer: log10(1 / 0.9) is
        # 0.046, and 4 lacks 0.05 of the accuracy.
        (
            [at_most("latency_ms", 0.9), at_least("accuracy", 0.85), at_most("file_bytes", 260e3)],
            [0, 1],
            1,
            ["latency 1 ms, over 0.9 ms by 11 %"],
        ),
        # No single one helps: those that the nearest exceeds.
        (
            [
                at_most("latency_ms", 0.39),
                at_least("accuracy", 0.82),
                at_most("macs", 1e12),
                at_most("file_bytes", 90e3),
            ],
            [0, 1, 3],
            4,
            [
                "latency 0.4 ms, over 0.39 ms by 2.6 %",
                "accuracy 80.00 %, under 82.00 % by 2 points",
                "size 100 kB, over 90 kB by 11 %",
            ],
        ),
        ([at_least("latency_ms", 4.0)], [0], 0, ["latency 2 ms, under 4 ms by 50 %"]),
    ],
)  # fmt: skip
def test_what_stands_in_the_way(
    small: StudyResults, limits: list[Limit], binding: list[int], nearest: int, excess: list[str]
) -> None:
    found = recommend(small, limits)
    assert (found.best, found.runner_up, found.remaining, found.considered) == (None, None, 0, 5)
    assert list(found.binding) == [limits[index] for index in binding]
    assert found.nearest == nearest
    assert list(found.excess) == excess


def test_a_limit_met_exactly_is_kept(small: StudyResults) -> None:
    for trial, (accuracy, latency_ms, _) in enumerate(FIGURES[:5]):
        limits = [at_most("latency_ms", latency_ms), at_least("accuracy", accuracy)]
        assert recommend(small, limits, goal="file_bytes").remaining >= 1, trial


def test_a_study_without_networks(empty: StudyResults, study_of: Callable[..., StudyResults]) -> None:
    for results in (empty, study_of("running", "rejected", "failed")):
        found = recommend(results, [at_most("macs", 1e6), at_most("latency_ms@rpi4", 1)])
        assert (found.best, found.nearest, found.considered, found.remaining) == (None, None, 0, 0)


# --- figures that the study lacks ------------------------------------------------------------------


def test_an_estimate_is_computed_from_the_specs(drone: StudyResults) -> None:
    name = "latency_ms@rpi4"
    wider = with_figures(drone, [name, "macs"])
    assert name not in drone.trials and list(wider.trials.columns) == [*drone.trials.columns, name]
    chosen = drone.trials["trial"][drone.trials["status"].isin(("completed", "duplicate"))]
    compute = OBJECTIVES[name].compute
    assert compute is not None
    for _, row in wider.trials.iterrows():
        if row["trial"] in set(chosen):
            expected = math.nan
            with suppress(Unsupported):
                expected = compute(architecture_from_dict(row["record"].spec).build_graph())
            assert row[name] == pytest.approx(expected, nan_ok=True)
        else:
            assert math.isnan(row[name])
    among = wider.trials["trial"].isin(considered(drone)["trial"])
    median = float(wider.trials[name][among].median())
    assert recommend(drone, [at_most(name, median)]) == recommend(wider, [at_most(name, median)])
    assert recommend(wider, [at_most(name, median)]).remaining == int((wider.trials[name][among] <= median).sum())
    assert with_figures(wider, [name]) is wider


def test_what_a_device_cannot_run_keeps_no_limit(drone: StudyResults) -> None:
    """An Edge TPU runs no float."""
    name = "latency_ms@edgetpu"
    found = recommend(drone, [at_most(name, 1e9)])
    wider = with_figures(drone, [name])
    runnable = wider.trials[name][wider.trials["trial"].isin(considered(drone)["trial"])].notna().sum()
    assert study_results.keeps(wider.trials, [at_most(name, 1e9)]).sum() == wider.trials[name].notna().sum()
    assert 0 < runnable < found.considered
    assert found.remaining == runnable
    unknown = replace(drone, trials=drone.trials.assign(**{name: math.nan}))
    for limits, goal in (([at_most(name, 1e9)], None), ([], name)):
        nothing = recommend(unknown, limits, goal=goal)
        assert (nothing.best, nothing.nearest, nothing.binding) == (None, None, tuple(limits))


def test_what_was_not_measured_cannot_be_asked_for(drone: StudyResults) -> None:
    columns = (drone, replace(drone, trials=drone.trials.assign(latency_ms=math.nan)))
    for results in columns:
        with pytest.raises(
            UserError, match=r"latency_ms: is measured.*study drone has none; it has accuracy, macs, file_bytes, "
        ):
            recommend(results, [at_most("latency_ms", 1)])
    with pytest.raises(UserError, match="did you mean 'macs'"):
        recommend(drone, [], goal="macz")


# --- brute force -----------------------------------------------------------------------------------


def is_dominated(row: Any, by: Any, results: StudyResults) -> bool:
    pairs = [(o.loss(by[o.name]), o.loss(row[o.name])) for o in results.objectives]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def random_limits(rows: list[Any], rng: random.Random) -> list[Limit]:
    """Around the values of one of the networks, often not to be kept all at once."""
    limits = []
    for name in rng.sample(["accuracy", "macs", "file_bytes", "params", "peak_memory_bytes"], rng.randrange(0, 4)):
        value = float(rng.choice(rows)[name]) * rng.choice([0.5, 0.9, 1.0, 1.3])
        kind = rng.choice([at_least, at_least, at_most] if name == "accuracy" else [at_least, at_most, at_most])
        limits.append(kind(name, min(value, 0.99) if name == "accuracy" else value))
    return limits


def keeps(row: Any, limits: list[Limit]) -> bool:
    return all(limit.excess(row) <= 0 for limit in limits)


def test_against_brute_force(drone: StudyResults) -> None:
    """Random parts of the study, so that the best is now and then best in everything."""
    rng = random.Random(0)
    outcomes = set()
    for size in [3, 6, 12, 32] * 75:
        results = replace(drone, trials=drone.trials.sample(size, random_state=rng.randrange(2**32)))
        chosen = results.trials[(results.trials["status"] == "completed") & results.trials["feasible"]]
        rows = [row for _, row in chosen.iterrows()]
        if not rows:
            continue
        limits, goal = random_limits(rows, rng), rng.choice(["accuracy", "macs", "params"])
        found = recommend(results, limits, goal=goal)
        left = {row["trial"]: row for row in rows if keeps(row, limits)}
        assert (found.considered, found.remaining) == (len(rows), len(left))
        if left:
            outcomes.add(check_best(found.best, found.runner_up, left, drone, goal))
        else:
            outcomes.add(check_nearest(found.nearest, list(found.binding), rows, limits))
    assert outcomes == {"alone", "trade", "dominates all", "binding", "jointly"}


def check_best(best: int | None, second: int | None, left: dict[int, Any], results: StudyResults, goal: str) -> str:
    loss = OBJECTIVES[goal].loss
    assert best is not None
    assert loss(left[best][goal]) == min(loss(row[goal]) for row in left.values())
    others = {trial: row for trial, row in left.items() if trial != best}
    if not others:
        assert second is None
        return "alone"
    trades = {trial: row for trial, row in others.items() if not is_dominated(row, left[best], results)}
    assert second in (trades or others)
    assert second is not None
    assert loss(left[second][goal]) == min(loss(row[goal]) for row in (trades or others).values())
    return "trade" if trades else "dominates all"


def check_nearest(nearest: int | None, binding: list[Limit], rows: list[Any], limits: list[Limit]) -> str:
    helps = [limit for limit in limits if any(keeps(row, [each for each in limits if each != limit]) for row in rows)]
    worst = {row["trial"]: max(excess(limit, row) for limit in limits) for row in rows}
    assert nearest is not None
    assert worst[nearest] == pytest.approx(min(worst.values()), abs=1e-12)
    row = next(row for row in rows if row["trial"] == nearest)
    assert binding == (helps or [limit for limit in limits if limit.excess(row) > 0])
    return "binding" if helps else "jointly"


def excess(limit: Limit, row: Any) -> float:
    value = row[limit.objective]
    sign = 1 if limit.kind == "max" else -1
    return sign * (value - limit.value if limit.objective == "accuracy" else math.log10(value / limit.value))


# --- the command line ------------------------------------------------------------------------------


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def resfront(
    small: StudyResults, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Outcome]:
    """Runs `resfront recommend drone ...` on the small study."""
    read = {"drone": small, "new": replace(small, name="new", trials=small.trials.iloc[-1:])}
    monkeypatch.setattr("studies.results.reading.load_results", lambda directory: read[directory.name])

    def run(*args: object, name: str = "drone") -> Outcome:
        monkeypatch.setattr(sys, "argv", ["resfront", "recommend", name, *map(str, args)])
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        return Outcome(int(caught.value.code or 0), captured.out, captured.err)

    return run


def strict_json(text: str) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_the_table_and_what_to_do_next(resfront: Callable[..., Outcome], small: StudyResults) -> None:
    done = resfront("--max", "latency_ms=1", "--min", "accuracy=0.5")
    assert done.code == 0 and done.err == ""
    lines = done.out.splitlines()
    assert lines[0].split()[:2] == ["trial", "Accuracy"]
    assert lines[1].split()[:7] == ["best", "1", "85.0", "%", "±1.6", "1", "ms"]
    assert lines[2].split()[:5] == ["runner-up", "4", "80.00", "%", "0.4"]
    assert "ResNet-" in lines[1]
    macs = small.trials["macs"].iloc[1] / small.trials["macs"].iloc[0]
    shares = f"50 % of the latency, 83 % of the size and {macs:.2g} times the MACs"
    assert lines[4:] == [
        f"Accuracy on 2,000 validation images; {INTERVAL_NOTE}",
        "trial 4 against 1: 5 points less accurate, 60 % less latency, 60 % smaller",
        f"trial 1: 5 points below resnet20 at {shares}",
        "best by accuracy of the 4 of 5 networks with latency_ms <= 1 and accuracy >= 0.5",
        "next: resfront export drone --trial 1 -o drone-1",
    ]


def test_without_a_limit_and_with_limited_figures_shown(resfront: Callable[..., Outcome]) -> None:
    plain = resfront().out
    assert plain.splitlines()[1].split()[:2] == ["best", "0"] and plain.splitlines()[1].endswith("· resnet20")
    assert "best by accuracy of 5 networks" in plain and "trial 0: is resnet20" in plain
    wide = resfront("--max", "latency_ms@rpi4=1e6", "--goal", "params").out
    assert "Latency on rpi4, estimated" in wide and "Parameters" in wide and "best by params of the 5 of 5" in wide


def test_json_is_complete(resfront: Callable[..., Outcome], small: StudyResults) -> None:
    found = strict_json(resfront("--max", "latency_ms=1", "--json").out)
    assert list(found) == [
        "goal", "limits", "remaining", "considered", "best", "runner_up", "trade", "binding", "nearest",
    ]  # fmt: skip
    assert found["limits"] == [{"objective": "latency_ms", "kind": "max", "value": 1.0}]
    assert (found["goal"], found["remaining"], found["considered"]) == ("accuracy", 4, 5)
    # Wilson's interval for 1700 of 2000.
    assert found["best"]["accuracy_interval"] == pytest.approx([0.8337, 0.8650], abs=1e-4)
    assert (found["best"]["trial"], found["best"]["label"], found["runner_up"]["trial"]) == (1, None, 4)
    assert found["best"]["values"]["latency_ms"] == 1.0 and found["best"]["spec"] == small.trials["record"].iloc[1].spec
    assert found["binding"] == [] and found["nearest"] is None


def test_nothing_within_the_limits_is_code_5(resfront: Callable[..., Outcome]) -> None:
    done = resfront("--max", "latency_ms=0.25", "--json")
    found = strict_json(done.out)
    assert done.code == 5
    assert (found["best"], found["trade"], found["nearest"]["trial"]) == (None, None, 4)
    assert found["binding"] == found["limits"]
    assert done.err == (
        "error: drone: none of 5 networks keeps the limits; what binds: latency_ms <= 0.25; "
        "the nearest is trial 4: latency 0.4 ms, over 0.25 ms by 60 %\n"
    )
    assert resfront("--max", "latency_ms=0.25").out == ""
    for args in ((), ("--json",)):
        nothing = resfront(*args, name="new")
        assert nothing.code == 5
        assert nothing.err == "error: new: nothing to recommend: no trial has completed yet\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--max", "latency=1"], "did you mean 'latency_ms'"),
        (["--goal", "acuracy"], "did you mean 'accuracy'"),
        (["--max", "macs"], "objective=value"),
        (["--min", "accuracy=90"], "a fraction below 1"),
        (["--max", "latency_ms@rpi5=1"], "did you mean 'rpi4'"),
        (["--max", "latency_ms@ssh:me@board=1"], "latency_ms@ssh:me@board: is measured"),
    ],
)
def test_a_mistake_is_one_line(resfront: Callable[..., Outcome], args: list[str], message: str) -> None:
    done = resfront(*args)
    assert (done.code, done.out) == (2, "")
    assert message in done.err and len(done.err.strip().splitlines()) == 1


def test_a_study_that_is_not_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["resfront", "recommend", "nothing", "--runs", str(tmp_path)])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 3 and "no study" in capsys.readouterr().err
