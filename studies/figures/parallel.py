"""Which choices lead to the front? A line a trial through its sampled parameters and its objectives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import plotly.graph_objects as go

from objectives import Limit, Objective
from search_space.texts.counting import count_of

from ..results.study_results import StudyResults, keeps
from ..study.config import parse_config
from ..texts.wording import format_value, heading, parameter_label
from .theme import ACCENT, INK, KNEE, OTHER, draw_message, new_figure, wrapped
from .trials import drawable, hover_texts, nothing_evaluated

PIXELS_PER_DIMENSION = 90
MAX_TICKS = 8
"""Parameters with at most this many choices get a tick for each, at equal distances."""
MAX_LINES = 500
"""So many trials beside the front are drawn at most, the last ones; more would be a grey block."""


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """One vertical axis."""

    label: str
    positions: tuple[float, ...]
    """Of each trial, 0 (least) to 1 (most), costs on a log scale."""
    values: tuple[str, ...]
    """Of each trial, in words."""
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True, kw_only=True)
class ParallelInfo:
    """What the parallel coordinates show."""

    trials: tuple[int, ...]
    front: tuple[bool, ...]
    texts: tuple[str, ...]
    dimensions: tuple[Dimension, ...]
    """Parameters that differ between the trials, then objectives."""
    selected: int | None
    """The trial that is drawn on top of all."""
    message: str | None


def plot_parallel(results: StudyResults) -> go.Figure:
    """Parallel coordinates of parameters and objectives, the front on top of the others.

    Drawn as plain lines: plotly's own parallel coordinates need WebGL and show nothing over a line.
    """
    return draw_parallel(parallel_info(results))


def parallel_info(results: StudyResults, *, within: Sequence[Limit] = (), selected: int | None = None) -> ParallelInfo:
    """What `plot_parallel` draws; of the limits `within` only what keeps them, and the selected trial in any case."""
    rows = drawable(results)
    message = nothing_evaluated(results)
    if message is None and len(rows) < 2:
        message = "Parallel coordinates need two evaluated networks; this study has one."
    if message:
        return ParallelInfo(trials=(), front=(), texts=(), dimensions=(), selected=None, message=message)
    rows = rows[keeps(rows, within) | (rows["trial"] == selected)]
    if len(rows) < 2:
        message = "Fewer than two evaluated networks keep the limits."
        return ParallelInfo(trials=(), front=(), texts=(), dimensions=(), selected=None, message=message)
    others = rows[~rows["front"].astype(bool)].tail(MAX_LINES)
    rows = rows[rows["front"].astype(bool) | rows["trial"].isin([*others["trial"], selected])]
    sampled: list[dict[str, Any]] = [dict(record.params) for record in rows["record"]]
    choices = parse_config(results.config, results.name).space.choices
    names = [name for name in sampled[0] if all(name in values for values in sampled)]
    dimensions = [
        _parameter(name, values, choices.get(name, ()))
        for name in names
        if len(set(values := [values[name] for values in sampled])) > 1
    ]
    dimensions += [_objective(objective, rows[objective.name].tolist()) for objective in results.objectives]
    return ParallelInfo(
        trials=tuple(int(trial) for trial in rows["trial"]),
        front=tuple(bool(front) for front in rows["front"]),
        texts=tuple(hover_texts(rows, results.objectives)),
        dimensions=tuple(dimensions),
        selected=selected if (rows["trial"] == selected).any() else None,
        message=None,
    )


def min_width(info: ParallelInfo) -> int:
    """CSS pixels in which the labels of all dimensions stand beside each other."""
    return PIXELS_PER_DIMENSION * len(info.dimensions)


def draw_parallel(info: ParallelInfo) -> go.Figure:
    """The figure of `info`."""
    if info.message:
        return draw_message(info.message)
    subtitle = f"blue: the front ({sum(info.front)}); grey: {count_of(len(info.front) - sum(info.front), 'other')}"
    if info.selected is not None:
        subtitle += f"; pink: trial {info.selected}"
    figure = new_figure("Parameters and objectives", subtitle, height=460)
    order = range(len(info.trials))
    _draw_lines(figure, info, [i for i in order if not info.front[i]], colour=OTHER, width=1.0)
    _draw_lines(figure, info, [i for i in order if info.front[i]], colour=ACCENT, width=2.0)
    if info.selected is not None:
        _draw_lines(figure, info, [info.trials.index(info.selected)], colour=KNEE, width=4.0)
    for number, dimension in enumerate(info.dimensions):
        _draw_dimension(figure, number, dimension)
    figure.update_layout(
        xaxis={"visible": False, "range": [-0.35, len(info.dimensions) - 0.4]},
        yaxis={"visible": False, "range": [-0.04, 1.04]},
        margin={"l": 16, "r": 16, "t": 108, "b": 16},
        showlegend=False,
    )
    return figure


def _parameter(name: str, values: Sequence[Any], choices: Sequence[Any]) -> Dimension:
    distinct = list(dict.fromkeys([*choices, *values]))
    numeric = not any(isinstance(value, str) for value in distinct)
    if numeric:
        distinct.sort()
    if numeric and len(distinct) > MAX_TICKS:
        return _continuous(parameter_label(name), values, lambda value: f"{value:.0f}", whole=True)
    places = {value: index / (len(distinct) - 1) for index, value in enumerate(distinct)}
    return Dimension(
        label=parameter_label(name),
        positions=tuple(places[value] for value in values),
        values=tuple(str(value) for value in values),
        ticks=tuple((place, str(value)) for value, place in places.items()),
    )


def _objective(objective: Objective, values: Sequence[float]) -> Dimension:
    def words(value: float) -> str:
        return format_value(objective, value)

    if objective.maximize:
        return _continuous(heading(objective), values, words)
    logs = [objective.loss(value) for value in values]
    return _continuous(heading(objective), logs, lambda value: words(10**value))


def _continuous(
    label: str, values: Sequence[float], words: Callable[[float], str], *, whole: bool = False
) -> Dimension:
    low, span = min(values), (max(values) - min(values)) or 1.0
    ticks: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0) if max(values) > low else (0.0,)
    if whole:
        ticks = [(round(low + tick * span) - low) / span for tick in ticks]
    return Dimension(
        label=label,
        positions=tuple((value - low) / span for value in values),
        values=tuple(words(value) for value in values),
        ticks=tuple((tick, words(low + tick * span)) for tick in ticks),
    )


def _draw_lines(figure: go.Figure, info: ParallelInfo, chosen: Sequence[int], *, colour: str, width: float) -> None:
    """One trace for all the `chosen` trials, with a gap after each."""
    axes: list[int | None] = [*range(len(info.dimensions)), None]
    figure.add_scatter(
        x=axes * len(chosen),
        y=[y for i in chosen for y in (*(dimension.positions[i] for dimension in info.dimensions), None)],
        customdata=[info.trials[i] for i in chosen for _ in axes],
        hovertext=[info.texts[i] for i in chosen for _ in axes],
        hovertemplate="%{hovertext}<extra></extra>",
        mode="lines",
        opacity=0.8,
        line={"color": colour, "width": width},
    )


def _draw_dimension(figure: go.Figure, number: int, dimension: Dimension) -> None:
    line = {"color": INK, "width": 1}
    figure.add_shape(type="line", x0=number, x1=number, y0=0, y1=1, line=line, layer="above")
    label = f"<b>{wrapped(dimension.label, 12)}</b>"
    figure.add_annotation(x=number, y=1, yanchor="bottom", yshift=12, text=label, showarrow=False)
    for place, text in dimension.ticks:
        figure.add_annotation(
            x=number,
            y=place,
            xanchor="right",
            xshift=-3,
            text=escape(text),
            showarrow=False,
            bgcolor="rgba(255,255,255,0.8)",
            borderpad=1,
            font={"size": 10},
        )
