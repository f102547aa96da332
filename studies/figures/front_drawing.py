"""How is the front drawn? Groups told apart by colour and shape, staircase, references, limits, selected trial."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from ..results import StudyResults
from ..wording import count_of, format_value, heading
from .front import WITHOUT_ACCURACY, FrontInfo, FrontPoint, Group, front_info
from .references import ROW_HEIGHT_PX, draw_references, name_points
from .theme import (
    FAILED,
    FRONT,
    INFEASIBLE,
    INK,
    KNEE,
    MUTED,
    OTHER,
    SCALE,
    STOPPED,
    TITLE_PX,
    Canvas,
    axis,
    draw_message,
    is_log,
    log_ticks,
    new_canvas,
)

ThirdAs = Literal["colour", "size"]
HEIGHT_PX, COLORBAR_PX, COLORBAR_PAD_PX = 560, 52, 10
STRIP = (0.0, 0.055)
"""Share of the plot's height, at the bottom, for trials without an accuracy."""
PLOT = (0.085, 1.0)
MAX_FRONT_MARKERS = 1000
"""Of the front, which alone has a colour for each point."""
_SMALLEST_PX, _LARGEST_PX = 7.0, 22.0
_WORDS: dict[Group, str] = {"infeasible": "over a limit", "stopped": "stopped early"}
_MARKERS: dict[Group, dict[str, Any]] = {
    "rejected": {"symbol": "line-ns", "size": 9, "line": {"width": 1.5, "color": MUTED}},
    "failed": {"symbol": "star-triangle-down", "size": 9, "color": FAILED},
    "stopped": {"symbol": "triangle-down-open", "size": 9, "color": STOPPED, "line": {"width": 1.5}},
    "infeasible": {"symbol": "x-thin", "size": 8, "line": {"width": 2, "color": INFEASIBLE}},
    "dominated": {"symbol": "circle-open", "size": 8, "color": OTHER, "line": {"width": 1.5}},
    "front": {"symbol": "circle", "size": 11, "color": FRONT, "line": {"width": 1, "color": INK}},
}
"""In the order of drawing."""
_KNEE: dict[str, Any] = {"symbol": "circle-open", "size": 19, "color": KNEE, "line": {"width": 2.5}}
_SELECTED: dict[str, Any] = {"symbol": "circle-open", "size": 24, "color": INK, "line": {"width": 2.5}}
_CLOUDS: dict[Group, dict[str, Any]] = {
    "rejected": {"color": MUTED, "width": 1},
    "failed": {"color": FAILED, "width": 6},
    "stopped": {"color": STOPPED, "width": 6},
    "infeasible": {"color": INFEASIBLE, "width": 5},
    "dominated": {"color": OTHER, "width": 5},
    "front": {"color": FRONT, "width": 8},
}


def plot_front(
    results: StudyResults, x: str | None = None, y: str = "accuracy", *, third: str | None = None
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
    has_strip = any(point.y != point.y for group in WITHOUT_ACCURACY for point in info.groups[group])
    _draw_staircase(canvas, info)
    for group, marker in _MARKERS.items():
        look = _scaled(info, marker, third_as) if group == "front" and info.is_scaled else marker
        _draw_group(canvas, info, group, look, max_markers)
    for name, point, look in (("knee", info.knee, _KNEE), ("selected", info.selected, _SELECTED)):
        if point:
            _draw_markers(canvas, [point], look, name=f"{name} (trial {point.trial})", on_strip=point.y != point.y)
    _frame(canvas, info, has_strip, coloured=info.is_scaled and third_as == "colour")
    return canvas


def new_point_traces(info: FrontInfo) -> list[dict[str, Any]]:
    """Traces that add the points of `info` to a figure that is there already, without an entry in its legend."""
    canvas = Canvas({})
    for group, marker in _MARKERS.items():
        _draw_group(canvas, info, group, marker, None)
    return [{**trace, "showlegend": False} for trace in canvas.traces]


def _frame(canvas: Canvas, info: FrontInfo, has_strip: bool, *, coloured: bool) -> None:
    """Axes, limits and references around the points."""
    xs, ys = _on_axis([p.x for p in info.points], info.x_log), _on_axis([p.y for p in info.points], info.y_log)
    x_range = _padded(xs, 0.06, 0.15 if info.x_log else 0.01 * max(map(abs, xs)))
    y_range = _padded(ys, 0.08, 0.15 if info.y_log else 0.01 * max(map(abs, ys)))
    _draw_limits(canvas, info, (x_range, y_range))
    rows = draw_references(canvas, info.references, x_range, log=info.x_log)
    references = [i for i, point in enumerate(info.points) if point.reference]
    names = [info.points[i].reference or "" for i in references]
    places = list(zip(xs, ys, strict=True))
    name_points(canvas, names, [places[i] for i in references], places, (x_range, y_range))
    top = TITLE_PX + (COLORBAR_PX if coloured else 0) + ROW_HEIGHT_PX * rows
    if coloured:
        _name_colours(canvas, info, top - TITLE_PX)
    x_axis, y_axis = axis(info.x, log=info.x_log), axis(info.y, log=info.y_log)
    canvas.layout |= {
        "xaxis": {**x_axis, "range": x_range, **(log_ticks(x_range) if info.x_log else {})},
        "yaxis": {**y_axis, "range": y_range, **(log_ticks(y_range) if info.y_log else {})},
        "margin": {"t": top},
    }
    if has_strip:
        _draw_strip(canvas)


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
    end = max(point.x for point in info.points)
    canvas.traces.append(
        {
            "type": "scatter",
            "x": [*(point.x for point in info.staircase), max(end, info.staircase[-1].x)],
            "y": [*(point.y for point in info.staircase), info.staircase[-1].y],
            "mode": "lines",
            "line": {"shape": "hv", "color": FRONT, "width": 1.5},
            "hoverinfo": "skip",
            "showlegend": False,
        }
    )


def _draw_group(canvas: Canvas, info: FrontInfo, group: Group, marker: dict[str, Any], max_markers: int | None) -> None:
    """The group's points: those within the reader's limits in its colour, the others pale; each where it belongs."""
    points = info.groups[group]
    name = _WORDS.get(group, group)
    if max_markers is None:
        name += f" ({len(points)})"
    most = MAX_FRONT_MARKERS if group == "front" else max_markers
    as_cloud = max_markers is not None and most is not None and len(points) > most
    for within in (False, True):
        for on_strip in (False, True):
            chosen = [i for i, p in enumerate(points) if p.within == within and (p.y != p.y) == on_strip]
            if not chosen:
                continue
            shown = [points[i] for i in chosen]
            if as_cloud:
                _draw_cloud(canvas, shown, _CLOUDS[group], name=name, on_strip=on_strip, within=within)
            else:
                look = _of(marker, chosen, len(points)) if within else _pale(marker)
                _draw_markers(canvas, shown, look, name=name if within else None, on_strip=on_strip)


def _of(marker: dict[str, Any], chosen: Sequence[int], number: int) -> dict[str, Any]:
    """The marker of the chosen points, where it has a colour or size for each."""
    return {
        key: [value[i] for i in chosen] if isinstance(value, list) and len(value) == number else value
        for key, value in marker.items()
    }


def _pale(marker: dict[str, Any]) -> dict[str, Any]:
    size = _SMALLEST_PX if isinstance(marker["size"], list) else marker["size"]
    line = {**marker.get("line", {}), "color": OTHER}
    return {"symbol": marker["symbol"], "size": size, "color": OTHER, "opacity": 0.3, "line": line}


def _draw_markers(
    canvas: Canvas, points: Sequence[FrontPoint], marker: dict[str, Any], *, name: str | None, on_strip: bool
) -> None:
    look = {"mode": "markers", "marker": marker, "name": name, "legendgroup": name, "showlegend": name is not None}
    canvas.traces.append({**_hovered(points, on_strip=on_strip), **look})


def _hovered(points: Sequence[FrontPoint], *, on_strip: bool) -> dict[str, Any]:
    """The part of a trace that says where its points are and what the pointer shows."""
    return {
        "type": "scatter",
        "x": [point.x for point in points],
        "y": [0.0 if on_strip else point.y for point in points],
        "yaxis": "y2" if on_strip else "y",
        "customdata": [point.trial for point in points],
        "hovertext": [point.text for point in points],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }


def _draw_cloud(
    canvas: Canvas, points: Sequence[FrontPoint], line: dict[str, Any], *, name: str, on_strip: bool, within: bool
) -> None:
    """One path with a dot for each point, and an invisible trace for what the pointer shows."""
    trace = _hovered(points, on_strip=on_strip)
    # A stroke of no length worth speaking of, which round caps make a dot.
    strokes = (f"M{x:.5g},{y:.5g}H{x * 1.00001:.7g}" for x, y in zip(trace["x"], trace["y"], strict=True))
    canvas.shapes.append(
        {
            "type": "path",
            "path": "".join(strokes),
            "yref": trace["yaxis"],
            "line": {**line, "color": line["color"] if within else OTHER},
            "opacity": 1.0 if within else 0.3,
            "layer": "between",
            "name": name,
            "showlegend": within,
        }
    )
    canvas.traces.append({**trace, "mode": "none", "showlegend": False})


def _draw_limits(canvas: Canvas, info: FrontInfo, ranges: tuple[tuple[float, float], ...]) -> None:
    for limit in info.limits:
        across = limit.objective == info.x.name
        objective, log, (low, high) = (info.x, info.x_log, ranges[0]) if across else (info.y, info.y_log, ranges[1])
        if low <= _on_axis([limit.value], log)[0] <= high:
            at, free = ("x", "y") if across else ("y", "x")
            span = {f"{at}0": limit.value, f"{at}1": limit.value, f"{free}0": 0, f"{free}1": 1}
            look = {"color": INFEASIBLE, "width": 1.5, "dash": "dash"}
            line = {"type": "line", **span, f"{free}ref": f"{free} domain", "line": look, "layer": "below"}
            canvas.shapes.append(line)
            canvas.add_legend_line(f"limit {format_value(objective, limit.value)}", **look)


def _scaled(info: FrontInfo, marker: dict[str, Any], third_as: ThirdAs) -> dict[str, Any]:
    """The front's marker with the third figure as its colour or its size."""
    assert info.third is not None
    log = is_log(info.third)
    values = [point.third for point in info.front]
    scaled = _on_axis(values, log)
    if third_as == "size":
        low, span = min(scaled), (max(scaled) - min(scaled)) or 1.0
        sizes = [_SMALLEST_PX + (_LARGEST_PX - _SMALLEST_PX) * (value - low) / span for value in scaled]
        return {**marker, "size": sizes, "color": FRONT, "opacity": 0.75}
    # The middle of the bar: on a log scale the geometric mean.
    middle = math.sqrt(min(values) * max(values)) if log else (min(values) + max(values)) / 2
    ticks = [min(values), middle, max(values)]
    bar = {
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
        "tickvals": _on_axis(ticks, log),
        "ticktext": [format_value(info.third, tick) for tick in ticks],
        "tickangle": 0,
        "outlinewidth": 0,
    }
    colours = {"color": scaled, "cmin": min(scaled), "cmax": max(scaled), "colorscale": SCALE, "colorbar": bar}
    return {**marker, **colours}


def _name_colours(canvas: Canvas, info: FrontInfo, above: int) -> None:
    """What the colours mean, `above` pixels over the plot; the colour bar's own title would cover the bar."""
    assert info.third is not None
    canvas.annotations.append(
        {
            "text": f"{heading(info.third)} of the front",
            "x": 0,
            "y": 1,
            "xref": "paper",
            "yref": "paper",
            "xanchor": "left",
            "yanchor": "top",
            "xshift": COLORBAR_PAD_PX,
            "yshift": above,
            "showarrow": False,
            "borderpad": 0,
            "font": {"size": 11, "color": MUTED},
        }
    )


def _on_axis(values: Sequence[float], log: bool) -> list[float]:
    """The coordinates that plotly's ranges and annotations mean: log10 on a log axis."""
    numbers: NDArray[np.float64] = np.asarray(values, dtype=float)
    return [float(value) for value in (np.log10(np.maximum(numbers, 1e-12)) if log else numbers)]


def _padded(values: Sequence[float], share: float, least: float) -> tuple[float, float]:
    """Range of `values`, wider on both sides by `share` of it, and by `least` at least."""
    pad = max((max(values) - min(values)) * share, least)
    return min(values) - pad, max(values) + pad
