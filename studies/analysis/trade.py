"""How do two networks differ, in words? What one gains and pays against another, and against a named reference."""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from objectives import OBJECTIVES, Objective
from runners.trial_record import Status
from search_space.errors import UserError
from search_space.texts.counting import count_of

from ..results.study_results import StudyResults
from ..texts.wording import Z95, format_value, heading

MIN_SHARE, MIN_POINTS = 0.005, 0.005
"""Smaller differences, as a share of a cost and in points of a fraction, are not seen in two decimals."""
SAME_ACCURACY = 0.005
"""Accuracies this near are called the same, however many images they were measured on (fraction)."""
MANY_TIMES, SMALL_PART = 2.0, 0.1
"""Beyond these a ratio reads better as times, or as a part that is left, than as per cent more or less."""


class Words(NamedTuple):
    """A cost as it is spoken of; `less` and `more` stand behind a percentage."""

    less: str
    more: str
    noun: str


_WORDS = {
    "latency_ms": Words("less latency", "more latency", "latency"),
    "macs": Words("fewer MACs", "more MACs", "MACs"),
    "params": Words("fewer parameters", "more parameters", "parameters"),
    "file_bytes": Words("smaller", "larger", "size"),
    "packed_bytes": Words("smaller packed", "larger packed", "packed size"),
    "bops": Words("fewer bit operations", "more bit operations", "bit operations"),
    "peak_memory_bytes": Words("less peak memory", "more peak memory", "peak memory"),
}
_ADJECTIVES = {"accuracy": ("less accurate", "more accurate")}


def trade(results: StudyResults, trial: int, other: int, *, also: Iterable[Objective] = ()) -> str:
    """What `trial` gains and pays against `other`: `2.75 points less accurate, 51 % less latency, 3 % smaller`.

    Over the study's objectives, and those of `also` that are none. Raises UserError for a number that is no trial.
    """
    ours, theirs = _row(results, trial), _row(results, other)
    objectives = {objective.name: objective for objective in (*results.objectives, *also)}
    return ", ".join(_difference(each, float(ours[name]), float(theirs[name])) for name, each in objectives.items())


def beside_reference(results: StudyResults, trial: int) -> str | None:
    """A trial beside the nearest named network: `the accuracy of resnet32 at 41 % of the MACs and 23 % of the size`.

    Among the references that the study trained that is the one of the nearest accuracy. Where the accuracies lie within
    the 95 % interval of their difference, that is said. Without any, it is the one of the nearest MACs, untrained and
    in float. None for a trial without an accuracy, or where there is no reference. Raises UserError for an unknown
    trial.
    """
    row, trials = _row(results, trial), results.trials
    if math.isnan(row["accuracy"]):
        return None
    trained = trials[(trials["status"] == Status.COMPLETED) & trials["label"].notna() & trials["accuracy"].notna()]
    if not trained.empty:
        return _beside_trained(results, row, trained)
    if not results.references.empty:
        return _beside_untrained(results, row)
    return None


def beside_in_a_sentence(results: StudyResults, trial: int) -> str | None:
    """`beside_reference` as a sentence: `It has the accuracy of ...`, `It is 2 points below ...`, `It is resnet20.`"""
    beside = beside_reference(results, trial)
    if beside is None:
        return None
    verb = "" if beside.startswith("is ") else "is " if re.match(r"[\d.]+ points? ", beside) else "has "
    return f"It {verb}{beside}."


def share(ratio: float) -> str:
    """A ratio as a percentage that never rounds to nothing: `41 %`, `0.37 %`."""
    return f"{100 * ratio:.0f} %" if ratio >= 0.095 else f"{100 * ratio:.2g} %"


def times(ratio: float) -> str:
    """A large ratio: `2.3 times`."""
    return f"{ratio:.2g} times" if ratio < 99.5 else f"{ratio:.0f} times"


def points(difference: float) -> str:
    """A difference of two fractions without its sign: `2.75 points`, `1 point`."""
    text = f"{100 * abs(difference):.2f}".rstrip("0").rstrip(".")
    return f"{text} point" if text == "1" else f"{text} points"


def _row(results: StudyResults, trial: int) -> "pd.Series[Any]":
    rows = np.flatnonzero(results.trials["trial"].to_numpy() == trial)
    if not len(rows):
        number = count_of(len(results.trials), "trial")
        raise UserError(f"{results.name}: no trial {trial}; it has {number}, numbered from 0")
    return results.trials.iloc[int(rows[0])]


def noun(objective: Objective) -> str:
    """Return the objective as it is spoken of in a sentence: `MACs`, `size`, `latency on rpi4`."""
    return _words(objective).noun


def _words(objective: Objective) -> Words:
    base, _, device = objective.name.partition("@")
    name = heading(objective).lower()
    words = _WORDS.get(base, Words(f"less {name}", f"more {name}", name))
    return Words(*(f"{word} on {device.removeprefix('ssh:')}" for word in words)) if device else words


def _difference(objective: Objective, ours: float, theirs: float) -> str:
    if math.isnan(ours) or math.isnan(theirs):
        return f"{_words(objective).noun} unknown"
    if objective.unit == "fraction":
        return _fraction_difference(objective, ours - theirs)
    if not objective.known:  # a metric may be negative, or 0
        amount = format_value(objective, abs(ours - theirs))
        return f"{amount} {'more' if ours > theirs else 'less'} {noun(objective)}" if ours != theirs else "the same"
    if not theirs:
        return f"{format_value(objective, ours)} {_words(objective).noun} instead of none"
    return _ratio_difference(_words(objective), ours / theirs)


def _fraction_difference(objective: Objective, difference: float) -> str:
    name = noun(objective)
    if abs(100 * difference) < MIN_POINTS:
        return f"the same {name}"
    less, more = _ADJECTIVES.get(objective.name, (f"less {name}", f"more {name}"))
    return f"{points(difference)} {more if difference > 0 else less}"


def _ratio_difference(words: Words, ratio: float) -> str:
    if abs(ratio - 1) < MIN_SHARE:
        return f"the same {words.noun}"
    if ratio >= MANY_TIMES:
        return f"{times(ratio)} the {words.noun}"
    if ratio > 1:
        return f"{share(ratio - 1)} {words.more}"
    return f"{share(1 - ratio)} {words.less}" if ratio > SMALL_PART else f"{share(ratio)} of the {words.noun}"


def _beside_trained(results: StudyResults, row: "pd.Series[Any]", trained: pd.DataFrame) -> str:
    itself = trained[trained["key"] == row["key"]]
    if not itself.empty:
        return f"is {itself['label'].iloc[0]}"
    reference = trained.iloc[int(np.argmin((trained["accuracy"] - row["accuracy"]).abs()))]
    difference = float(row["accuracy"] - reference["accuracy"])
    mean = float(row["accuracy"] + reference["accuracy"]) / 2
    error = Z95 * _standard_error(results, mean)
    if abs(difference) <= SAME_ACCURACY and (error <= SAME_ACCURACY or abs(100 * difference) < MIN_POINTS):
        accuracy = f"the accuracy of {reference['label']}"
    else:
        accuracy = f"{points(difference)} {'above' if difference > 0 else 'below'} {reference['label']}"
        if abs(difference) <= error:
            accuracy += f" (within the error of {results.validation_images:,} images)"
    return f"{accuracy} at {_shares(_costs(results), row, reference)}"


def _standard_error(results: StudyResults, accuracy: float) -> float:
    """Of the difference of two accuracies near `accuracy`, taken as independent; 0 where the images are not known."""
    images = results.validation_images
    return math.sqrt(2 * accuracy * (1 - accuracy) / images) if images else 0.0


def _beside_untrained(results: StudyResults, row: "pd.Series[Any]") -> str:
    itself = [
        str(name)
        for name, keys in zip(results.references["name"], results.references["keys"], strict=True)
        if row["key"] in keys
    ]
    if itself:
        return f"is {itself[0]}"
    distances = np.abs(np.log(results.references["macs"].to_numpy(dtype=float) / row["macs"]))
    reference = results.references.iloc[int(np.argmin(distances))]
    return f"{_shares(_costs(results), row, reference)} of {reference['name']} in float (not trained in this study)"


def _costs(results: StudyResults) -> tuple[Objective, ...]:
    """The study's costs, then MACs and the size of the file."""
    named = {objective.name: objective for objective in results.objectives if not objective.maximize}
    return tuple((named | {name: OBJECTIVES[name] for name in ("macs", "file_bytes") if name not in named}).values())


def _shares(costs: Sequence[Objective], ours: "pd.Series[Any]", theirs: "pd.Series[Any]") -> str:
    """`41 % of the MACs and 23 % of the size`, of the costs that are known of both."""
    found = []
    for objective in costs:
        ratio = float(ours[objective.name]) / float(theirs.get(objective.name, math.nan))
        if not math.isnan(ratio):
            amount = times(ratio) if ratio >= MANY_TIMES else f"{share(ratio)} of"
            found.append(f"{amount} the {_words(objective).noun}")
    return " and ".join(filter(None, [", ".join(found[:-1]), found[-1]]))
