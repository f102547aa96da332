"""What is one trial? The panel beside the plot: its network, every figure with its kind, learning curve, devices."""

import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from dash import dcc, html
from dash.development.base_component import Component

from objectives import OBJECTIVES, Objective
from objectives.base import Unsupported
from objectives.constraints import Limit, violated
from objectives.devices import load_profile, profile_names
from objectives.latency import LATENCY
from objectives.roofline import estimate_latency
from runners.config import LimitsConfig
from search_space.references import architecture_from_dict

from ..figures.curves import Curve, CurvesInfo, draw_curves
from ..figures.theme import FRONT
from ..figures.trials import marked_knee
from ..results import EVALUATED, StudyResults
from ..trade import beside_in_a_sentence
from ..wording import count_of, describe_latency, describe_proxy, format_duration, format_value, heading
from .architecture import draw_architecture, stage_shares

CURVE_PX = 220
HINT = "Select a point in the plot, or a row of the table."
STATUSES = {"completed": "", "stopped": "stopped early"}
"""How a status is called where it is not called by its name; nothing to say of what has just been completed."""
_NO_CURVE = {
    "rejected": "None: it was rejected before training.",
    "failed": "None: it failed before its first epoch ended.",
    "running": "None yet: its evaluation is not done.",
}

Row = Mapping[str, Any]
"""A trial of `StudyResults.trials`."""


class DeviceRow(NamedTuple):
    """How long a network takes on one device."""

    device: str
    what: str
    """The hardware in a few words; empty where it is not known."""
    kind: Literal["measured", "estimated"]
    latency_ms: float
    """NaN where the device cannot run the network."""
    reason: str = ""
    """Why it cannot; empty where it can."""


class Badge(NamedTuple):
    """One word on how a trial stands."""

    kind: str
    """Behind `detail-badge-`, for its colour."""
    text: str


def detail_panel(results: StudyResults, trial: int | None) -> html.Div:
    """Everything about `trial`; a hint without one, a plain sentence for a number that is none of the study's."""
    if trial is None:
        return _message(HINT)
    row = _find(results, "trial", trial)
    if row is None:
        return _message(f"There is no trial {trial}: {results.name} has {count_of(len(results.trials), 'trial')}.")
    source = _evaluated(results, row)
    parts = [*_heading(results, row, source), *_figures(results, row, source), *_beside(results, trial)]
    if _has_network(row):
        parts += _section("Where the cost goes", stage_shares(row["spec"]))
    parts += _section("Learning curve", *_learning_curve(results, row, source))
    if devices := device_rows(results, trial):
        parts += _section("Latency across devices", *_device_table(devices))
    return html.Div(parts, className="detail-panel")


def device_rows(results: StudyResults, trial: int) -> tuple[DeviceRow, ...]:
    """What the study measured of a trial's network, then the estimate for every profile; empty for no known network.

    One image at a time on one thread.
    """
    row = _find(results, "trial", trial)
    if row is None or not _has_network(row):
        return ()
    facts = _latency_facts(_evaluated(results, row))
    measured = [
        DeviceRow(str(o.device).removeprefix("ssh:"), _hardware(facts.get(o.name, {})), "measured", float(row[o.name]))
        for o in results.figures
        if o.source == "measured" and not math.isnan(row[o.name])
    ]
    return (*measured, *_estimates(json.dumps(row["spec"], sort_keys=True)))


@lru_cache(maxsize=512)
def _estimates(spec: str) -> tuple[DeviceRow, ...]:
    graph = architecture_from_dict(json.loads(spec)).build_graph()
    found = []
    for name in profile_names():
        profile = load_profile(name)
        what = profile.description.partition(":")[0]
        try:
            found.append(DeviceRow(name, what, "estimated", estimate_latency(graph, profile).latency_ms))
        except Unsupported as error:
            found.append(DeviceRow(name, what, "estimated", math.nan, str(error)))
    return tuple(found)


def _find(results: StudyResults, column: str, value: Any) -> dict[str, Any] | None:
    """The first row with that value."""
    rows = np.flatnonzero((results.trials[column] == value).to_numpy(dtype=bool))
    return dict(results.trials.iloc[int(rows[0])]) if len(rows) else None


def _evaluated(results: StudyResults, row: Row) -> Row:
    """The trial that evaluated the network: of a duplicate the first of its key, of any other the trial itself."""
    if row["status"] != "duplicate":
        return row
    completed = results.trials[results.trials["status"] == "completed"]
    rows = np.flatnonzero((completed["key"] == row["key"]).to_numpy(dtype=bool))
    return dict(completed.iloc[int(rows[0])]) if len(rows) else row


def _heading(results: StudyResults, row: Row, source: Row) -> list[Component]:
    title = html.H2(
        [f"Trial {row['trial']}", *_spans(_text(source["label"]) or row["label"], "detail-label")],
        className="detail-title",
    )
    marks = [
        html.Span(badge.text, className=f"detail-badge detail-badge-{badge.kind}")
        for badge in _badges(results, row, source)
    ]
    look = f"detail-reason detail-reason-{row['status']}"
    reasons = [html.P(text, className=look) for text in _reasons(results, row, source)]
    words = _text(row["network"]) or "Its network is not known."
    parts = [
        title,
        html.Div(marks, className="detail-badges"),
        *reasons,
        html.P(_breakable(words), className="detail-network"),
    ]
    if row["status"] in EVALUATED and _has_network(row) and not math.isnan(row["accuracy"]):
        parts.append(html.Div(id="detail-actions", className="detail-actions"))
    return [*parts, draw_architecture(row["spec"])] if _has_network(row) else parts


def _badges(results: StudyResults, row: Row, source: Row) -> tuple[Badge, ...]:
    status = str(row["status"])
    found = [Badge(status, text)] if (text := STATUSES.get(status, status)) else []
    if source["status"] != "completed":
        return tuple(found)
    if source["front"]:
        found.append(Badge("front", "on the front"))
        if source["trial"] == marked_knee(results):
            found.append(Badge("knee", "knee"))
    elif source["feasible"]:
        found.append(Badge("dominated", "dominated"))
    elif _over(results, source):
        found.append(Badge("infeasible", "over a limit"))
    return tuple(found)


def _reasons(results: StudyResults, row: Row, source: Row) -> list[str]:
    reason = _text(row["reason"])
    over = _over(results, source) if source["status"] == "completed" else []
    return [*([reason] if reason else []), *over]


def _limits(results: StudyResults) -> tuple[Limit, ...]:
    return tuple(LimitsConfig(**results.config.get("limits", {})).as_limits())


def _over(results: StudyResults, row: Row) -> list[str]:
    limits = _limits(results)
    values = {limit.objective: float(row.get(limit.objective, math.nan)) for limit in limits}
    return violated(limits, {name: value for name, value in values.items() if value == value})


def _figures(results: StudyResults, row: Row, source: Row) -> list[Component]:
    """Each known figure with its unit and how it came about."""
    known = [objective for objective in results.figures if not math.isnan(row[objective.name])]
    items: list[Component] = []
    for objective in known:
        over = [limit for limit in _limits(results) if limit.objective == objective.name]
        is_over = bool(violated(over, {objective.name: float(row[objective.name])}))
        look = "detail-value detail-over" if is_over else "detail-value"
        items += [
            html.Dt(heading(objective).removesuffix(f", {objective.source}")),
            html.Dd(format_value(objective, row[objective.name]), className=look),
            html.Dd(_unbroken(_kind(objective, source, over)), className="detail-kind"),
        ]
    if not items:
        return _section("Figures", html.P("None is known yet.", className="detail-note"))
    facts = _latency_facts(source)
    notes = [
        html.P(f"{heading(o).removesuffix(', measured')}: {describe_latency(facts[o.name])}.", className="detail-note")
        for o in known
        if o.name in facts
    ]
    return _section("Figures", html.Dl(items, className="detail-figures"), *notes)


def _kind(objective: Objective, source: Row, limits: Sequence[Limit]) -> list[str]:
    words: list[str] = ["trained: proxy" if objective.source == "trained" else objective.source]
    predicted = _latency_facts(source).get(objective.name, {}).get("predicted_ms")
    if predicted is not None:
        words.append(f"predicted {format_value(objective, predicted)}")
    in_float = source["float_accuracy"]
    if objective.source == "trained" and in_float == in_float and in_float != source["accuracy"]:
        words.append(f"{format_value(objective, in_float)} in float")
    for limit in limits:
        words.append(f"limit {'≤' if limit.kind == 'max' else '≥'} {format_value(objective, limit.value)}")
    return words


def _beside(results: StudyResults, trial: int) -> list[Component]:
    """The trial against the nearest reference, in words."""
    beside = beside_in_a_sentence(results, trial)
    return [] if beside is None else [html.P(beside, className="detail-beside")]


def _learning_curve(results: StudyResults, row: Row, source: Row) -> list[Component]:
    curve = source["curve"]
    if not curve:
        return [html.P(_NO_CURVE.get(str(row["status"]), "None is known."), className="detail-note")]
    parts = [count_of(len(curve), "epoch")]
    if quantized := sum(point["quantized"] for point in curve):
        parts[0] += f", {quantized} of them quantized (dashed)"
    if not math.isnan(source["duration_s"]):
        parts.append(f"{format_duration(source['duration_s'])} of training and evaluation")
    if source["trial"] != row["trial"]:
        parts.append(f"as trial {source['trial']}")
    observation = source["observation"] if isinstance(source["observation"], dict) else results.observation
    proxy = f"The proxy: {describe_proxy(results.config['training'], observation)}."
    return [
        dcc.Graph(
            id="detail-curve",
            figure=_curve_figure(int(source["trial"]), curve),
            config={"displayModeBar": False},
            className="plot detail-curve",
            style={"height": CURVE_PX},
        ),
        html.P(f"{'; '.join(parts)}. {proxy}", className="detail-note"),
    ]


def _curve_figure(trial: int, curve: Sequence[Mapping[str, Any]]) -> Any:
    """The study's figure of learning curves with this one alone, small, on whatever lies behind it."""
    one = Curve(
        trial=trial,
        front=True,
        epochs=tuple(point["epoch"] for point in curve),
        accuracies=tuple(point["accuracy"] for point in curve),
        float_epochs=sum(not point["quantized"] for point in curve),
        text="",
    )
    figure = draw_curves(CurvesInfo(front=(one,), others=(), selected=None, message=None))
    figure.update_traces(
        mode="lines+markers",
        line={"color": FRONT},
        marker={"size": 5},
        hovertemplate="epoch %{x}: %{y:.2%}<extra></extra>",
    )
    figure.update_layout(
        title={"text": "", "subtitle": {"text": ""}},
        height=CURVE_PX,
        margin={"l": 44, "r": 10, "t": 10, "b": 40},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    figure.layout.annotations = ()
    return figure


def _device_table(rows: Sequence[DeviceRow]) -> list[Component]:
    body = []
    for row in rows:
        name = html.Th([row.device, *_spans(row.what, "detail-what")], scope="row")
        if row.reason:
            cells = [html.Td(f"cannot run: {row.reason}", colSpan=2, className="detail-cannot")]
        else:
            latency = format_value(OBJECTIVES[LATENCY], row.latency_ms)
            cells = [html.Td(latency, className="detail-value"), html.Td(row.kind, className="detail-kind")]
        body.append(html.Tr([name, *cells]))
    head = html.Tr([html.Th("Device"), html.Th("Latency", className="detail-value"), html.Th("Kind")])
    note = "One image at a time, one thread. Estimates rank networks on a device; their digits hold within a quarter."
    return [
        html.Table([html.Thead(head), html.Tbody(body)], className="detail-devices"),
        html.P(note, className="detail-note"),
    ]


def _section(title: str, *children: Component) -> list[Component]:
    return [html.Section([html.H3(title, className="detail-head"), *children], className="detail-section")]


def _message(text: str) -> html.Div:
    return html.Div(html.P(text, className="detail-hint"), className="detail-panel detail-empty")


def _spans(text: Any, look: str) -> list[Component]:
    return [html.Span(found, className=look)] if (found := _text(text)) else []


def _unbroken(words: Sequence[str]) -> list[Component]:
    """A list of words in whose parts no line ends."""
    ends = [*([", "] * (len(words) - 1)), ""]
    return [html.Span(f"{word}{end}", className="detail-unbroken") for word, end in zip(words, ends, strict=True)]


def _breakable(text: str) -> list[str | Component]:
    """Lines may end behind a slash, as in `basic/bottleneck/ghost`."""
    first, *others = text.split("/")
    return [first, *(part for other in others for part in ("/", html.Wbr(), other))]


def _text(value: Any) -> str:
    """pandas may hold a NaN in the place of a missing text."""
    return value if isinstance(value, str) else ""


def _has_network(row: Row) -> bool:
    return isinstance(row["spec"], Mapping)


def _latency_facts(row: Row) -> Mapping[str, Any]:
    """Objective -> how it was measured."""
    facts = row.get("latency")
    return facts if isinstance(facts, Mapping) else {}


def _hardware(measured: Mapping[str, Any]) -> str:
    return f"{measured['processor']}, {measured['precision']}" if measured else ""
