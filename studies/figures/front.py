"""Which networks are worth choosing between? A cost against the accuracy, with the front as a staircase."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from objectives.base import Objective
from objectives.constraints import Limit
from runners.config import LimitsConfig

from ..results import StudyResults
from ..wording import count_by_status, count_of, format_value, heading
from .references import ROW_HEIGHT_PX, Reference, draw_references, name_points, references_within
from .theme import (
    FRONT,
    INFEASIBLE,
    INK,
    KNEE,
    MUTED,
    OTHER,
    SCALE,
    TITLE_PX,
    add_legend_line,
    axis,
    draw_message,
    is_log,
    log_ticks,
    new_figure,
)
from .trials import column, evaluated, hover_text, marked_knee, nothing_evaluated

HEIGHT_PX, COLORBAR_PX, COLORBAR_PAD_PX = 560, 52, 10


@dataclass(frozen=True, kw_only=True)
class FrontPoint:
    """One evaluated trial."""

    trial: int
    x: float
    y: float
    third: float
    """Value of the objective that is shown as colour; NaN where there is none."""
    reference: str | None
    """Name of the reference network that it is."""
    text: str
    """What the pointer shows."""


@dataclass(frozen=True, kw_only=True)
class FrontInfo:
    """What the front's figure shows."""

    x: Objective
    y: Objective
    third: Objective | None
    front: tuple[FrontPoint, ...]
    """By falling cost of the staircase: first the cheapest."""
    dominated: tuple[FrontPoint, ...]
    infeasible: tuple[FrontPoint, ...]
    staircase: tuple[FrontPoint, ...]
    """The front's points that no other one beats in x and y; with two objectives all of them."""
    knee: FrontPoint | None
    references: tuple[Reference, ...]
    """Not trained, within the range of x."""
    limits: tuple[Limit, ...]
    """Of the study, on x or y."""
    not_drawn: str
    """Number of trials without a point of their own, by status."""
    message: str | None
    """Why there is nothing to draw."""

    @property
    def points(self) -> tuple[FrontPoint, ...]:
        return self.infeasible + self.dominated + self.front

    @property
    def coloured(self) -> bool:
        """Whether the third objective tells the front's points apart."""
        return self.third is not None and len({point.third for point in self.front}) > 1


def plot_front(results: StudyResults, x: str | None = None, y: str = "accuracy") -> go.Figure:
    """Cost `x` (by default the first objective that is not `y`) against `y`; raises UserError for unknown names.

    A point's `customdata` is its trial's number.
    """
    return draw_front(front_info(results, x, y))


def front_info(results: StudyResults, x: str | None = None, y: str = "accuracy") -> FrontInfo:
    """What `plot_front` draws."""
    across = column(results, x) if x is not None else _default_x(results, y)
    up = column(results, y)
    third = next((o for o in results.objectives if o.name not in (across.name, up.name)), None)
    drawn = evaluated(results).dropna(subset=[across.name, up.name])
    points = {int(row["trial"]): _point(row, results, (across, up), third) for _, row in drawn.iterrows()}

    def chosen(mask: "pd.Series[bool]") -> tuple[FrontPoint, ...]:
        return tuple(sorted((points[int(n)] for n in drawn["trial"][mask]), key=lambda p: (p.x, p.trial)))

    on_front, feasible = drawn["front"].astype(bool), drawn["feasible"].astype(bool)
    front = chosen(on_front)
    return FrontInfo(
        x=across,
        y=up,
        third=third,
        front=front,
        dominated=chosen(feasible & ~on_front),
        infeasible=chosen(~feasible & ~on_front),
        staircase=_staircase(front, across, up),
        knee=points.get(number) if (number := marked_knee(results)) is not None else None,
        references=references_within(results, across, [point.x for point in points.values()]),
        limits=_limits(results, (across.name, up.name)),
        not_drawn=count_by_status(results.trials["status"][~results.trials["trial"].isin(points)]),
        message=nothing_evaluated(results),
    )


def draw_front(info: FrontInfo) -> go.Figure:
    """The figure of `info`."""
    if info.message:
        return draw_message(info.message)
    figure = new_figure(f"{heading(info.y)} against {heading(info.x)}", _subtitle(info), height=HEIGHT_PX)
    _draw_staircase(figure, info)
    _draw_points(figure, f"infeasible ({len(info.infeasible)})", info.infeasible, **_INFEASIBLE)
    _draw_points(figure, f"dominated ({len(info.dominated)})", info.dominated, **_DOMINATED)
    _draw_points(figure, f"front ({len(info.front)})", info.front, **_front_marker(info))
    if info.knee:
        _draw_points(figure, f"knee (trial {info.knee.trial})", [info.knee], **_KNEE)
    xs, ys = [_on_axis(info.x, p.x) for p in info.points], [_on_axis(info.y, p.y) for p in info.points]
    ranges = _padded(xs, 0.06, 0.15), _padded(ys, 0.08, 0.01)
    _draw_limits(figure, info, ranges)
    rows = draw_references(figure, info.references, ranges[0])
    references = [point for point in info.points if point.reference]
    named = [(_on_axis(info.x, p.x), _on_axis(info.y, p.y)) for p in references]
    names = [point.reference or "" for point in references]
    name_points(figure, names, named, list(zip(xs, ys, strict=True)), ranges)
    top = TITLE_PX + (COLORBAR_PX if info.coloured else 0) + ROW_HEIGHT_PX * rows
    _name_colours(figure, info, top - TITLE_PX)
    figure.update_layout(
        xaxis={**axis(info.x), "range": ranges[0], **log_ticks(ranges[0])},
        yaxis={**axis(info.y), "range": ranges[1]},
        margin={"t": top},
    )
    return figure


_INFEASIBLE: dict[str, Any] = {"symbol": "x-thin", "size": 8, "line": {"width": 2, "color": INFEASIBLE}}
_KNEE: dict[str, Any] = {"symbol": "circle-open", "size": 19, "color": KNEE, "line": {"width": 2.5}}
_DOMINATED: dict[str, Any] = {"symbol": "circle-open", "size": 8, "color": OTHER, "line": {"width": 1.5}}


def _default_x(results: StudyResults, y: str) -> Objective:
    return next(objective for objective in results.objectives if objective.name != y)


def _limits(results: StudyResults, names: Sequence[str]) -> tuple[Limit, ...]:
    limits = LimitsConfig(**results.config.get("limits", {})).as_limits()
    return tuple(limit for limit in limits if limit.objective in names)


def _point(
    row: "pd.Series[Any]", results: StudyResults, axes: tuple[Objective, Objective], third: Objective | None
) -> FrontPoint:
    shown = tuple(dict.fromkeys([*results.objectives, *axes]))
    return FrontPoint(
        trial=int(row["trial"]),
        x=float(row[axes[0].name]),
        y=float(row[axes[1].name]),
        third=float(row[third.name]) if third else math.nan,
        reference=row["label"] if isinstance(row["label"], str) else None,
        text=hover_text(row, shown),
    )


def _staircase(front: Sequence[FrontPoint], x: Objective, y: Objective) -> tuple[FrontPoint, ...]:
    steps: list[FrontPoint] = []
    for point in sorted(front, key=lambda p: (x.loss(p.x), y.loss(p.y))):
        if not steps or y.loss(point.y) < y.loss(steps[-1].y):
            steps.append(point)
    return tuple(steps)


def _subtitle(info: FrontInfo) -> str:
    parts = [f"{count_of(len(info.points), 'evaluated network')}"]
    if info.not_drawn:
        parts.append(f"not drawn: {info.not_drawn}")
    return "; ".join(parts)


def _draw_staircase(figure: go.Figure, info: FrontInfo) -> None:
    """What can be had for at most x: level up to the next better network, then up."""
    if not info.staircase:
        return
    end = max(point.x for point in info.points)
    figure.add_scatter(
        x=[*(point.x for point in info.staircase), max(end, info.staircase[-1].x)],
        y=[*(point.y for point in info.staircase), info.staircase[-1].y],
        mode="lines",
        line={"shape": "hv", "color": FRONT, "width": 1.5},
        hoverinfo="skip",
        showlegend=False,
    )


def _draw_points(figure: go.Figure, name: str, points: Sequence[FrontPoint], **marker: Any) -> None:
    if points:
        figure.add_scatter(
            x=[point.x for point in points],
            y=[point.y for point in points],
            customdata=[point.trial for point in points],
            hovertext=[point.text for point in points],
            hovertemplate="%{hovertext}<extra></extra>",
            mode="markers",
            marker=marker,
            name=name,
        )


def _draw_limits(figure: go.Figure, info: FrontInfo, ranges: tuple[tuple[float, float], ...]) -> None:
    for limit in info.limits:
        across = limit.objective == info.x.name
        objective, (low, high) = (info.x, ranges[0]) if across else (info.y, ranges[1])
        if low <= _on_axis(objective, limit.value) <= high:
            add_line = figure.add_vline if across else figure.add_hline
            add_line(limit.value, line={"color": INFEASIBLE, "width": 1.5, "dash": "dash"}, layer="below")
            add_legend_line(
                figure, f"limit {format_value(objective, limit.value)}", color=INFEASIBLE, width=1.5, dash="dash"
            )


def _front_marker(info: FrontInfo) -> dict[str, Any]:
    marker: dict[str, Any] = {"symbol": "circle", "size": 11, "line": {"width": 1, "color": INK}}
    third = info.third
    if third is None or not info.coloured:
        return {**marker, "color": FRONT}
    values = [point.third for point in info.front]
    # The middle of the bar: on a log scale the geometric mean.
    middle = math.sqrt(min(values) * max(values)) if is_log(third) else (min(values) + max(values)) / 2
    ticks = [min(values), middle, max(values)]
    marker["color"] = [_on_axis(third, value) for value in values]
    marker["colorbar"] = {
        "orientation": "h",
        "thickness": 10,
        "lenmode": "pixels",
        "len": 200,
        "x": 0,
        "xanchor": "left",
        "xpad": COLORBAR_PAD_PX,
        "yref": "container",
        "y": 1 - (TITLE_PX + COLORBAR_PX - 4) / HEIGHT_PX,
        "yanchor": "bottom",
        "tickvals": [_on_axis(third, tick) for tick in ticks],
        "ticktext": [format_value(third, tick) for tick in ticks],
        "tickangle": 0,
        "outlinewidth": 0,
    }
    return {**marker, "colorscale": SCALE}


def _name_colours(figure: go.Figure, info: FrontInfo, above: int) -> None:
    """What the colours mean, `above` pixels over the plot; the colour bar's own title would cover the bar."""
    if info.third and info.coloured:
        figure.add_annotation(
            text=f"{heading(info.third)} of the front",
            x=0,
            y=1,
            xref="paper",
            yref="paper",
            xanchor="left",
            yanchor="top",
            xshift=COLORBAR_PAD_PX,
            yshift=above,
            showarrow=False,
            borderpad=0,
            font={"size": 11, "color": MUTED},
        )


def _on_axis(objective: Objective, value: float) -> float:
    """The coordinate that plotly's ranges and annotations mean: log10 on a log axis."""
    return math.log10(value) if is_log(objective) else value


def _padded(values: Sequence[float], share: float, least: float) -> tuple[float, float]:
    """Range of `values`, wider on both sides by `share` of it, and by `least` at least."""
    pad = max((max(values) - min(values)) * share, least)
    return min(values) - pad, max(values) + pad
