"""How are the points of the front's picture drawn? A shape and colour for each group, pale beyond a reader's limits."""

from collections.abc import Sequence
from typing import Any

from ..theme import ACCENT, FAILED, INFEASIBLE, INK, MUTED, OTHER, STOPPED, Canvas
from .info import FrontInfo, FrontPoint, Group

MAX_FRONT_MARKERS = 1000
"""Of the front, which alone has a colour for each point."""
_WORDS: dict[Group, str] = {"infeasible": "over a limit", "stopped": "stopped early"}
MARKERS: dict[Group, dict[str, Any]] = {
    "rejected": {"symbol": "line-ns", "size": 9, "line": {"width": 1.5, "color": MUTED}},
    "failed": {"symbol": "star-triangle-down", "size": 9, "color": FAILED},
    "stopped": {"symbol": "triangle-down-open", "size": 9, "color": STOPPED, "line": {"width": 1.5}},
    "infeasible": {"symbol": "x-thin", "size": 8, "line": {"width": 2, "color": INFEASIBLE}},
    "dominated": {"symbol": "circle-open", "size": 8, "color": OTHER, "line": {"width": 1.5}},
    "front": {"symbol": "circle", "size": 11, "color": ACCENT, "line": {"width": 1, "color": INK}},
}
"""In the order of drawing."""
_CLOUDS: dict[Group, dict[str, Any]] = {
    "rejected": {"color": MUTED, "width": 1},
    "failed": {"color": FAILED, "width": 6},
    "stopped": {"color": STOPPED, "width": 6},
    "infeasible": {"color": INFEASIBLE, "width": 5},
    "dominated": {"color": OTHER, "width": 5},
    "front": {"color": ACCENT, "width": 8},
}
SMALLEST_PX = 7.0


def new_point_traces(info: FrontInfo) -> list[dict[str, Any]]:
    """Traces that add the points of `info` to a figure that is there already, without an entry in its legend."""
    canvas = Canvas({})
    for group, marker in MARKERS.items():
        draw_group(canvas, info, group, marker, None)
    return [{**trace, "showlegend": False} for trace in canvas.traces]


def draw_group(canvas: Canvas, info: FrontInfo, group: Group, marker: dict[str, Any], max_markers: int | None) -> None:
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
                draw_markers(canvas, shown, look, name=name if within else None, on_strip=on_strip)


def _of(marker: dict[str, Any], chosen: Sequence[int], number: int) -> dict[str, Any]:
    """The marker of the chosen points, where it has a colour or size for each."""
    return {
        key: [value[i] for i in chosen] if isinstance(value, list) and len(value) == number else value
        for key, value in marker.items()
    }


def _pale(marker: dict[str, Any]) -> dict[str, Any]:
    size = SMALLEST_PX if isinstance(marker["size"], list) else marker["size"]
    line = {**marker.get("line", {}), "color": OTHER}
    return {"symbol": marker["symbol"], "size": size, "color": OTHER, "opacity": 0.3, "line": line}


def draw_markers(
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
