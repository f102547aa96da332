"""Where do published networks stand beside the study's? Names at those it trained, dotted lines for the others."""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from objectives.base import Objective

from ...results.study_results import StudyResults
from ..theme import INK, MUTED, OTHER, Canvas
from .label_layout import along, places_beside, places_in_rows

MAX_ROWS = 4
ROW_HEIGHT_PX = 14
_DOTTED = {"color": OTHER, "width": 1, "dash": "dot"}
_NEAR = 0.3, 0.15
"""Shares of the plot's width and height; what is farther from a point cannot be under its name."""


class Reference(NamedTuple):
    """A named network that was not trained in the study."""

    name: str
    x: float
    y: float = math.nan
    """Known where it was trained as the study trains."""


def references_within(
    results: StudyResults, x: Objective, y: Objective, values: Sequence[float]
) -> tuple[Reference, ...]:
    """References whose cost lies within the range of `values`, by cost; none that the study has trained.

    Those whose y is known are there whatever they cost.
    """
    table = results.references
    if not values or x.name not in table:
        return ()
    trained = set(results.trials["label"].dropna())
    heights = table[y.name] if y.name in table else [math.nan] * len(table)
    inside = (
        Reference(str(name), float(cost), float(height) if y.name == "accuracy" else math.nan)
        for name, cost, height in zip(table["name"], table[x.name], heights, strict=True)
        if name not in trained
        and (min(values) <= cost <= max(values) or (y.name == "accuracy" and height == height and cost == cost))
    )
    return tuple(sorted(inside, key=lambda reference: (reference.x, reference.name)))


def draw_references(
    canvas: Canvas, references: Sequence[Reference], x_range: tuple[float, float], *, log: bool = True
) -> int:
    """Draw a dotted line and a name above it for each reference that has room for one, on an axis of this range.

    Returns how many rows of names there are; the top margin must have ROW_HEIGHT_PX for each.
    """
    low, high = x_range
    on_axis = {one.x: math.log10(max(one.x, 1e-12)) if log else one.x for one in references}
    positions = [(on_axis[one.x] - low) / (high - low) for one in references]
    places = places_in_rows([one.name for one in references], positions, MAX_ROWS)
    placed = [(reference, place) for reference, place in zip(references, places, strict=True) if place]
    lines = [
        {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "y domain", "layer": "below", "line": _DOTTED}
        for x in (one.x for one, _ in placed)
    ]
    names = [
        {
            "x": on_axis[one.x],
            "xanchor": anchor,
            "y": 1,
            "yref": "y domain",
            "yanchor": "bottom",
            "yshift": row * ROW_HEIGHT_PX,
            "text": escape(one.name),
            "showarrow": False,
            "borderpad": 0,
            "font": {"size": 10, "color": MUTED},
        }
        for one, (row, anchor) in placed
    ]
    canvas.shapes += lines
    canvas.annotations += names
    if placed:
        canvas.add_legend_line("not trained", **_DOTTED)
    return 1 + max((place.row for _, place in placed), default=-1)


def name_points(
    canvas: Canvas,
    names: Sequence[str],
    named: Sequence[tuple[float, float]],
    points: Sequence[tuple[float, float]],
    ranges: tuple[tuple[float, float], tuple[float, float]],
    line: Sequence[tuple[float, float]] = (),
) -> None:
    """Write each name beside its point, where it covers least of the points and of the line through the corners `line`.

    All of them and the ranges are what the axes count: log10 on a log axis.
    """

    def share(point: tuple[float, float]) -> tuple[float, float]:
        (left, right), (bottom, top) = ranges
        return (point[0] - left) / ((right - left) or 1.0), (point[1] - bottom) / ((top - bottom) or 1.0)

    at = [share(point) for point in named]
    covered = [*map(share, points), *along([share(corner) for corner in line])]
    near = [p for p in covered if any(abs(p[0] - x) < _NEAR[0] and abs(p[1] - y) < _NEAR[1] for x, y in at)]
    places = places_beside(names, at, near)
    canvas.annotations += [
        {
            "x": x,
            "xanchor": place.x_anchor,
            "xshift": place.x_shift,
            "y": y,
            "yanchor": "middle",
            "yshift": place.y_shift,
            "text": escape(name),
            "showarrow": False,
            "borderpad": 0,
            "font": {"size": 11, "color": INK, "weight": 600},
        }
        for name, (x, y), place in zip(names, named, places, strict=True)
    ]
