"""What else on the page changes with the study, the budget and the selection: choices, views, table, panel."""

from typing import Any

from dash import ALL, Dash, Input, Output, State, dcc, html, no_update
from dash.exceptions import PreventUpdate

from ..library import Library
from ..limits.rows import typed_in
from ..limits.values import from_plain
from ..pages import study_page as pages
from ..pages.empty import message
from ..pages.front_controls import GRAPH_CONFIG, figure_names
from ..pages.networks_table import columns, rows
from ..pages.views import view_figure
from .budget import OFFERS


def register(app: Dash, library: Library) -> None:
    @app.callback(
        *(Output(*where) for where in OFFERS),
        Input("seen", "data"),
        State("study", "data"),
        State("drawn-rows", "data"),
        State({"type": "limit-text", "name": ALL}, "value"),
        State({"type": "limit-text", "name": ALL}, "id"),
        prevent_initial_call=True,
    )
    def offer_figures(
        _: Any, name: str, drawn: list[str] | None, texts: list[Any], identities: list[Any]
    ) -> tuple[Any, ...]:
        results = library.look(name).results
        if results is None or figure_names(results) == drawn:
            raise PreventUpdate
        return pages.offers(results, typed_in(texts, identities))

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
            return pages.networks_view(library.look(name).results, from_plain(limits), pages.selected_from(selected))
        look = library.look(name)
        if look.results is None:
            return message(look.problem)
        figure = view_figure(look, choice, from_plain(limits), pages.selected_from(selected))
        width = (figure.layout.meta or {}).get("min_width", 0)
        return html.Div(
            dcc.Graph(
                id="view-figure",
                figure=figure,
                config=GRAPH_CONFIG,
                className="plot",
                style={"minWidth": f"{width}px"},
            ),
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
        Output("to-panel", "children"),
        Output("to-panel", "hidden"),
        Input("selected", "data"),
        Input("seen", "data"),
        State("study", "data"),
        State("drawn-panel", "data"),
        prevent_initial_call=True,
    )
    def draw_panel(selected: int | None, _: Any, name: str, drawn: list[Any]) -> tuple[Any, ...]:
        results = library.look(name).results
        trial = pages.selected_from(selected)
        mark = pages.panel_mark(results, trial)
        if mark == drawn:
            raise PreventUpdate
        leading = pages.to_panel(results, trial)
        return pages.panel(results, trial), mark, leading, not leading
