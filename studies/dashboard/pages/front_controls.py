"""The figure of the front on a study's page, and what sets it."""

from typing import Any

from dash import dcc, html
from dash.development.base_component import Component

from objectives import OBJECTIVES
from runners.trial_record import Status

from ...figures.front.scale import HEIGHT_PX
from ...figures.theme import is_log
from ...results.study_results import StudyResults
from ..library import Look
from .empty import empty_figure
from .views import Snapshot, front_figure

GRAPH_CONFIG: Any = {
    "displaylogo": False,
    "responsive": True,
    "showSendToCloud": False,
    "modeBarButtonsToRemove": ["autoScale2d", "toImage", "select2d", "lasso2d"],
}


def figure_names(results: StudyResults | None) -> list[str]:
    """The figures for which there are rows of limits."""
    return (
        [figure.name for figure in results.figures] if results is not None and results.count(Status.COMPLETED) else []
    )


def figure_options(results: StudyResults | None) -> list[dict[str, str]]:
    """Every figure that can stand on an axis."""
    figures = results.figures if results is not None else ()
    return [{"label": figure.label, "value": figure.name} for figure in figures]


def first_axes(results: StudyResults | None) -> tuple[str | None, str | None, str]:
    """What stands across, up, and as the third, before the reader chooses."""
    names = [objective.name for objective in results.objectives] if results is not None else []
    y = results.metric.name if results is not None else None
    x = next((name for name in names if name != y), None)
    return x, y, next((name for name in names if name not in (x, y)), "")


def first_log(x: str | None, y: str | None) -> tuple[bool, bool]:
    """Which axes are logarithmic before the reader chooses: costs."""
    return x is not None and is_log(OBJECTIVES[x]), y is not None and is_log(OBJECTIVES[y])


def front_controls(results: StudyResults | None) -> Component:
    options = figure_options(results)
    x, y, third = first_axes(results)
    return html.Div(
        [
            _choice("x-axis", "Across", options, x),
            _choice("y-axis", "Up", options, y),
            _choice("third", "Third", [{"label": "none", "value": ""}, *options], third),
            dcc.RadioItems(
                id="third-as",
                options=[{"label": "colour", "value": "colour"}, {"label": "size", "value": "size"}],
                value="colour",
                inline=True,
                className="inline",
            ),
            dcc.Checklist(
                id="log",
                options=[{"label": "log across", "value": "x"}, {"label": "log up", "value": "y"}],
                value=[axis for axis, log in zip("xy", first_log(x, y), strict=True) if log],
                inline=True,
                className="inline",
            ),
        ],
        className="controls",
    )


def _choice(identity: str, label: str, options: list[dict[str, str]], value: str | None) -> Component:
    return html.Div(
        [
            html.Label(label, htmlFor=identity),
            dcc.Dropdown(id=identity, options=options, value=value, clearable=False, searchable=False),
        ],
        className="choice",
    )


def front_graph(look: Look, selected: int | None) -> Component:
    if look.results is None:
        figure = empty_figure(look.problem)
    else:
        x, y, third = first_axes(look.results)
        figure = front_figure(Snapshot(look), x, y, third=third, log=first_log(x, y), selected=selected)
    graph = dcc.Graph(
        id="front", figure=figure, config=GRAPH_CONFIG, className="plot", style={"height": f"{HEIGHT_PX}px"}
    )
    return html.Div(
        [graph, html.P(_hint(look.results), className="muted hint")],
        id="front-keys",
        tabIndex="0",
        role="group",
        **{"aria-label": "Pareto front; the left and right arrow keys step along it"},  # type: ignore[arg-type]
    )


def _hint(results: StudyResults | None) -> str:
    words = "Click or tap a point, or step along the front with the arrow keys."
    if results is not None and len(results.objectives) > 2:
        words += " Points of the front below the line are there for another objective."
    return words
