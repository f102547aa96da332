"""How does the dashboard answer? A Dash application over one runs directory: pages, and what changes them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from dash import ALL, MATCH, Dash, Input, Output, State, ctx, dcc, html, no_update, set_props
from dash.development.base_component import Component
from dash.exceptions import PreventUpdate
from flask import Flask

from objectives import OBJECTIVES
from search_space.errors import UserError

from ..results import StudyResults
from . import pages, taking_home
from .exports import Exporter
from .library import Library, Look
from .limits import answer, from_plain, limit_of, limit_rows, limits_from, parse_value, scale_of, to_plain
from .networks_table import columns, rows
from .views import MAX_MARKERS, Snapshot, axes_mark, front_figure, front_patch, view_figure, zoom_after, zoomed

ASSETS = Path(__file__).parent / "assets"

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


def create_app(library: Library, exporter: Exporter, page_token: str) -> Dash:
    """The application, without its protection (`guard.protect`) and without a server."""
    # Everything that an environment variable or a file of the working directory could change is said here.
    app = Dash(
        "resfront",
        server=Flask("resfront", static_folder=None),  # type: ignore[arg-type]  # Dash takes an application too
        title="resfront",
        update_title="",
        assets_folder=str(ASSETS),
        assets_external_path="",
        include_assets_files=True,
        routes_pathname_prefix="/",
        requests_pathname_prefix="/",
        suppress_callback_exceptions=True,
        serve_locally=True,
        compress=False,
        use_pages=False,
        enable_mcp=False,
        add_log_handler=False,
    )
    app.layout = pages.frame(page_token)
    _open_pages(app, library)
    _follow(app, library)
    _draw(app, library)
    _set_limits(app, library)
    _select(app, library)
    taking_home.register(app, library, exporter, page_token)
    return app


def _open_pages(app: Dash, library: Library) -> None:
    @app.callback(Output("page", "children"), Input("url", "pathname"), State("url", "search"))
    def open_page(path: str | None, search: str | None) -> Component:
        name = (path or "/").strip("/")
        if not name:
            return pages.overview_page()
        look = library.look(name)
        asked = parse_qs((search or "").lstrip("?")).get("trial", [""])[0]
        return pages.study_page(look, None if look.results is None else _trial_of(look.results, asked))

    @app.callback(
        Output("studies", "children"),
        Output("runs", "children"),
        Input("overview-tick", "n_intervals"),
    )
    def list_studies(_: int | None) -> tuple[Component, str]:
        names = library.names()
        library.warm(names)
        return pages.studies_table([(name, library.peek(name)) for name in names]), str(library.runs)


def _follow(app: Dash, library: Library) -> None:
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
            "status": pages.status_line(look),
            "problem": look.problem,
            "is_well": not look.problem,
            "figure": figure,
        }

    @app.callback(
        Output("x-axis", "options"),
        Output("y-axis", "options"),
        Output("third", "options"),
        Output("limit-rows", "children"),
        Output("drawn-rows", "data"),
        Input("seen", "data"),
        State("study", "data"),
        State("drawn-rows", "data"),
        prevent_initial_call=True,
    )
    def offer_figures(_: Any, name: str, drawn: list[str] | None) -> tuple[Any, ...]:
        results = library.look(name).results
        names = pages.figure_names(results)
        if results is None or names == drawn:
            raise PreventUpdate
        options = pages.figure_options(results)
        return options, options, [{"label": "none", "value": ""}, *options], limit_rows(results), names


def _front(look: Look, chosen: dict[str, Any]) -> Any:
    """The front as the reader has set it."""
    if look.results is None:
        return pages.empty_figure(look.problem)
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


def _draw(app: Dash, library: Library) -> None:
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

    @app.callback(
        Output("view", "children"),
        Input("view-choice", "value"),
        Input("after-front", "n_intervals"),
        Input("seen", "data"),
        Input("limits", "data"),
        Input("selected", "data"),
        State("study", "data"),
        State("table-rows", "value", allow_optional=True),
        prevent_initial_call=True,
    )
    def draw_view(
        choice: str, _first: int | None, _: Any, limits: Any, selected: int | None, name: str, table: str | None
    ) -> Any:
        if choice == "networks":
            if table is not None:  # not by what has triggered this: an earlier answer may have been overtaken
                raise PreventUpdate
            return pages.networks_view(library.look(name).results, from_plain(limits))
        look = library.look(name)
        if look.results is None:
            return pages.message(look.problem)
        figure = view_figure(look, choice, from_plain(limits), pages.selected_from(selected))
        return html.Div(
            dcc.Graph(id="view-figure", figure=figure, config=pages.GRAPH_CONFIG, className="plot"),
            className=f"view view-{choice}",
        )

    @app.callback(
        Output("table", "columnDefs"),
        Output("table", "rowData"),
        Input("table-rows", "value"),
        Input("seen", "data"),
        Input("limits", "data"),
        State("study", "data"),
        State("table", "columnDefs"),
        prevent_initial_call=True,
    )
    def fill_table(which: str, _: Any, limits: Any, name: str, before: list[Any]) -> tuple[Any, Any]:
        results = library.look(name).results
        if results is None:
            return [], []
        heads = columns(results)
        return (no_update if heads == before else heads), rows(results, which, from_plain(limits))

    @app.callback(
        Output("panel", "children"),
        Output("drawn-panel", "data"),
        Input("selected", "data"),
        Input("seen", "data"),
        State("study", "data"),
        State("drawn-panel", "data"),
        prevent_initial_call=True,
    )
    def draw_panel(selected: int | None, _: Any, name: str, drawn: list[Any]) -> tuple[Any, Any]:
        results = library.look(name).results
        trial = pages.selected_from(selected)
        mark = pages.panel_mark(results, trial)
        if mark == drawn:
            raise PreventUpdate
        return pages.panel(results, trial), mark


def _set_limits(app: Dash, library: Library) -> None:
    @app.callback(
        Output({"type": "limit-text", "name": MATCH}, "value"),
        Output({"type": "limit-slider", "name": MATCH}, "value"),
        Input({"type": "limit-text", "name": MATCH}, "value"),
        Input({"type": "limit-slider", "name": MATCH}, "value"),
        State("study", "data"),
        prevent_initial_call=True,
    )
    def join(text: str | None, position: float, name: str) -> tuple[Any, Any]:
        """Slider and typed value mean the same; which of them moved leads."""
        results = library.look(name).results
        cause = ctx.triggered_id
        if results is None or cause is None or cause["name"] not in results.trials:
            raise PreventUpdate
        objective = OBJECTIVES[cause["name"]]
        scale = scale_of(results, objective)
        if scale is None:
            raise PreventUpdate
        if cause["type"] == "limit-slider":
            return scale.text(position), no_update
        try:
            value = parse_value(objective, text)
        except UserError:
            return no_update, no_update  # said by `collect`
        return no_update, scale.position(None if value is None else limit_of(objective, value).value)

    @app.callback(
        Output("limits", "data"),
        Output("complaints", "children"),
        Output("answer", "children"),
        Input({"type": "limit-text", "name": ALL}, "value"),
        Input("seen", "data"),
        State({"type": "limit-text", "name": ALL}, "id"),
        State("limits", "data"),
        State("study", "data"),
        prevent_initial_call=True,
    )
    def collect(texts: list[Any], _: Any, identities: list[Any], before: Any, name: str) -> tuple[Any, Any, Any]:
        results = library.look(name).results
        if results is None:
            raise PreventUpdate
        typed = {identity["name"]: text for identity, text in zip(identities, texts, strict=True)}
        limits, complaints = limits_from({figure: text for figure, text in typed.items() if figure in results.trials})
        plain = to_plain(limits)
        return (no_update if plain == before else plain), " ".join(complaints), answer(results, limits)


def _select(app: Dash, library: Library) -> None:
    @app.callback(
        Output("selected", "data"),
        Input("front", "clickData"),
        Input({"type": "pick", "trial": ALL, "title": ALL}, "n_clicks"),
        Input("table", "selectedRows", allow_optional=True),
        Input("view-figure", "clickData", allow_optional=True),
        Input("step", "data"),
        State("x-axis", "value"),
        State("selected", "data"),
        State("study", "data"),
        prevent_initial_call=True,
    )
    def select(
        click: Any, _: list[int], table: Any, view_click: Any, step: Any, x: str, selected: int | None, name: str
    ) -> Any:
        results = library.look(name).results
        if results is None:
            raise PreventUpdate
        # A click may be told together with what has just appeared, such as the table or other buttons.
        told = [c["prop_id"] for c in ctx.triggered if c["value"] and c["prop_id"] != "table.selectedRows"]
        cause: Any = ctx.triggered_prop_ids[told[0]] if told else ctx.triggered_id
        if isinstance(cause, dict):
            chosen = cause["trial"] if told else None
        elif cause == "table":
            # A dict is what `show_selection` has set, a list what the reader has chosen.
            chosen = table[0]["trial"] if isinstance(table, list) and table else None
        elif cause == "step":
            chosen = _step(results, x, pages.selected_from(selected), step)
        else:
            chosen = _clicked(click if cause == "front" else view_click)
        trial = _trial_of(results, chosen)
        if trial is None or trial == selected:
            raise PreventUpdate
        return trial

    @app.callback(
        Output("url", "search"),
        Input("selected", "data"),
        State("table-rows", "value", allow_optional=True),
        prevent_initial_call=True,
    )
    def show_selection(selected: int | None, table: str | None) -> str:
        if pages.selected_from(selected) is None:
            raise PreventUpdate
        if table is not None:
            set_props("table", {"selectedRows": {"ids": [str(selected)]}})
        return f"?trial={selected}"


def _step(results: StudyResults, x: str, selected: int | None, step: dict[str, Any] | None) -> int | None:
    """The next network of the front along the axis across."""
    if not step or not step["by"] or x not in results.trials or results.front.empty:
        return None
    order = results.front.sort_values([x, "trial"])["trial"].tolist()
    if selected not in order:
        return int(order[0] if step["by"] > 0 else order[-1])
    return int(order[min(max(order.index(selected) + (1 if step["by"] > 0 else -1), 0), len(order) - 1)])


def _clicked(click: Any) -> Any:
    """The trial of a clicked point."""
    points: Sequence[dict[str, Any]] = (click or {}).get("points", ())
    return next((point["customdata"] for point in points if point.get("customdata") is not None), None)


def _trial_of(results: StudyResults, number: Any) -> int | None:
    """A trial of the study, from what a request says; None where it is none."""
    try:
        trial = int(number)
    except (TypeError, ValueError):
        return None
    return trial if (results.trials["trial"] == trial).any() else None
