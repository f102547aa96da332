"""What one proposal sees: losses that are tamed, running trials that make it surer, hints that are noisy."""

import math
from typing import Any

import numpy as np
import pytest
from optuna.distributions import IntDistribution

from runners.samplers.acquisition.outlook import Outlook
from runners.samplers.acquisition.prior_expectations import Expected
from runners.samplers.history import Hint, History
from runners.samplers.knowledge import Knowledge
from runners.samplers.models import bend

SPACE = {"width": IntDistribution(1, 100)}
POOL: list[dict[str, Any]] = [{"width": width} for width in range(1, 101)]


def history(values: dict[int, float], running: tuple[int, ...] = (), hints: tuple[Hint, ...] = ()) -> History:
    return History(
        params=[{"width": width} for width in values],
        values=np.array([[accuracy, width] for width, accuracy in values.items()]),
        feasible=np.ones(len(values), dtype=bool),
        running=[{"width": width} for width in running],
        hints=list(hints),
    )


def outlook(seen: History) -> Outlook:
    knowledge = Knowledge(SPACE, lambda params: [None, float(params["width"])], None, None, None)
    return Outlook(knowledge, [True, False], seen, POOL, None, Expected(knowledge, POOL))


def predicted_losses(subject: Outlook, candidates: list[dict[str, Any]]) -> np.ndarray:
    return subject._bends[0].unbend(subject._surrogates[0].mean(subject._inputs(candidates), None))


SEEN = {1: 0.2, 20: 0.5, 45: 0.62, 70: 0.7, 100: 0.75}


def test_one_network_that_learned_nothing_changes_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its loss is 40 times as far from the others as those from each other; without the bend it is all that is seen."""
    good = {width: 0.7 + width / 2000 for width in range(5, 100, 10)}
    around = [{"width": width} for width in (30, 80)]

    def predicted() -> np.ndarray:
        subject = outlook(history({**good, 55: 0.1}))
        worst, best = 0.1, max(good.values())
        losses = predicted_losses(subject, around)
        return best - losses * (best - worst)

    truth = np.array([0.7 + width / 2000 for width in (30, 80)])
    off = np.abs(predicted() - truth).max()
    monkeypatch.setattr(bend, "BENT_FROM", 1e9)
    assert off < 0.03
    assert np.abs(predicted() - truth).max() > max(0.03, 2 * off)


def test_beside_a_cheap_member_of_the_front_is_nothing_to_gain() -> None:
    """Cheap networks are far below the median accuracy and on the front for all that: they are seen as they are."""
    seen = {width: 0.9 - 0.85 * math.exp(-((width / 10) ** 0.7)) for width in (1, 2, 4, 6, 8, *range(20, 101, 4))}
    subject = outlook(history(seen))
    means = predicted_losses(subject, [{"width": 3}])
    between = [(max(seen.values()) - seen[width]) / (max(seen.values()) - min(seen.values())) for width in (4, 2)]
    assert between[0] - 0.05 < means[0] < between[1] + 0.05


def test_a_running_candidate_makes_its_neighbours_surer_and_less_worth() -> None:
    free, busy = outlook(history(SEEN)), outlook(history(SEEN, running=(30,)))
    x = free._inputs([{"width": 31}])
    ((_, mean, deviation),), ((_, busy_mean, busy_deviation),) = (
        o._surrogates[0].predictions(x, None) for o in (free, busy)
    )
    assert busy_deviation < 0.8 * deviation
    assert busy_mean == pytest.approx(mean, abs=0.02)
    assert busy.gains([{"width": 31}])[0] < 0.5 * free.gains([{"width": 31}])[0]


def test_a_running_candidate_is_surer_by_its_expectation_too() -> None:
    """After two trials the slope is in doubt; what is in training is taken to settle it there."""
    knowledge = Knowledge(
        SPACE, lambda params: [None, float(params["width"])], None, None, None, lambda params: float(params["width"])
    )

    def deviation(running: tuple[int, ...]) -> float:
        seen = history({10: 0.4, 30: 0.5}, running)
        subject = Outlook(knowledge, [True, False], seen, POOL, None, Expected(knowledge, POOL))
        there = [{"width": 90}]
        following, _ = subject._surrogates[0].predictions(subject._inputs(there), subject._expectations(0, there))
        return float(following.deviation[0])

    assert deviation((90,)) < 0.2 * deviation(())


def test_a_hint_counts_by_its_deviation() -> None:
    """What a stopped trial would have reached: sure, it moves the mean; doubtful, hardly."""

    def mean(deviation: float) -> float:
        hint = Hint(params={"width": 85}, values=[0.3, np.nan], deviations=[deviation, 0.0])
        subject = outlook(history(SEEN, hints=(hint,)))
        return float(subject._surrogates[0].mean(subject._inputs([{"width": 85}]), None)[0])

    none = outlook(history(SEEN))
    base = float(none._surrogates[0].mean(none._inputs([{"width": 85}]), None)[0])
    assert mean(0.01) > mean(1.0)
    assert abs(mean(1.0) - base) < abs(mean(0.01) - base)


def test_the_front_is_that_of_the_feasible() -> None:
    seen = history(SEEN)
    seen.feasible[3] = False
    assert outlook(seen).on_front.tolist() == [True, True, True, False, True]


def test_with_a_prior_and_no_limit_the_whole_front_counts() -> None:
    """A network that is 10 % cheaper than its equal gains something, which eight budgets do not see."""
    seen = history({8: 0.5, 64: 0.6})

    def budgets_between(prior: bool, budget: list[float | None] | None) -> int:
        known = Knowledge(
            SPACE,
            lambda params: [None, float(params["width"])],
            None,
            None,
            None,
            (lambda params: float(params["width"])) if prior else None,
        )
        subject = Outlook(known, [True, False], seen, POOL, budget, Expected(known, POOL))
        own, other = (subject._known_losses([{"width": width}])[0, 1] for width in (58, 64))
        return int(((own <= subject._budgets.levels[0]) & (subject._budgets.levels[0] < other)).sum())

    assert budgets_between(True, None) > 0
    assert budgets_between(False, None) == budgets_between(True, [0.0, 90.0]) == 0
