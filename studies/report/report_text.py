"""What does the report say besides its figures? The study in words, the table of its front, how to repeat it."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from objectives import Limit
from runners.candidate import Observation
from runners.config import StudyConfig
from runners.trial_record import EVALUATED, Status
from search_space.space import SearchSpace
from search_space.texts.counting import count_of

from ..results.study_results import StudyResults, keeps
from ..study.config import parse_config
from ..texts.wording import (
    count_by_status,
    describe_images,
    describe_limit,
    describe_metric,
    describe_prior,
    describe_proxy,
    describe_spec,
    format_duration,
    format_figure,
    heading,
    notes_on,
)
from .next_steps import best_and_knee, describe_choice
from .verdict import closing_notes, why_no_front

MAX_REASONS = 12
_FIGURE = re.compile(r" \(is [^)]*\)")


@dataclass(frozen=True, kw_only=True)
class FrontTable:
    """The front, the best network by the metric first."""

    heads: tuple[str, ...]
    """Of the values."""
    rows: tuple["FrontRow", ...]
    notes: tuple[str, ...]
    """What the figures are whose heads do not say it, and on how many images accuracies were measured."""


@dataclass(frozen=True, kw_only=True)
class FrontRow:
    """One network of the front, in words."""

    trial: int
    network: str
    label: str
    knee: bool
    values: tuple[str, ...]


def summary(results: StudyResults) -> dict[str, str]:
    """What was searched, how, and how far it came: head -> text."""
    config = _config(results)
    trials = results.trials
    return {
        "Objectives": ", ".join(
            f"{heading(o)} ({'maximised' if o.maximize else 'minimised'})" for o in results.objectives
        ),
        "Limits": "; ".join(_limit(limit, trials) for limit in config.limits.as_limits()) or "none",
        "Data set": _data(results, config),
        "Proxy training": describe_proxy(results.config["training"], results.observation),
        "Search space": _space(config.space),
        "Sampler": f"{config.search.sampler}, seed {config.search.seed}",
        "Prior": describe_prior(results.earlier_studies),
        "Trials": f"{len(trials)}: {count_by_status(trials['status'])}" if len(trials) else "none",
        "Front": count_of(int(trials["front"].astype(bool).sum()), "network"),
        **_choices(results),
        **_history(results),
        "Time": _time(trials),
    }


def _limit(limit: Limit, trials: pd.DataFrame) -> str:
    """The limit, and what it left out: `File size at most 300 kB (rejected 7 candidates, resnet56 among them)`."""
    words = describe_limit(limit)
    if not limit.known:
        trained = trials[trials["status"] == Status.COMPLETED]
        outside = int((~keeps(trained, [limit])).sum())
        return f"{words} (kept {count_of(outside, 'trained network')} off the front)" if outside else words
    rejected = trials[trials["status"] == Status.REJECTED]
    rejected = rejected[rejected["reason"].fillna("").str.contains(f"{limit} (", regex=False)]
    if rejected.empty:
        return words
    named = list(dict.fromkeys(rejected["label"].dropna()))
    among = f", {_listed(named)} among them" if named else ""
    return f"{words} (rejected {count_of(len(rejected), 'candidate')}{among})"


def _listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _choices(results: StudyResults) -> dict[str, str]:
    """The networks to take home."""
    heads = {"best": "Best within the limits", "knee": "Knee"}
    return {heads[name]: describe_choice(results, trial) for name, trial in best_and_knee(results).items()}


def _history(results: StudyResults) -> dict[str, str]:
    """References that the limits left out, and limits that held before; without what there is not."""
    trials = results.trials
    tried = set(results.of_status(*EVALUATED, Status.RUNNING)["label"].dropna())
    rejected = trials[(trials["status"] == Status.REJECTED) & trials["label"].notna() & ~trials["label"].isin(tried)]
    left_out = [f"{label} ({reason})" for label, reason in zip(rejected["label"], rejected["reason"], strict=True)]
    earlier = [
        f"until {until.replace('T', ' ').replace('+00:00', ' UTC')}: "
        f"{', '.join(describe_limit(limit) for limit in limits) or 'none'}"
        for until, limits in results.earlier_limits
    ]
    entries = {"References left out": "; ".join(left_out), "Earlier limits": "; ".join(earlier)}
    return {head: text for head, text in entries.items() if text}


def front_note(results: StudyResults) -> str:
    """What a reader must know about the front before reading it."""
    trials = results.trials
    if not (trials["status"] == Status.COMPLETED).any():
        return ""
    missing = "" if trials["front"].astype(bool).any() else f"there is no front: {why_no_front(results)}"
    notes = [*([missing] if missing else []), *closing_notes(results)]
    return " ".join(f"{note[0].upper()}{note[1:]}." for note in notes)


def front_table(results: StudyResults) -> FrontTable:
    """Every figure of every network on the front, with units."""
    shown = results.figures
    front = results.best_first(results.trials[results.trials["front"].astype(bool)])
    knee = results.marked_knee
    rows = (
        FrontRow(
            trial=int(row["trial"]),
            network=describe_spec(row["record"].spec),
            label=row["label"] if isinstance(row["label"], str) else "",
            knee=int(row["trial"]) == knee,
            values=tuple(format_figure(objective, row) for objective in shown),
        )
        for _, row in front.iterrows()
    )
    return FrontTable(
        heads=tuple(heading(objective) for objective in shown),
        rows=tuple(rows),
        notes=(describe_metric(results.metric, results.validation_images), *notes_on(shown)),
    )


NO_HOPE = "could not reach the front at their own cost any more"
"""Why trials are stopped; the figures differ between them."""


def reasons(results: StudyResults) -> list[tuple[str, str, int]]:
    """Why trials were rejected, stopped or failed: status, reason, how often; the most frequent ones.

    The figure by which each trial broke a limit is left out, for it differs between trials.
    """
    ended = results.of_status(Status.REJECTED, Status.STOPPED, Status.FAILED)
    known = ended["reason"].fillna("unknown")
    pairs = [
        (status, NO_HOPE if status == "stopped" else _FIGURE.sub("", reason))
        for status, reason in zip(ended["status"], known, strict=True)
    ]
    return [(*pair, count) for pair, count in Counter(pairs).most_common(MAX_REASONS)]


def _config(results: StudyResults) -> StudyConfig:
    return parse_config(results.config, results.name)


def observations(results: StudyResults) -> list[Observation]:
    return [record.observation for record in results.trials["record"] if record.observation is not None]


def _data(results: StudyResults, config: StudyConfig) -> str:
    prints = {found.dataset_fingerprint for found in observations(results)}
    fingerprint = f" (fingerprint {', '.join(sorted(prints))})" if prints else ""
    images = describe_images(
        len(results.class_names), results.training_images, results.validation_images, results.validation_source
    )
    return f"{config.data.name}{fingerprint}: {images}"


def _space(space: SearchSpace) -> str:
    bits = ", ".join("float" if bits == 32 else f"{bits} bits" for bits in space.bits)
    low, high = space.base_width
    parts = [
        f"depth {space.depth[0]} to {space.depth[1]}",
        f"{space.num_stages} stages of {', '.join(space.blocks)} blocks{_scope(space.block_scope)}",
        f"first width {low} to {high}, multipliers {', '.join(f'{m:g}' for m in space.width_multipliers)}",
        f"{', '.join(map(str, space.resolution))} px",
        bits + (_scope(space.bits_scope) if len(space.bits) > 1 else ""),
    ]
    return "; ".join(parts)


def _scope(scope: str) -> str:
    return " (the same in all stages)" if scope == "net" else " (each stage its own)"


def _time(trials: pd.DataFrame) -> str:
    ended = trials["finished"].dropna()
    if ended.empty:
        return "nothing has finished"
    span = (ended.max() - trials["started"].min()).total_seconds()
    spent = f"{format_duration(float(trials['duration_s'].fillna(0).sum()))} of training and evaluation"
    begun = trials[trials["status"] != Status.DUPLICATE].sort_values("trial")["started"].dropna()
    if not begun.is_monotonic_increasing or span < 0:
        return spent  # the clock was set back meanwhile
    return f"{spent}, {format_duration(span)} from the first trial to the last"
