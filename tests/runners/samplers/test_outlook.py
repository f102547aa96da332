"""What one proposal sees: losses that are tamed, running trials that make it surer, hints that are noisy."""

from typing import Any

import numpy as np
import pytest
from optuna.distributions import IntDistribution

from runners.samplers import outlook as module
from runners.samplers.history import Hint, History
from runners.samplers.knowledge import Knowledge
from runners.samplers.outlook import Outlook, tamed

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
    return Outlook(knowledge, [True, False], seen, POOL, None)


SEEN = {1: 0.2, 20: 0.5, 45: 0.62, 70: 0.7, 100: 0.75}


def test_losses_far_above_the_middle_are_drawn_in() -> None:
    losses = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 5.0, 9.0])
    found = tamed(losses)
    edge = 0.3 + 1.4826 * 0.2  # median and its absolute deviation
    assert found[:5].tolist() == losses[:5].tolist()
    assert edge < found[5] < found[6] < 2.0
    assert tamed(np.full(4, 2.0)).tolist() == [2.0] * 4


def test_one_network_that_learned_nothing_changes_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its loss is 40 times as far from the others as those from each other."""
    good = {width: 0.7 + width / 2000 for width in range(5, 100, 10)}
    around = [{"width": width} for width in (30, 50, 80)]
    before = outlook(history(good)).gains(around)
    changed = {}
    for edge in (1.0, 1e9):
        monkeypatch.setattr(module, "TAMED_FROM", edge)
        changed[edge] = outlook(history({**good, 55: 0.1})).gains(around)
    assert np.abs(changed[1.0] - changed[1e9]).max() > 1e-4
    assert np.isfinite(before).all()


def test_a_running_candidate_makes_its_neighbours_surer_and_less_worth() -> None:
    free, busy = outlook(history(SEEN)), outlook(history(SEEN, running=(30,)))
    x = free._inputs([{"width": 31}])
    assert busy._models[0].predict(x)[1] < 0.8 * free._models[0].predict(x)[1]
    assert busy._models[0].predict(x)[0] == pytest.approx(free._models[0].predict(x)[0], abs=0.02)
    assert busy.gains([{"width": 31}])[0] < 0.5 * free.gains([{"width": 31}])[0]


def test_a_hint_counts_by_its_deviation() -> None:
    """What a stopped trial would have reached: sure, it moves the mean; doubtful, hardly."""

    def mean(deviation: float) -> float:
        hint = Hint(params={"width": 85}, values=[0.3, np.nan], deviations=[deviation, 0.0])
        subject = outlook(history(SEEN, hints=(hint,)))
        return float(subject._models[0].predict(subject._inputs([{"width": 85}]))[0][0])

    none = outlook(history(SEEN))
    base = float(none._models[0].predict(none._inputs([{"width": 85}]))[0][0])
    assert mean(0.01) > mean(1.0)
    assert abs(mean(1.0) - base) < abs(mean(0.01) - base)


def test_the_front_is_that_of_the_feasible() -> None:
    seen = history(SEEN)
    seen.feasible[3] = False
    assert outlook(seen).on_front.tolist() == [True, True, True, False, True]
