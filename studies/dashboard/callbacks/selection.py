"""Which trial has the reader selected? By a click, a key, a row, a button or the address."""

from collections.abc import Sequence
from typing import Any

from dash import ALL, Dash, Input, Output, State, ctx, set_props
from dash.exceptions import PreventUpdate

from ...results import StudyResults
from .. import pages
from ..library import Library


def register(app: Dash, library: Library) -> None:
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
        State("table-rows", "value", allow_optional=True),
        prevent_initial_call=True,
    )
    def select(
        click: Any,
        _: list[int],
        table: Any,
        view_click: Any,
        step: Any,
        x: str,
        selected: int | None,
        name: str,
        table_rows: str | None,
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
        trial = trial_of(results, chosen)
        if trial is None or trial == selected:
            raise PreventUpdate
        if table_rows is not None and cause != "table":
            set_props("table", {"scrollTo": {"rowId": str(trial), "rowPosition": "middle"}})
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


def trial_of(results: StudyResults, number: Any) -> int | None:
    """A trial of the study, from what a request says; None where it is none."""
    try:
        trial = int(number)
    except (TypeError, ValueError):
        return None
    return trial if (results.trials["trial"] == trial).any() else None
