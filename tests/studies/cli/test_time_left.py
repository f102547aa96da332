"""The time left of made-up studies: right where trials are alike, and no counting upwards where they are not."""

import random
from itertools import pairwise

import pytest

from studies.cli.terminal.time_left import TimeLeft, describe_left


def shown_each_second(
    durations: list[float], workers: int, *, epochs: int = 4
) -> tuple[list[tuple[float, float | None]], float]:
    """What is shown each second of a study whose trials last so long, and when it ends."""
    clock, left, total = 0.0, TimeLeft(workers), len(durations)
    waiting, running = list(enumerate(durations)), dict[int, tuple[float, float]]()
    shown = list[tuple[float, float | None]]()
    told = set[tuple[int, int]]()
    ended = 0
    while ended < total:
        while waiting and len(running) < workers:
            trial, seconds = waiting.pop(0)
            running[trial] = (clock, seconds)
            left.begin(trial, clock)
        shown.append((clock, left.seconds(clock, total - ended)))
        clock += 1
        for trial, (began, seconds) in list(running.items()):
            if clock - began >= seconds:
                left.finish(trial, clock)
                del running[trial]
                ended += 1
            elif (epoch := int(epochs * (clock - began) / seconds)) and (trial, epoch) not in told:
                told.add((trial, epoch))
                left.advance(trial, epoch / epochs, clock)
    return shown, clock


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_trials_that_are_alike(workers: int) -> None:
    shown, end = shown_each_second([20.0] * 24, workers)
    assert all(seconds is None for now, seconds in shown if now < 20 * (1 if workers > 1 else 2))
    known = [(now, seconds) for now, seconds in shown if seconds is not None]
    assert len(known) > 0.7 * end
    for now, seconds in known:
        assert seconds == pytest.approx(end - now, abs=21)


@pytest.mark.parametrize("seed", range(5))
def test_it_does_not_count_upwards_where_trials_differ(seed: int) -> None:
    generator = random.Random(seed)
    durations = [60.0, 120.0, *(generator.uniform(8, 25) for _ in range(40))]
    shown, end = shown_each_second(durations, 2)
    known = [(now, seconds) for now, seconds in shown if seconds is not None]
    rises = sum(after > before for (_, before), (_, after) in pairwise(known))
    assert rises <= 3
    ratios = [seconds / (end - now) for now, seconds in known if 200 < now < 0.8 * end]
    assert max(ratios) < 2.5 and min(ratios) > 0.5


def test_trials_that_become_much_longer_are_owned_up_to() -> None:
    shown, end = shown_each_second([10.0] * 10 + [60.0] * 10, 1)
    at = dict(shown)
    assert at[99] == pytest.approx(101, abs=3)
    assert 0.4 * (end - 400) < (at[400] or 0) < 1.5 * (end - 400)


def test_a_last_trial_that_runs_goes_by_its_own_epochs() -> None:
    left = TimeLeft(1)
    for trial in range(3):
        left.begin(trial, 10.0 * trial)
        left.finish(trial, 10.0 * trial + 10)
    left.begin(3, 30.0)
    assert left.seconds(30.0, 1) == pytest.approx(10)
    left.advance(3, 0.25, 50.0)
    assert left.seconds(50.0, 1) == pytest.approx(60)
    assert left.seconds(60.0, 1) == pytest.approx(50), "counts down with the clock between epochs"
    left.finish(3, 110.0)
    assert left.seconds(110.0, 0) == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""), (0.0, ""), (3, "about 10 s left"), (44, "about 40 s left"), (58, "about 1 min left"),
        (85, "about 90 s left"), (290, "about 5 min left"), (700, "about 10 min left"), (3500, "about 1 h left"),
        (9200, "about 2.5 h left"), (40_000, "about 11 h left"),
    ],
)  # fmt: skip
def test_words(seconds: float | None, text: str) -> None:
    assert describe_left(seconds) == text
