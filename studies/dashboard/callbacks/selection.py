"""Which trial has the reader selected? By a click, a key, a row, a button or the address."""

import re
from collections.abc import Callable, Sequence
from typing import Any, cast

from dash import ALL, Dash, Input, Output, State, ctx, no_update, set_props
from dash.exceptions import PreventUpdate

from ...results.study_results import StudyResults
from ..library import Library
from ..pages import study_page as pages
from ..requests import is_count

PAGE = {
    "name": State("study", "data"),
    "selected": State("selected", "data"),
    "table_rows": State("table-rows", "value", allow_optional=True),
}
"""What a choice is held against."""


def register(app: Dash, library: Library) -> None:
    """A callback for each way to choose: Dash drops the answer of one that it has to ask again.

    A table that appears at the moment of a click would make it ask.
    """

    def on(**inputs: Any) -> Callable[[Callable[..., Any]], Any]:
        output = Output("selected", "data", allow_duplicate=True)
        callback = app.callback(output=output, inputs=inputs, state={"page": PAGE}, prevent_initial_call=True)
        return cast(Callable[[Callable[..., Any]], Any], callback)

    def select(number: Any, page: dict[str, Any], *, in_table: bool = False) -> int:
        """The trial that is chosen, where it is one and not yet selected; the table shows it too."""
        results = library.look(page["name"]).results
        trial = None if results is None else trial_of(results, number)
        if trial is None or trial == page["selected"]:
            raise PreventUpdate
        if page["table_rows"] is not None and not in_table:
            set_props("table", {"scrollTo": {"rowId": str(trial), "rowPosition": "middle"}})
        return trial

    @on(click=Input("front", "clickData"))
    def select_point(click: Any, page: dict[str, Any]) -> int:
        return select(_clicked(click), page)

    @on(click=Input("view-figure", "clickData", allow_optional=True))
    def select_in_view(click: Any, page: dict[str, Any]) -> int:
        return select(_clicked(click), page)

    @on(presses=Input({"type": "pick", "trial": ALL, "title": ALL}, "n_clicks"))
    def select_pick(presses: list[int], page: dict[str, Any]) -> int:
        # Buttons that have just appeared are told as well, with no presses.
        pressed = [cause["prop_id"] for cause in ctx.triggered if cause["value"]]
        return select(ctx.triggered_prop_ids[pressed[0]]["trial"] if pressed else None, page)

    @on(rows=Input("table", "selectedRows", allow_optional=True))
    def select_row(rows: Any, page: dict[str, Any]) -> Any:
        # A dict is what `show_selection` has set, a list what the reader has chosen; space on that row empties it.
        if rows == [] and pages.selected_from(page["selected"]) is not None:
            set_props("table", {"selectedRows": {"ids": [str(page["selected"])]}})
            return no_update  # PreventUpdate would drop it
        return select(rows[0]["trial"] if isinstance(rows, list) and rows else None, page, in_table=True)

    @on(step=Input("step", "data"), x=State("x-axis", "value"))
    def select_next(step: Any, x: str, page: dict[str, Any]) -> int:
        results = library.look(page["name"]).results
        return select(None if results is None else _step(results, x, pages.selected_from(page["selected"]), step), page)

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
    if isinstance(number, str):
        number = int(number) if re.fullmatch("[0-9]{1,9}", number) else None
    if not is_count(number):
        return None
    trial = int(number)
    return trial if (results.trials["trial"] == trial).any() else None
