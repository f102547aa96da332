"""How is the front drawn? Groups told apart by colour and shape, staircase, references, limits, selected trial."""

from collections.abc import Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from search_space.texts.counting import count_of

from ...analysis.trade import noun
from ...results.study_results import StudyResults
from ...texts.wording import format_value, heading
from ..theme import (
    ACCENT,
    INFEASIBLE,
    INK,
    KNEE,
    MUTED,
    TITLE_PX,
    Canvas,
    axis,
    draw_message,
    log_ticks,
    new_canvas,
    on_axis,
)
from .info import WITHOUT_METRIC, FrontInfo, FrontPoint, front_info
from .markers import MARKERS, draw_group, draw_markers
from .references import ROW_HEIGHT_PX, Reference, draw_references, name_points
from .scale import COLORBAR_PX, HEIGHT_PX, ThirdAs, name_colours, scaled_marker

STRIP = (0.0, 0.055)
"""Share of the plot's height, at the bottom, for trials without an accuracy."""
PLOT = (0.085, 1.0)
_KNEE: dict[str, Any] = {"symbol": "circle-open", "size": 19, "color": KNEE, "line": {"width": 2.5}}
_SELECTED: dict[str, Any] = {"symbol": "circle-open", "size": 24, "color": INK, "line": {"width": 2.5}}


def plot_front(
    results: StudyResults, x: str | None = None, y: str | None = None, *, third: str | None = None
) -> go.Figure:
    """Cost `x` (by default the first objective that is not `y`) against `y`; raises UserError for unknown names.

    `third` is the figure that colours the front, by default the next objective. A point's `customdata` is its trial's
    number.
    """
    return draw_front(front_info(results, x, y, third=third))


def draw_front(info: FrontInfo, *, third_as: ThirdAs = "colour", max_markers: int | None = None) -> go.Figure:
    """The figure of `info`.

    A group of more than `max_markers` points (the front: MAX_FRONT_MARKERS) is drawn as one path of dots, which spares
    the browser an element for each. The page must then give the shapes of a plot round line caps (CSS
    `stroke-linecap`), without which such dots cannot be seen. With `max_markers` the legend has no numbers, for points
    may be added (`new_point_traces`).
    """
    if info.message:
        return draw_message(info.message)
    return front_canvas(info, third_as=third_as, max_markers=max_markers).to_figure()


def front_canvas(info: FrontInfo, *, third_as: ThirdAs = "colour", max_markers: int | None = None) -> Canvas:
    """`draw_front` before plotly has checked it; `info` has something to draw."""
    canvas = new_canvas(
        f"{heading(info.y)} against {heading(info.x)}", subtitle(len(info.points), info.not_drawn), height=HEIGHT_PX
    )
    has_strip = any(point.y != point.y for group in WITHOUT_METRIC for point in info.groups[group])
    _draw_staircase(canvas, info)
    for group, marker in MARKERS.items():
        look = scaled_marker(info, marker, third_as) if group == "front" and info.is_scaled else marker
        draw_group(canvas, info, group, look, max_markers)
    for name, point, look in (("knee", info.knee, _KNEE), ("selected", info.selected, _SELECTED)):
        if point:
            draw_markers(canvas, [point], look, name=f"{name} (trial {point.trial})", on_strip=point.y != point.y)
    _frame(canvas, info, has_strip, coloured=info.is_scaled and third_as == "colour")
    return canvas


def _frame(canvas: Canvas, info: FrontInfo, has_strip: bool, *, coloured: bool) -> None:
    """Axes, limits and references around the points."""
    known = [one for one in info.references if one.y == one.y]
    _draw_known_references(canvas, known)
    points: list[FrontPoint | Reference] = [*info.points, *known]
    xs, ys = on_axis([p.x for p in points], info.x_log), on_axis([p.y for p in points], info.y_log)
    # What was rejected may lie far out; what was stopped cost training, and is to be seen.
    seen = xs + on_axis([p.x for p in info.groups["stopped"]], info.x_log)
    x_range = _padded(seen, 0.06, 0.15 if info.x_log else 0.01 * max(map(abs, seen)))
    y_range = _padded(ys, 0.08, 0.15 if info.y_log else 0.01 * max(map(abs, ys)))
    _draw_limits(canvas, info, (x_range, y_range))
    others = [one for one in info.references if one.y != one.y]
    rows = draw_references(canvas, others, x_range, log=info.x_log)
    names = [*(point.reference for point in info.points), *(one.name for one in known)]
    places = list(zip(xs, ys, strict=True))
    named = [(name, place) for name, place in zip(names, places, strict=True) if name]
    stairs_x, stairs_y = _stairs(info)
    stairs = list(zip(on_axis(stairs_x, info.x_log), on_axis(stairs_y, info.y_log), strict=True))
    name_points(
        canvas, [name for name, _ in named], [place for _, place in named], places, (x_range, y_range), line=stairs
    )
    top = TITLE_PX + (COLORBAR_PX if coloured else 0) + ROW_HEIGHT_PX * rows
    if coloured:
        name_colours(canvas, info, top - TITLE_PX)
    x_axis, y_axis = axis(info.x, log=info.x_log), axis(info.y, log=info.y_log)
    canvas.layout |= {
        "xaxis": {**x_axis, "range": x_range, **(log_ticks(x_range, x_axis["tickformat"]) if info.x_log else {})},
        "yaxis": {**y_axis, "range": y_range, **(log_ticks(y_range, y_axis["tickformat"]) if info.y_log else {})},
        "margin": {"t": top},
    }
    if has_strip:
        _draw_strip(canvas)


def _draw_known_references(canvas: Canvas, known: Sequence[Reference]) -> None:
    """Published networks that were trained as the study trains."""
    if known:
        trace = {
            "type": "scatter",
            "x": [one.x for one in known],
            "y": [one.y for one in known],
            "hovertext": [escape(one.name) for one in known],
            "hovertemplate": "%{hovertext}: %{y:.2%}<br>trained as the study trains, in float<extra></extra>",
            "mode": "markers",
            "name": "published, trained alike",
            "marker": {"symbol": "diamond-open", "size": 9, "color": INK, "line": {"width": 1.5}},
        }
        canvas.traces.append(trace)


def _draw_strip(canvas: Canvas) -> None:
    """A second, low plot below the first for trials that have a cost and no accuracy."""
    canvas.layout["yaxis"]["domain"] = PLOT
    canvas.layout["xaxis"]["anchor"] = "y2"
    canvas.layout["yaxis2"] = {
        "domain": STRIP, "range": [-1, 1], "fixedrange": True, "showticklabels": False, "ticks": "", "showgrid": False,
    }  # fmt: skip
    canvas.annotations.append(
        {
            "text": "no accuracy",
            "x": 0,
            "y": STRIP[1],
            "xref": "paper",
            "yref": "paper",
            "xanchor": "left",
            "yanchor": "bottom",
            "xshift": 4,
            "showarrow": False,
            "borderpad": 0,
            "font": {"size": 10, "color": MUTED},
        }
    )


def subtitle(num_points: int, not_drawn: str) -> str:
    """How many networks the picture shows, and what it does not."""
    parts = [count_of(num_points, "evaluated network")]
    if not_drawn:
        parts.append(f"not drawn: {not_drawn}")
    return "; ".join(parts)


def _draw_staircase(canvas: Canvas, info: FrontInfo) -> None:
    """What can be had for at most x: level up to the next better network, then up."""
    if not info.staircase:
        return
    xs, ys = _stairs(info)
    canvas.traces.append(
        {
            "type": "scatter",
            "x": xs,
            "y": ys,
            "mode": "lines",
            "line": {"color": ACCENT, "width": 1.5},
            "hoverinfo": "skip",
            "showlegend": False,
        }
    )


def _stairs(info: FrontInfo) -> tuple[list[float], list[float]]:
    """Return x and y of the staircase's corners, from its first point to the highest x of all points."""
    xs, ys = list[float](), list[float]()
    for point in info.staircase:
        if ys:
            xs.append(point.x)
            ys.append(ys[-1])
        xs.append(point.x)
        ys.append(point.y)
    if ys:
        xs.append(max(xs[-1], *(point.x for point in info.points)))
        ys.append(ys[-1])
    return xs, ys


def _draw_limits(canvas: Canvas, info: FrontInfo, ranges: tuple[tuple[float, float], ...]) -> None:
    for limit in info.limits:
        across = limit.objective == info.x.name
        objective, log, (low, high) = (info.x, info.x_log, ranges[0]) if across else (info.y, info.y_log, ranges[1])
        if low <= on_axis([limit.value], log)[0] <= high:
            at, free = ("x", "y") if across else ("y", "x")
            span = {f"{at}0": limit.value, f"{at}1": limit.value, f"{free}0": 0, f"{free}1": 1}
            look = {"color": INFEASIBLE, "width": 1.5, "dash": "dash"}
            line = {"type": "line", **span, f"{free}ref": f"{free} domain", "line": look, "layer": "above"}
            canvas.shapes.append(line)
            sign = "≤" if limit.kind == "max" else "≥"
            canvas.add_legend_line(f"{noun(objective)} {sign} {format_value(objective, limit.value)}", **look)


def _padded(values: Sequence[float], share: float, least: float) -> tuple[float, float]:
    """Range of `values`, wider on both sides by `share` of it, and by `least` at least."""
    pad = max((max(values) - min(values)) * share, least)
    return min(values) - pad, max(values) + pad
