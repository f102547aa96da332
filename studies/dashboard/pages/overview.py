"""Which studies are there? The list of them, and how far one is."""

from dash import dcc, html
from dash.development.base_component import Component

from runners.trial_record import Status
from search_space.texts.counting import count_of

from ...results.listing import STATES
from ...results.study_results import StudyResults
from ...texts.wording import describe_limit, heading
from ..library import Look

TICK_MS = 1500
"""How often a page asks what is new."""


def overview_page() -> Component:
    """The list of studies."""
    return html.Div(
        [
            html.Header([html.H1("Studies"), html.Span(id="runs", className="muted")], className="top"),
            html.Div(id="studies"),
            dcc.Interval(id="overview-tick", interval=2 * TICK_MS),
        ],
        className="page",
    )


def studies_table(looks: list[tuple[str, Look | None]]) -> Component:
    """A row for each study; None stands for one that is being read."""
    if not looks:
        return html.Div(
            [
                html.P("There is no study here yet. Start one:"),
                html.Pre("resfront search quick --name demo"),
                html.P("It appears on this page by itself.", className="muted"),
            ],
            className="card text",
        )
    heads = ("Study", "State", "Progress", "Front", "Hypervolume", "Objectives")
    return html.Div(
        html.Table(
            [
                html.Thead(html.Tr([html.Th(head, scope="col") for head in heads])),
                html.Tbody([_study_row(name, look) for name, look in looks]),
            ],
            className="studies",
        ),
        className="card scroll",
    )


def _study_row(name: str, look: Look | None) -> Component:
    link = html.Td(dcc.Link(name, href=f"/{name}"))
    if look is None:
        return html.Tr([link, html.Td("reading …", colSpan=5, className="muted")])
    chip = html.Td(html.Span(STATES[look.state], className=f"chip chip-{look.state}"))
    results = look.results
    if results is None:
        return html.Tr([link, chip, html.Td(look.problem, colSpan=4, className="muted problem")])
    return html.Tr(
        [
            link,
            chip,
            html.Td([_progress(look), f" {look.evaluated:,} of {look.planned:,}"]),
            html.Td(count_of(len(results.front), "network")),
            html.Td(_hypervolume(results)),
            html.Td(", ".join(heading(objective) for objective in results.objectives), className="muted"),
        ]
    )


def status_line(look: Look) -> list[Component]:
    """State, progress, front and hypervolume."""
    chip = html.Span(STATES[look.state], className=f"chip chip-{look.state}")
    results = look.results
    if results is None:
        return [chip]
    unfinished = "running" if look.state == "running" else "unfinished"
    words = {
        Status.STOPPED: "stopped early",
        Status.REJECTED: "rejected",
        Status.FAILED: "failed",
        Status.RUNNING: unfinished,
    }
    counts = [f"{results.count(kind)} {word}" for kind, word in words.items() if results.count(kind)]
    parts: list[Component] = [
        chip,
        _progress(look),
        html.Span(f"{look.evaluated:,} of {count_of(look.planned, 'trial')}"),
        html.Span(f"front {len(results.front)}"),
        html.Span(f"hypervolume {_hypervolume(results)}"),
    ]
    if results.limits:
        parts.append(html.Span(f"limits: {', '.join(map(describe_limit, results.limits))}", id="study-limits"))
    if counts:
        parts.append(html.Span(", ".join(counts), className="muted"))
    if look.state == "stopped":
        parts.append(html.Code(f"resfront search --resume --name {look.name}"))
    return parts


def _progress(look: Look) -> Component:
    return html.Progress(value=str(look.evaluated), max=str(max(look.planned, look.evaluated, 1)))


def _hypervolume(results: StudyResults) -> str:
    volumes = results.trials["hypervolume"].dropna()
    return f"{volumes.max():.4f}" if len(volumes) else "–"
