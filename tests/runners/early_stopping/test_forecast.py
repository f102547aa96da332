"""Forecasts against an independent implementation, and how often they are wrong; rungs and what stops on them."""

import math

import numpy as np
import pytest
from scipy import stats

from runners.config import SearchConfig, TrainingConfig
from runners.early_stopping.forecast import LEAST_FINISHED, Forecaster
from runners.early_stopping.rungs import Hurdle, Ladder, Stop, rung_trainings
from runners.trial_record import Rung
from search_space import ArchSpec, UserError, reference

SPEC = reference("resnet20")
assert isinstance(SPEC, ArchSpec)


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


@pytest.mark.parametrize("finished", [10, 20, 40])
def test_accuracies_that_say_nothing_stop_nobody(finished: int) -> None:
    """A hurdle that the MACs alone make unlikely: whoever is stopped is stopped for noise."""
    telling = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        log_macs = rng.uniform(6, 8, finished)
        final = 0.2 * log_macs - 0.9 + rng.normal(0, 0.05, finished)
        telling += Forecaster(rng.uniform(0.2, 0.4, finished), log_macs, final, 0.95).is_telling
    assert telling / 200 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 200)


def test_what_is_the_same_for_all_tells_nothing() -> None:
    accuracy, log_macs, final = trials(12, 0.01)
    assert not Forecaster(np.full(12, 0.1), log_macs, final, 0.95).is_telling
    assert not Forecaster(accuracy, np.full(12, 7.0), final, 0.95).is_telling


def test_below_the_floor_nobody_is_hopeful() -> None:
    """The upper bound rises with the accuracy wherever the accuracy is telling."""
    for seed in range(50):
        forecaster = Forecaster(*trials(LEAST_FINISHED, 0.04, seed), 0.95)
        bounds = [forecaster.forecast(accuracy, 7.0).optimistic for accuracy in np.linspace(0, 1, 60)]
        assert not forecaster.is_telling or bounds == sorted(bounds)


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


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3, 0.56, 0.95])
@pytest.mark.parametrize("epochs", [1, 2, 7, 10])
def test_shares_that_do_not_divide_the_epochs_are_kept_in_images(share: float, epochs: int) -> None:
    whole = TrainingConfig(images=5000, epochs=epochs, batch_size=64)
    rung = rung_trainings(whole, (share,))[0]
    assert abs(rung.images * rung.epochs - share * 5000 * epochs) <= rung.epochs / 2
    assert 1 <= rung.epochs <= epochs and rung.images <= 5000


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
        subject.learn([rung(first), rung(last, 4)], SPEC, 10**macs)
    return subject


def verdict(subject: Ladder, accuracy: float, needed: float | None) -> Stop | None:
    """After the first rung, for a network of 10 million MACs."""
    hurdle = None if needed is None else Hurdle(needed, f"the front has {100 * needed:.1f} % at no higher cost")
    return subject.watch(0, hurdle, SPEC, 1e7).verdict(rung(accuracy))


def test_who_cannot_reach_the_front_is_stopped_and_told_so() -> None:
    subject = ladder(12)
    assert verdict(subject, 0.3, None) is None
    assert verdict(subject, 0.3, 0.4) is None
    stop = verdict(subject, 0.05, 0.6)
    assert stop is not None
    assert stop.forecast.mean < stop.forecast.optimistic < 0.6
    assert stop.reason.startswith("5.0 % after epoch 2 of 2, rung 1 of 2: would end below ")
    assert "(95 % sure)" in stop.reason and stop.reason.endswith("the front has 60.0 % at no higher cost")


def test_nobody_is_stopped_before_there_is_anything_to_learn_from_or_if_told_not_to() -> None:
    for subject in (ladder(LEAST_FINISHED - 1), ladder(12, confidence=0.0)):
        assert verdict(subject, 0.0, 0.9) is None
        assert subject.watch(0, Hurdle(0.9, ""), SPEC, 1e7).floors == ()


def test_nobody_is_stopped_where_accuracies_tell_nothing() -> None:
    """However far the hurdle is."""
    subject = ladder(0)
    _, log_macs, final = trials(12, 0.01)
    for number, (macs, last) in enumerate(zip(log_macs, final, strict=True)):
        subject.learn([rung(0.2 + 0.01 * (number * 7 % 5)), rung(last, 4)], SPEC, 10**macs)
    watch = subject.watch(0, Hurdle(0.99, ""), SPEC, 1e7)
    assert watch.floors == () and watch.verdict(rung(0.0)) is None
    assert verdict(ladder(12), 0.0, 0.99) is not None


def test_floors_are_those_of_each_epoch() -> None:
    watch = ladder(12).watch(0, Hurdle(0.6, ""), SPEC, 1e7)
    assert len(watch.floors) == 1  # two epochs, and after the last the coordinator decides
    below, at = (Rung(accuracies=(watch.floors[0] + by,), images=1, seconds=1.0) for by in (-1e-9, 0.003))
    assert watch.verdict(below) is not None and watch.verdict(at) is None
    assert ladder(12).watch(0, None, SPEC, 1e7).floors == ()


def test_who_has_come_to_the_end_has_made_it() -> None:
    watch = ladder(12).watch(1, Hurdle(0.99, ""), SPEC, 1e7)
    assert len(watch.floors) == 3 and watch.verdict(rung(0.1, 4)) is None


def test_it_goes_on_learning() -> None:
    """Trials that end higher than the first ones foretold make a later one hopeful again."""
    subject = ladder(12)
    assert verdict(subject, 0.05, 0.6) is not None
    for number in range(12):
        subject.learn([rung(0.05), rung(0.7 + 0.01 * (number % 3), 4)], SPEC, 1e7)
    assert verdict(subject, 0.05, 0.6) is None


def test_training_that_ends_quantized_is_foretold_by_its_like() -> None:
    """At an epoch that ends its float phase a 4-bit network is far on, and a float network is not."""
    subject, few_bits = ladder(0), SPEC.with_bits(4)
    accuracies, log_macs, final = trials(24, 0.01)
    for number, (first, macs, last) in enumerate(zip(accuracies, log_macs, final, strict=True)):
        is_float = number % 8 == 0
        subject.learn(
            [rung(first if is_float else first + 0.3), rung(last, 4)], SPEC if is_float else few_bits, 10**macs
        )
    needed = Hurdle(0.6, "")
    assert subject.watch(0, needed, few_bits, 1e7).verdict(rung(0.05 + 0.3)) is not None
    assert subject.watch(0, needed, SPEC, 1e7).verdict(rung(0.05)) is None, "three of its like are too few to tell"
    assert verdict(ladder(24), 0.05, 0.6) is not None


@pytest.mark.parametrize("signal", [0.0, 0.3, 1.0])
def test_the_doubt_holds_for_a_whole_training(signal: float) -> None:
    """Of those that would have cleared the hurdle, few are stopped at any of seven looks, however much those say.

    Each epoch's accuracy says `signal` of the final one, and has a noise of its own.
    """
    rng = np.random.default_rng(0)
    stopped_though_good = looked = 0
    for _ in range(150):
        subject = Ladder(TrainingConfig(images=1000, epochs=8), SearchConfig(stop_confidence=0.9))
        log_macs = rng.uniform(6, 8, 15)
        final = 0.1 * log_macs - 0.2 + rng.normal(0, 0.05, 15)
        curves = 0.2 + signal * final[:, None] + rng.normal(0, 0.03, (15, 7))
        for curve, macs, last in list(zip(curves, log_macs, final, strict=True))[:14]:
            subject.learn([Rung(accuracies=(*curve, last), images=1, seconds=1.0)], SPEC, 10**macs)
        watch = subject.watch(0, Hurdle(float(final[-1]), ""), SPEC, 10 ** log_macs[-1])
        looks = [Rung(accuracies=tuple(curves[-1][: epoch + 1]), images=1, seconds=1.0) for epoch in range(7)]
        stopped_though_good += any(watch.verdict(look) is not None for look in looks)
        looked += 1
    assert stopped_though_good / looked <= 0.1 + 2 * math.sqrt(0.09 / looked)
