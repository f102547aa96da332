"""Forecasts against an independent implementation, and how often they are wrong; rungs and what stops on them."""

import math

import numpy as np
import pytest
from scipy import stats

from runners.config import SearchConfig, TrainingConfig
from runners.ladder import Ladder, Rung, rung_trainings
from runners.ledger import Hurdle
from runners.stopping import LEAST_FINISHED, Forecaster
from search_space import UserError


def trials(n: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Accuracy on the way, log10 MACs, accuracy in the end."""
    rng = np.random.default_rng(seed)
    log_macs = rng.uniform(6, 8, n)
    final = 0.2 * log_macs - 0.9 + rng.normal(0, 0.05, n)
    return 0.6 * final - 0.1 + rng.normal(0, noise, n), log_macs, final


def test_the_interval_is_that_of_the_linear_model() -> None:
    """By hand, through the hat matrix of the design with the new point's row appended."""
    accuracy, log_macs, final = trials(15, 0.02)
    found = Forecaster(accuracy, log_macs, final, 0.9).forecast(0.25, 7.0)
    design = np.column_stack([np.ones(15), accuracy, log_macs])
    beta = np.linalg.solve(design.T @ design, design.T @ final)
    row = np.array([1.0, 0.25, 7.0])
    variance = ((final - design @ beta) ** 2).sum() / 12
    deviation = math.sqrt(variance * (1 + row @ np.linalg.solve(design.T @ design, row)))
    assert found.mean == pytest.approx(row @ beta)
    assert found.deviation == pytest.approx(deviation)
    assert found.optimistic == pytest.approx(row @ beta + stats.t(12).ppf(0.9) * deviation)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_it_is_wrong_as_often_as_it_says(confidence: float) -> None:
    below = 0
    for seed in range(400):
        accuracy, log_macs, final = trials(13, 0.03, seed)
        forecaster = Forecaster(accuracy[:-1], log_macs[:-1], final[:-1], confidence)
        below += final[-1] <= forecaster.forecast(accuracy[-1], log_macs[-1]).optimistic
    assert below / 400 == pytest.approx(confidence, abs=3.5 * math.sqrt(confidence * (1 - confidence) / 400))


def test_a_point_that_says_little_stops_nobody() -> None:
    """The same trials, read where accuracies hardly rank them: the floor is far lower, or there is none."""
    early, late = (Forecaster(*trials(12, noise), 0.95) for noise in (0.3, 0.005))
    needed, log_macs = 0.5, 7.0
    assert late.floor(needed, log_macs) > 0.1
    assert not early.is_telling or early.floor(needed, log_macs) < late.floor(needed, log_macs) - 0.1


def test_a_floor_is_where_the_optimistic_end_is_what_is_needed() -> None:
    forecaster = Forecaster(*trials(20, 0.01), 0.95)
    floor = forecaster.floor(0.5, 7.0)
    assert forecaster.forecast(floor, 7.0).optimistic < 0.5 <= forecaster.forecast(floor + 0.003, 7.0).optimistic
    assert forecaster.floor(0.0, 7.0) == 0.0


def test_reversed_ranks_tell_nothing() -> None:
    accuracy, log_macs, final = trials(LEAST_FINISHED, 0.01)
    assert Forecaster(accuracy, log_macs, final, 0.95).is_telling
    assert not Forecaster(1 - accuracy, log_macs, final, 0.95).is_telling


def test_rungs_are_complete_schedules_of_their_share() -> None:
    whole = TrainingConfig(images=8000, epochs=8, batch_size=128)
    rungs = rung_trainings(whole, (1 / 16, 1 / 4))
    assert [(rung.images, rung.epochs, rung.batch_size) for rung in rungs] == [
        (2000, 2, 32),
        (4000, 4, 64),
        (8000, 8, 128),
    ]
    assert [rung.images * rung.epochs * 16 / 64_000 for rung in rungs] == [1, 4, 16]
    assert rung_trainings(whole, ()) == (whole,)


@pytest.mark.parametrize("rungs", [(0.5, 0.25), (0.25, 0.25), (1.0,), (0.0,)])
def test_rungs_must_rise(rungs: tuple[float, ...]) -> None:
    with pytest.raises(UserError, match="rising shares"):
        SearchConfig(rungs=rungs)


def rung(accuracy: float, epochs: int = 2) -> Rung:
    return Rung(accuracies=(accuracy - 0.1,) * (epochs - 1) + (accuracy,), images=100, seconds=1.0)


def front_has(accuracy: float) -> Hurdle:
    return Hurdle(accuracy, f"the front has {100 * accuracy:.1f} % at no higher cost")


def ladder(finished: int, confidence: float = 0.95) -> Ladder:
    subject = Ladder(TrainingConfig(images=1000, epochs=4), SearchConfig(rungs=(0.25,), stop_confidence=0.95))
    subject._confidence = confidence
    accuracies, log_macs, final = trials(finished, 0.01)
    for first, macs, last in zip(accuracies, log_macs, final, strict=True):
        subject.learn([rung(first), rung(last, 4)], 10**macs)
    return subject


def test_who_cannot_reach_the_front_is_stopped_and_told_so() -> None:
    subject = ladder(12)
    assert subject.verdict(0, rung(0.3), None, 1e7) is None
    assert subject.verdict(0, rung(0.3), front_has(0.4), 1e7) is None
    stop = subject.verdict(0, rung(0.05), front_has(0.6), 1e7)
    assert stop is not None
    assert stop.forecast.mean < stop.forecast.optimistic < 0.6
    assert stop.reason.startswith("5.0 % after epoch 2 of 2, rung 1 of 2: would end below ")
    assert "(95 % sure)" in stop.reason and stop.reason.endswith("the front has 60.0 % at no higher cost")


def test_nobody_is_stopped_before_there_is_anything_to_learn_from_or_if_told_not_to() -> None:
    for subject in (ladder(LEAST_FINISHED - 1), ladder(12, confidence=0.0)):
        assert subject.verdict(0, rung(0.0), front_has(0.9), 1e7) is None
        assert subject.floors(0, front_has(0.9), 1e7) == ()


def test_floors_are_those_of_each_epoch() -> None:
    subject = ladder(12)
    floors = subject.floors(0, front_has(0.6), 1e7)
    assert len(floors) == 1  # two epochs, and after the last the coordinator decides
    assert subject.verdict(0, Rung(accuracies=(floors[0],), images=1, seconds=1.0), front_has(0.6), 1e7) is not None
    assert subject.floors(0, None, 1e7) == ()


def test_it_goes_on_learning() -> None:
    """Trials that end higher than the first ones foretold make a later one hopeful again."""
    subject = ladder(12)
    before = subject.verdict(0, rung(0.05), front_has(0.6), 1e7)
    assert before is not None
    for number in range(12):
        subject.learn([rung(0.05), rung(0.7 + 0.01 * (number % 3), 4)], 1e7)
    assert subject.verdict(0, rung(0.05), front_has(0.6), 1e7) is None
