"""What is on the page of one study? Complete when it is opened; the callbacks change its parts."""

from collections.abc import Mapping, Sequence
from typing import Any

from dash import dcc, html
from dash.development.base_component import Component

from objectives import Limit
from search_space.errors import UserError

from ...results.study_results import StudyResults
from ...texts.wording import format_figure
from ..library import Look
from ..limits.rows import answer, budget_choices, device_options, limit_rows
from ..panel.detail import detail_panel
from .actions import add_actions
from .front_controls import figure_names, figure_options, front_controls, front_graph
from .networks_table import networks_table
from .overview import TICK_MS, status_line

NOTHING = -1
"""In the place of a trial where none is selected."""
AFTER_FRONT_MS = 900
"""When the table is asked for, so that the front is drawn first."""
VIEWS = {
    "networks": "Networks",
    "progress": "Progress",
    "parallel": "Parameters",
    "importance": "Importance",
    "curves": "Learning curves",
}


def frame(page_token: str) -> Component:
    """What every page has around its content."""
    return html.Div(
        [
            dcc.Location(id="url", refresh="callback-nav"),
            dcc.Store(id="page-token", data=page_token),
            html.Main(id="page"),
        ]
    )


def study_page(look: Look, selected: int | None) -> Component:
    """One study, complete, so that nothing need be asked for after it."""
    results = look.results
    return html.Div(
        [
            dcc.Store(id="study", data=look.name),
            dcc.Store(id="seen", data=seen_of(look)),
            dcc.Store(id="limits", data=[]),
            # A store that holds nothing at first counts as changed as soon as it is there.
            dcc.Store(id="selected", data=NOTHING if selected is None else selected),
            dcc.Store(id="step", data={"by": 0}),
            dcc.Store(id="zoom", data={}),
            dcc.Store(id="drawn-rows", data=figure_names(results)),
            dcc.Store(id="drawn-panel", data=panel_mark(results, selected)),
            dcc.Interval(id="tick", interval=TICK_MS),
            dcc.Interval(id="after-front", interval=AFTER_FRONT_MS, max_intervals=1),
            html.Header(
                [
                    dcc.Link("Studies", href="/", className="back"),
                    html.H1(look.name),
                    html.Div(status_line(look), id="status", className="status", **{"aria-live": "polite"}),  # type: ignore[arg-type]
                ],
                className="top",
            ),
            html.P(look.problem, id="problem", className="card text problem", hidden=not look.problem),
            html.Div(
                [
                    html.Div(
                        [
                            html.Section(
                                [front_controls(results), front_graph(look, selected)], className="card front"
                            ),
                            html.Section([_views(), html.Div(id="view")], className="card views"),
                        ]
                    ),
                    html.Aside(
                        [_budget(results), html.Section(panel(results, selected), id="panel", className="card text")]
                    ),
                ],
                className="grid",
            ),
            html.Button(to_panel(results, selected), id="to-panel", hidden=selected is None),
        ],
        className="page",
    )


def to_panel(results: StudyResults | None, selected: int | None) -> list[Component]:
    """What leads to the selected trial on a narrow page, at its lower border: number and figures."""
    if results is None or selected is None or not (results.trials["trial"] == selected).any():
        return []
    row = results.trials[results.trials["trial"] == selected].iloc[0]
    figures = " · ".join(format_figure(objective, row) for objective in results.objectives)
    return [html.Strong(f"Trial {selected}"), html.Span(figures), html.Span("details ↓", className="more-below")]


def seen_of(look: Look) -> dict[str, Any]:
    """What a page must remember to know whether something is new."""
    return {"version": look.version, "state": look.state}


def selected_from(data: object) -> int | None:
    """The trial that the page's store holds."""
    return data if isinstance(data, int) and data != NOTHING else None


def offers(results: StudyResults, texts: Mapping[str, str]) -> tuple[Any, ...]:
    """What changes with the known figures, as `budget.OFFERS` names it: choices of axes and devices, rows of limits."""
    options = figure_options(results)
    third = [{"label": "none", "value": ""}, *options]
    rows = limit_rows(results, texts)
    return options, options, third, device_options(results), None, rows, figure_names(results)


def _budget(results: StudyResults | None) -> Component:
    return html.Section(
        [
            html.H2("Find for a budget"),
            html.Div(budget_choices(results), className="choices"),
            html.Div(limit_rows(results) if results is not None else [], id="limit-rows"),
            html.P(id="complaints", className="problem", role="alert"),
            html.Div(answer(results, ()) if results is not None else [], id="answer", **{"aria-live": "polite"}),  # type: ignore[arg-type]
        ],
        className="card text budget",
    )


def _views() -> Component:
    return dcc.RadioItems(
        id="view-choice",
        options=[{"label": label, "value": name} for name, label in VIEWS.items()],
        value="networks",
        inline=True,
        className="tabs",
    )


def panel(results: StudyResults | None, selected: int | None) -> Any:
    """The selected trial, with its buttons."""
    if results is None:
        return []
    try:
        found = detail_panel(results, selected)
    except UserError as error:  # what is stored as its spec is none
        return html.P(f"Trial {selected} cannot be shown: {error}", className="problem")
    add_actions(found, results, selected)
    return found


def panel_mark(results: StudyResults | None, selected: int | None) -> list[Any]:
    """What of the selected trial can change: how it ended, and whether it is on the front."""
    if results is None:
        return []
    row = results.trials[results.trials["trial"] == selected]
    return [selected, "" if row.empty else f"{row['status'].iloc[0]} {row['front'].iloc[0]}"]


def networks_view(results: StudyResults | None, limits: Sequence[Limit] = (), selected: int | None = None) -> Component:
    """The table of networks, and which of them it shows: at first the front."""
    return html.Div(
        [
            html.Div(
                [
                    dcc.RadioItems(
                        id="table-rows",
                        options=[
                            {"label": "front", "value": "front"},
                            {"label": "evaluated", "value": "evaluated"},
                            {"label": "all trials", "value": "all"},
                        ],
                        value="front",
                        inline=True,
                        className="inline",
                    ),
                    html.Span(
                        "Within the budget. Arrow keys move, space selects, a head sorts.", className="muted hint"
                    ),
                    html.Span("Swipe sideways for more columns.", className="muted hint narrow-only"),
                ],
                className="controls",
            ),
            networks_table(results, limits, selected),
        ]
    )
