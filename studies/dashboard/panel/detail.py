"""What is one trial? The panel beside the plot: its network, every figure with its kind, learning curve, devices."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from dash import html
from dash.development.base_component import Component

from objectives import Objective
from objectives.limits import Limit, violated
from runners.candidate import ACCURACY
from runners.trial_record import Status
from search_space.texts.counting import count_of

from ...analysis.trade import beside_in_a_sentence
from ...results.study_results import KNOWN, StudyResults
from ...texts.wording import (
    describe_latency,
    describe_trainings,
    first_metric,
    format_figure,
    format_value,
    heading,
    notes_on,
)
from .architecture import draw_architecture, stage_shares
from .devices_table import device_rows, device_table
from .learning_curve import learning_curve
from .trial_row import Row, find_trial, has_network, latency_facts, original_trial, spans, text_of

HINT = "Select a point in the plot, or a row of the table."
_SOURCES = {"trained": "trained: proxy", "file_bytes": "within 1 %"}
"""How a figure is known, where that is not called by its source; by source or objective."""
STATUSES = {"completed": "", "stopped": "stopped early"}
"""How a status is called where it is not called by its name; nothing to say of what has just been completed."""


class Badge(NamedTuple):
    """One word on how a trial stands."""

    kind: str
    """Behind `detail-badge-`, for its colour."""
    text: str


def detail_panel(results: StudyResults, trial: int | None) -> html.Div:
    """Everything about `trial`; a hint without one, a plain sentence for a number that is none of the study's."""
    if trial is None:
        return _message(HINT)
    row = find_trial(results, trial)
    if row is None:
        return _message(f"There is no trial {trial}: {results.name} has {count_of(len(results.trials), 'trial')}.")
    source = original_trial(results, row)
    parts = [*_heading(results, row, source), *_figures(results, row, source), *_beside(results, trial)]
    if has_network(row):
        parts += _section("Where the cost goes", stage_shares(row["record"].spec))
    parts += _section("Learning curve", *learning_curve(results, row, source))
    if devices := device_rows(results, trial):
        parts += _section("Latency across devices", *device_table(devices))
    return html.Div(parts, className="detail-panel")


def _heading(results: StudyResults, row: Row, source: Row) -> list[Component]:
    title = html.H2(
        [f"Trial {row['trial']}", *spans(text_of(source["label"]) or row["label"], "detail-label")],
        className="detail-title",
    )
    marks = [
        html.Span(badge.text, className=f"detail-badge detail-badge-{badge.kind}")
        for badge in _badges(results, row, source)
    ]
    look = f"detail-reason detail-reason-{row['status']}"
    reasons = [html.P(text, className=look) for text in _reasons(results, row, source)]
    words = text_of(row["network"]) or "Its network is not known."
    parts = [
        title,
        html.Div(marks, className="detail-badges"),
        *reasons,
        html.P(_breakable(words), className="detail-network"),
    ]
    if row["status"] in KNOWN and has_network(row) and not math.isnan(row[results.metric.name]):
        parts.append(html.Div(id="detail-actions", className="detail-actions"))
    return [*parts, draw_architecture(row["record"].spec)] if has_network(row) else parts


def _badges(results: StudyResults, row: Row, source: Row) -> tuple[Badge, ...]:
    status = str(row["status"])
    found = [Badge(status, text)] if (text := STATUSES.get(status, status)) else []
    if source["status"] != Status.COMPLETED:
        return tuple(found)
    if source["front"]:
        found.append(Badge("front", "on the front"))
        if source["trial"] == results.marked_knee:
            found.append(Badge("knee", "knee"))
    elif source["feasible"]:
        found.append(Badge("dominated", "dominated"))
    elif _over(results, source):
        found.append(Badge("infeasible", "over a limit"))
    return tuple(found)


def _reasons(results: StudyResults, row: Row, source: Row) -> list[str]:
    reason = text_of(row["reason"])
    over = _over(results, source) if source["status"] == Status.COMPLETED else []
    return [*([reason] if reason else []), *over]


def _over(results: StudyResults, row: Row) -> list[str]:
    limits = results.limits
    values = {limit.objective: float(row.get(limit.objective, math.nan)) for limit in limits}
    return violated(limits, {name: value for name, value in values.items() if value == value})


def _figures(results: StudyResults, row: Row, source: Row) -> list[Component]:
    """Each known figure with its unit and how it came about."""
    known = [objective for objective in results.figures if not math.isnan(row[objective.name])]
    items: list[Component] = []
    for objective in known:
        over = [limit for limit in results.limits if limit.objective == objective.name]
        is_over = bool(violated(over, {objective.name: float(row[objective.name])}))
        look = "detail-value detail-over" if is_over else "detail-value"
        items += [
            html.Dt(heading(objective).removesuffix(f", {objective.source}")),
            html.Dd(_value(objective, row, source), className=look),
            html.Dd(_unbroken(_kind(objective, source, over)), className="detail-kind"),
        ]
    if not items:
        return _section("Figures", html.P("None is known yet.", className="detail-note"))
    facts = latency_facts(source)
    notes = [
        html.P(f"{heading(o).removesuffix(', measured')}: {describe_latency(facts[o.name])}.", className="detail-note")
        for o in known
        if o.name in facts
    ]
    notes += [html.P(f"{note}.", className="detail-note") for note in notes_on(known)]
    if trainings := describe_trainings(source, results.metric):
        notes.insert(0, html.P(f"{heading(results.metric)}: {trainings}.", className="detail-note"))
    return _section("Figures", html.Dl(items, className="detail-figures"), *notes)


def _value(objective: Objective, row: Row, source: Row) -> str:
    """The figure with its unit; of an accuracy with its 95 % interval for the images that measured it."""
    if objective.name == ACCURACY:
        return format_figure(objective, {**row, "record": source["record"]})
    return format_value(objective, row[objective.name])


def _kind(objective: Objective, source: Row, limits: Sequence[Limit]) -> list[str]:
    words: list[str] = [_SOURCES.get(objective.name, _SOURCES.get(objective.source, objective.source))]
    predicted = latency_facts(source).get(objective.name, {}).get("predicted_ms")
    if predicted is not None:
        words.append(f"predicted {format_value(objective, predicted)}")
    in_float = source["float_accuracy"]
    if objective.name == ACCURACY and in_float == in_float and in_float != first_metric(source, objective):
        words.append(f"{format_value(objective, in_float)} in float")
    for limit in limits:
        words.append(f"limit {'≤' if limit.kind == 'max' else '≥'} {format_value(objective, limit.value)}")
    return words


def _beside(results: StudyResults, trial: int) -> list[Component]:
    """The trial against the nearest reference, in words."""
    beside = beside_in_a_sentence(results, trial)
    return [] if beside is None else [html.P(beside, className="detail-beside")]


def _section(title: str, *children: Component) -> list[Component]:
    return [html.Section([html.H3(title, className="detail-head"), *children], className="detail-section")]


def _message(text: str) -> html.Div:
    return html.Div(html.P(text, className="detail-hint"), className="detail-panel detail-empty")


def _unbroken(words: Sequence[str]) -> list[Component]:
    """A list of words in whose parts no line ends."""
    ends = [*([", "] * (len(words) - 1)), ""]
    return [html.Span(f"{word}{end}", className="detail-unbroken") for word, end in zip(words, ends, strict=True)]


def _breakable(text: str) -> list[str | Component]:
    """Lines may end behind a slash, as in `basic/bottleneck/ghost`."""
    first, *others = text.split("/")
    return [first, *(part for other in others for part in ("/", html.Wbr(), other))]
