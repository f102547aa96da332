"""What follows from the budget that the reader sets? Slider and typed value agree, and the answer is found."""

from typing import Any

from dash import ALL, MATCH, Dash, Input, Output, State, ctx, no_update
from dash.exceptions import PreventUpdate

from objectives import OBJECTIVES
from search_space.errors import UserError

from ..library import Library
from ..limits.rows import answer, limits_of_budget, typed_in
from ..limits.values import limit_of, limits_from, parse_value, scale_of, to_plain
from ..pages import study_page as pages

OFFERS = (
    ("x-axis", "options"),
    ("y-axis", "options"),
    ("third", "options"),
    ("budget-device", "options"),
    ("budget-device", "value"),
    ("limit-rows", "children"),
    ("drawn-rows", "data"),
)
"""What `pages.offers` fills: component and property."""


def register(app: Dash, library: Library) -> None:
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
        *(Output(*where, allow_duplicate=True) for where in OFFERS),
        Input("budget-name", "value"),
        Input("budget-device", "value"),
        State({"type": "limit-text", "name": ALL}, "value"),
        State({"type": "limit-text", "name": ALL}, "id"),
        State("study", "data"),
        prevent_initial_call=True,
    )
    def fill_in(
        chosen: str | None, device: str | None, texts: list[Any], identities: list[Any], name: str
    ) -> tuple[Any, ...]:
        """The limits of a named budget in the place of what was typed, or one more row for the latency on a device."""
        is_budget = ctx.triggered_id == "budget-name"
        if not (chosen if is_budget else device):
            raise PreventUpdate
        try:
            typed = limits_of_budget(str(chosen)) if is_budget else typed_in(texts, identities)
            devices = [figure.partition("@")[2] for figure in typed if "@" in figure] if is_budget else [device]
            results = library.estimate(name, [str(one) for one in devices]).results
        except UserError:
            raise PreventUpdate from None
        if results is None:
            raise PreventUpdate
        return pages.offers(results, typed)

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
