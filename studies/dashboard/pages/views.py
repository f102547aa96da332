"""What else is there to see of a study? Its progress, parameters, importance and learning curves, one at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import plotly.graph_objects as go
from dash import Patch

from objectives import Limit
from runners.trial_record import Status

from ...figures import (
    ImportanceInfo,
    curves_info,
    draw_curves,
    draw_hypervolume,
    draw_importance,
    draw_message,
    draw_parallel,
    front_info,
    hypervolume_info,
    importance_info,
    parallel_info,
)
from ...figures.front.drawing import front_canvas, subtitle
from ...figures.front.info import WITHOUT_METRIC, not_drawn
from ...figures.front.markers import new_point_traces
from ...figures.front.scale import ThirdAs
from ...figures.parallel import min_width
from ...figures.theme import wrapped
from ...figures.trials import drawable
from ...results.study_results import StudyResults
from ..library import Look

MAX_MARKERS = 150
"""A group of more points is drawn as one path."""
MARGIN = {"l": 68, "r": 16}
"""In pixels; plotly would draw everything once more to find out."""


class Snapshot:
    """A study's results at one version; equal to another one of the same, so that figures of it can be kept."""

    def __init__(self, look: Look) -> None:
        assert look.results is not None
        self.results = look.results
        self._key = (look.results.directory, look.version)

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Snapshot) and self._key == other._key


@lru_cache(maxsize=8)
def front_figure(
    study: Snapshot,
    x: str | None,
    y: str | None,
    *,
    third: str | None = None,
    third_as: ThirdAs = "colour",
    log: tuple[bool | None, bool | None] = (None, None),
    limits: tuple[Limit, ...] = (),
    selected: int | None = None,
) -> Any:
    """The front, as plotly's JSON has it; `zoomed` keeps the part that the reader looks at."""
    info = front_info(study.results, x or None, y or None, third=third, log=log, within=limits, selected=selected)
    if info.message:
        return draw_message(info.message)
    canvas = front_canvas(info, third_as=third_as, max_markers=MAX_MARKERS)
    canvas.layout["uirevision"] = axes_mark(info.x.name, info.y.name, (info.x_log, info.y_log))
    canvas.layout["margin"] |= MARGIN
    canvas.layout["yaxis"]["automargin"] = False
    return canvas.to_plain()


def axes_mark(x: str | None, y: str | None, log: tuple[bool, bool]) -> str:
    """Which axes a part of the plot belongs to."""
    return f"{x} {y} {log[0]} {log[1]}"


def zoom_after(before: Mapping[str, Any], event: Mapping[str, Any] | None, mark: str) -> dict[str, Any]:
    """What part of the plot the reader looks at after an event of plotly's: mark of the axes, and range of each axis.

    Dash writes a zoom into the page's figure, after which plotly's own `uirevision` no longer knows it for one.
    """
    zoom: dict[str, Any] = dict(before) if before.get("of") == mark else {"of": mark}
    for axis in ("xaxis", "yaxis"):
        ends = [(event or {}).get(f"{axis}.range[{end}]") for end in (0, 1)]
        if (event or {}).get(f"{axis}.autorange"):
            zoom.pop(axis, None)
        elif all(isinstance(end, int | float) for end in ends):
            zoom[axis] = ends
    return zoom


def zoomed(figure: Any, zoom: Mapping[str, Any]) -> Any:
    """The figure of a front, showing the part that the reader looks at, where that is a part of these axes."""
    if not isinstance(figure, dict) or zoom.get("of") != figure["layout"]["uirevision"]:
        return figure
    layout = dict(figure["layout"])
    for axis in ("xaxis", "yaxis"):
        if axis in zoom:
            layout[axis] = {**layout[axis], "range": zoom[axis]}
    return {**figure, "layout": layout}


def front_patch(
    results: StudyResults,
    ended: frozenset[int],
    x: str | None,
    y: str | None,
    *,
    third: str | None,
    log: tuple[bool, bool],
    limits: tuple[Limit, ...],
) -> Patch | None:
    """What makes the front's picture show the trials `ended` too, none of which is on the front.

    None where it has to be drawn anew: with the first trials, or the first ones without an accuracy.
    """
    is_new = results.trials["trial"].isin(list(ended))
    before, new = results.trials[~is_new], results.trials[is_new]
    has_strip = before["status"].isin(WITHOUT_METRIC).any()
    if not (before["status"] == Status.COMPLETED).any() or (new["status"].isin(WITHOUT_METRIC).any() and not has_strip):
        return None
    info = front_info(replace(results, trials=new), x or None, y or None, third=third, log=log, within=limits)
    patch = Patch()
    words = subtitle(len(drawable(results)), not_drawn(results, info.x, info.y))
    patch["layout"]["title"]["subtitle"]["text"] = wrapped(words)
    for trace in new_point_traces(info):
        patch["data"].append(trace)
    return patch


def view_figure(look: Look, view: str, limits: Sequence[Limit], selected: int | None) -> go.Figure:
    """The figure of a view other than the table; raises KeyError for an unknown one."""
    results = look.results
    assert results is not None
    if view == "importance":
        return draw_importance(_importance(Snapshot(look)))
    if view == "parallel":
        info = parallel_info(results, within=limits, selected=selected)
        # For the page, which gives it so many pixels.
        return draw_parallel(info).update_layout(uirevision=view, autosize=True, meta={"min_width": min_width(info)})
    figure = {
        "progress": lambda: draw_hypervolume(hypervolume_info(results)),
        "curves": lambda: draw_curves(curves_info(results, selected=selected)),
    }[view]()
    return figure.update_layout(uirevision=view, autosize=True)


@lru_cache(maxsize=8)
def _importance(study: Snapshot) -> ImportanceInfo:
    """Seconds of work, the same for every page that asks."""
    return importance_info(study.results)
