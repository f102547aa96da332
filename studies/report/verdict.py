"""What must a user be told at the end of a study? Why it has no front, and whether its proxy learned anything."""

import math
from collections.abc import Sequence

import pandas as pd

from objectives import OBJECTIVES, Limit
from objectives.pareto import losses
from runners.candidate import ACCURACY
from runners.config import CONFIRMED, SearchConfig
from runners.trial_record import Status
from search_space.settings import read_settings
from search_space.texts.counting import count_of

from ..analysis.trade import noun
from ..results.study_results import StudyResults, keeps
from ..texts.wording import format_metric, format_value, heading

LEAST_GAIN = 0.1
"""A proxy that has come less than this share of the way from the commonest class to all images has hardly learned."""
ERRORS = 2.0
"""Standard errors within which an accuracy is no better than that of always answering the commonest class."""


def why_no_front(results: StudyResults) -> str:
    """Why no trial is on the front: how near the best ones have come to the limits on what is learned."""
    completed = results.of_status(Status.COMPLETED)
    if completed.empty:
        return "no trial has completed yet"
    known, learned = ([limit for limit in results.limits if limit.known is wanted] for wanted in (True, False))
    inside = completed[keeps(completed, known)]
    if inside.empty:
        return f"none of the completed trials keeps the limits ({_all_of(known)})"
    within = f"of those that keep {_all_of(known)}, " if known else ""
    nearest = " and ".join(_nearest(limit, inside) for limit in learned)
    return f"none of the completed trials keeps the limits: {within}{nearest}"


def nothing_trained(results: StudyResults) -> str:
    """Why a search of which no trial was trained has ended: what the last networks were rejected for."""
    rejected = results.of_status(Status.REJECTED)
    example = f", the last for {rejected['reason'].iloc[-1]}" if len(rejected) else ""
    return f"no network of the space keeps the limits; {len(rejected)} were proposed and rejected{example}"


def _all_of(limits: Sequence[Limit]) -> str:
    return " and ".join(map(str, limits))


def _nearest(limit: Limit, trials: pd.DataFrame) -> str:
    """How near the best of `trials` comes to a limit on what is learned."""
    objective = OBJECTIVES[limit.objective]
    row = trials.sort_values(objective.name, ascending=limit.kind == "max").iloc[0]
    asked = "at most" if limit.kind == "max" else "at least"
    return (
        f"the best {heading(objective).lower()} is {format_value(objective, row[limit.objective])} "
        f"(trial {row['trial']}), and --{limit.kind} asks for {asked} {format_value(objective, limit.value)}"
    )


def closing_notes(results: StudyResults) -> list[str]:
    """Return what must be said of the accuracies of a study; empty where there is nothing."""
    noted = (hardly_learned, no_better_than_guessing, best_is_a_reference, single_trainings, differing_trainings)
    return [note for note in (say(results) for say in noted) if note]


def no_better_than_guessing(results: StudyResults) -> str:
    """A note on networks of the front that are no better than one that has learned nothing; empty for none."""
    front, metric = results.front, results.metric
    loss = losses(front[[metric.name]].to_numpy(dtype=float), [metric])[:, 0]
    useless = front["trial"][loss >= metric.loss(results.worthless)]
    if useless.empty or hardly_learned(results):
        return ""
    which = "trial" if len(useless) == 1 else "trials"
    return (
        f"{which} {', '.join(map(str, useless))} of the front {'is' if len(useless) == 1 else 'are'} no better than "
        f"{_knowing_nothing(results)} ({format_metric(metric, results.worthless)})"
    )


def best_is_a_reference(results: StudyResults) -> str:
    """A note where no network that the search has found is better than a named one; empty otherwise."""
    if results.front.empty or hardly_learned(results):
        return ""
    best = results.best_first(results.front).iloc[0]
    if not isinstance(best["label"], str):
        return ""
    own = int(results.of_status(Status.COMPLETED)["label"].isna().sum())
    return (
        f"the best network is the reference {best['label']}: of {count_of(own, 'network')} that the search has found "
        "none is better; more trials may find one (--resume --trials)"
    )


def single_trainings(results: StudyResults) -> str:
    """A note where the best networks are not trained again; empty otherwise."""
    if read_settings(SearchConfig, results.config["search"]).confirmations or (results.trials["trainings"] > 1).any():
        return ""
    return (
        f"every {noun(results.metric)} is of one training, and the best of many is usually overrated; "
        f"--resume --set search.confirm={CONFIRMED} trains the best {CONFIRMED} once more"
    )


def differing_trainings(results: StudyResults) -> str:
    """Return a note where trainings of one network differ by far more than the number of images explains, else nothing.

    With n trainings of a network, whose first one lies d above their mean, n / (n - 1) d^2 estimates the variance of
    one training; it is held against p (1 - p) / images of a binomial share p.
    """
    again = results.trials[results.trials["trainings"] > 1]
    if again.empty or results.metric.name != ACCURACY:
        return ""
    count, mean = again["trainings"], again["accuracy"]
    found = math.sqrt(((again["first_metric"] - mean) ** 2 * count / (count - 1)).mean())
    expected = math.sqrt((mean * (1 - mean)).mean() / results.validation_images)
    if found <= ERRORS * expected:
        return ""
    return (
        f"a network that is trained again has another accuracy (standard deviation {100 * found:.1f} points, of which "
        f"{results.validation_images:,} validation images alone make {100 * expected:.1f}), so that smaller "
        "differences between networks say little here; images of more places and days help most, then a larger "
        "search.confirm"
    )


def hardly_learned(results: StudyResults) -> str:
    """A note where the best metric is hardly better than that of a network that has learned nothing; empty otherwise.

    Hardly is by at most two standard errors of an accuracy, or by less than a tenth of the way to a perfect network.
    """
    completed, metric = results.best_first(results.of_status(Status.COMPLETED)), results.metric
    if completed.empty:
        return ""
    best, nothing = float(completed[metric.name].iloc[0]), results.worthless
    way = metric.loss(nothing) - metric.loss(metric.best)
    error = math.sqrt(nothing * (1 - nothing) / results.validation_images) if metric.name == ACCURACY else 0.0
    if not metric.loss(best) >= metric.loss(nothing) - max(ERRORS * error, LEAST_GAIN * way):
        return ""
    how = "hardly" if metric.loss(best) < metric.loss(nothing) else "not"
    best_words, nothing_words = (format_metric(metric, value) for value in (best, nothing))
    found = (
        f"the best {noun(metric)}, {best_words}, is {how} better than the {nothing_words} of "
        f"{_knowing_nothing(results)}: the training hardly learned"
    )
    if results.metrics:
        return found
    training = results.config["training"]
    images = f"{training['images']:,}" if training["images"] else "all"
    now = f"(now {images} and {training['epochs']})"
    return f"{found}; raise training.images or training.epochs {now}, or check the labels"


def _knowing_nothing(results: StudyResults) -> str:
    """What a network that has learned nothing does, as a clause."""
    return "a network that has learned nothing" if results.metrics else "always answering the commonest class"
