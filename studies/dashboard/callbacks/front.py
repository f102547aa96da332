"""How does the front's picture follow the study and the reader?"""

from typing import Any

from dash import Dash, Input, Output, State, no_update
from dash.exceptions import PreventUpdate

from ..library import Library, Look
from ..limits.values import from_plain
from ..pages import study_page as pages
from ..pages.empty import empty_figure
from ..pages.overview import status_line
from ..pages.views import MAX_MARKERS, Snapshot, axes_mark, front_figure, front_patch, zoom_after, zoomed

MAX_ADDITIONS = 25
"""After so many additions the picture is drawn anew."""
FRONT = {
    "x": ("x-axis", "value"),
    "y": ("y-axis", "value"),
    "third": ("third", "value"),
    "third_as": ("third-as", "value"),
    "log": ("log", "value"),
    "limits": ("limits", "data"),
    "selected": ("selected", "data"),
}
"""What the front's picture depends on, besides the study: component and property."""
ZOOM = {"zoom": ("zoom", "data")}
"""What it takes into account when it is drawn."""


def register(app: Dash, library: Library) -> None:
    @app.callback(
        output={
            "seen": Output("seen", "data"),
            "status": Output("status", "children"),
            "problem": Output("problem", "children"),
            "is_well": Output("problem", "hidden"),
            "figure": Output("front", "figure", allow_duplicate=True),
        },
        inputs={"_": Input("tick", "n_intervals")},
        state={
            "name": State("study", "data"),
            "seen": State("seen", "data"),
            "front": {key: State(*where) for key, where in (FRONT | ZOOM).items()},
        },
        prevent_initial_call=True,
    )
    def tick(_: int, name: str, seen: dict[str, Any], front: dict[str, Any]) -> dict[str, Any]:
        """What is new, the front at once with it."""
        look = library.look(name)
        if pages.seen_of(look) == {key: seen[key] for key in ("version", "state")}:
            raise PreventUpdate
        figure, additions = _newer_front(look, seen, front)
        return {
            "seen": {**pages.seen_of(look), "additions": additions},
            "status": status_line(look),
            "problem": look.problem,
            "is_well": not look.problem,
            "figure": figure,
        }

    @app.callback(
        output=Output("front", "figure"),
        inputs={"front": {key: Input(*where) for key, where in FRONT.items()}},
        state={"name": State("study", "data"), "zoom": State("zoom", "data")},
        prevent_initial_call=True,
    )
    def draw_front(front: dict[str, Any], name: str, zoom: dict[str, Any]) -> Any:
        return _front(library.look(name), {**front, "zoom": zoom})

    @app.callback(
        Output("zoom", "data"),
        Input("front", "relayoutData"),
        State("x-axis", "value"),
        State("y-axis", "value"),
        State("log", "value"),
        State("zoom", "data"),
        prevent_initial_call=True,
    )
    def remember_zoom(event: Any, x: str, y: str, log: list[str], before: dict[str, Any]) -> dict[str, Any]:
        after = zoom_after(before, event, axes_mark(x, y, ("x" in log, "y" in log)))
        if after == before:
            raise PreventUpdate
        return after


def _front(look: Look, chosen: dict[str, Any]) -> Any:
    """The front as the reader has set it."""
    if look.results is None:
        return empty_figure(look.problem)
    figure = front_figure(
        Snapshot(look),
        chosen["x"],
        chosen["y"],
        third=chosen["third"] or "",
        third_as=chosen["third_as"],
        log=("x" in chosen["log"], "y" in chosen["log"]),
        limits=from_plain(chosen["limits"]),
        selected=pages.selected_from(chosen["selected"]),
    )
    return zoomed(figure, chosen["zoom"])


def _newer_front(look: Look, seen: dict[str, Any], chosen: dict[str, Any]) -> tuple[Any, int]:
    """The figure, or what is new in it where that is all that has changed; and how often it has been added to."""
    ended, additions = look.ended_since.get(seen["version"]), int(seen.get("additions", 0))
    if look.version == seen["version"] or ended == frozenset():
        return no_update, additions
    if look.results is None or ended is None or len(ended) > MAX_MARKERS or additions >= MAX_ADDITIONS:
        return _front(look, chosen), 0
    log = ("x" in chosen["log"], "y" in chosen["log"])
    patch = front_patch(
        look.results,
        ended,
        chosen["x"],
        chosen["y"],
        third=chosen["third"] or "",
        log=log,
        limits=from_plain(chosen["limits"]),
    )
    return (_front(look, chosen), 0) if patch is None else (patch, additions + 1)
