"""What budget has the reader set? A slider and a typed value for each figure, the limits they mean, and the answer."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from dash import dcc, html
from dash.development.base_component import Component

from objectives import OBJECTIVES, Limit
from objectives.device_costs.latency_ms import LATENCY
from objectives.devices import profile_names
from search_space.errors import UserError
from search_space.texts.counting import count_of

from ...analysis.budgets import budget, budgets
from ...analysis.recommendation import recommend
from ...analysis.trade import beside_in_a_sentence
from ...results.study_results import StudyResults, keeps
from ...texts.wording import describe_limit, format_figure, heading
from ..component_id import text_of_id
from .values import STEPS, Scale, parse_value, scale_of, typed


def device_options(results: StudyResults | None) -> list[dict[str, str]]:
    """Devices on which latencies can be estimated that the results do not hold yet."""
    known = {objective.name for objective in results.figures} if results is not None else set()
    return [{"label": name, "value": name} for name in profile_names() if f"{LATENCY}@{name}" not in known]


def budget_choices(results: StudyResults | None) -> list[Component]:
    """What fills the rows in: the named budgets, and devices on which latencies can be estimated."""
    return [
        _choice(
            "budget-name",
            "Budget of",
            "an application",
            [{"label": name, "value": name, "title": one.description} for name, one in budgets().items()],
        ),
        _choice("budget-device", "Estimate latency on", "a device", device_options(results)),
    ]


def _choice(identity: str, label: str, placeholder: str, options: Any) -> Component:
    dropdown = dcc.Dropdown(id=identity, options=options, value=None, placeholder=placeholder, searchable=False)
    return html.Div([html.Label(label, htmlFor=identity), dropdown], className="choice")


def typed_in(texts: Sequence[Any], identities: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Figure -> what is typed in its row, from what the page says; rows that are empty are left out."""
    return {identity["name"]: str(text) for identity, text in zip(identities, texts, strict=True) if text}


def limits_of_budget(name: str) -> dict[str, str]:
    """Figure -> what is typed there, for a named budget; raises UserError for an unknown one."""
    return {limit.objective: typed(OBJECTIVES[limit.objective], limit.value) for limit in budget(name).limits}


def limit_rows(results: StudyResults, texts: Mapping[str, str] = MappingProxyType({})) -> list[Component]:
    """A row for each figure: the objectives and latencies first, the others folded away unless something is typed.

    `texts` is what is typed there: figure -> text.
    """
    scales = [scale for objective in results.figures if (scale := scale_of(results, objective)) is not None]
    optimised = {objective.name for objective in results.objectives}
    first, more = list[Component](), list[Component]()
    for scale in scales:
        name = scale.objective.name
        (first if name in optimised or "@" in name else more).append(_row(scale, texts.get(name, "")))
    is_open = any(texts.get(scale.objective.name) for scale in scales if scale.objective.name not in optimised)
    folded = [html.Details([html.Summary("More figures"), *more], open=is_open, className="more")] if more else []
    return [*first, *folded]


def _row(scale: Scale, text: str) -> Component:
    objective = scale.objective
    low, high = scale.bounds
    try:
        position = scale.position(parse_value(objective, text))
    except UserError:  # said by what collects the limits
        position = scale.open_end
    relation = "at least" if objective.maximize else "at most"
    return html.Div(
        [
            html.Label(
                [objective.label, " ", html.Span(relation, className="muted")],
                htmlFor=text_of_id({"type": "limit-text", "name": objective.name}),
            ),
            dcc.Input(
                id={"type": "limit-text", "name": objective.name},
                className="limit-text",
                type="text",
                debounce=True,
                value=text,
                placeholder="no limit",
                autoComplete="off",
            ),
            dcc.Slider(
                id={"type": "limit-slider", "name": objective.name},
                min=low,
                max=high,
                step=(high - low) / STEPS,
                value=position,
                marks=None,
                included=not objective.maximize,
                allow_direct_input=False,
                className="limit-slider",
            ),
        ],
        className="limit-row",
    )


def answer(results: StudyResults, limits: Sequence[Limit]) -> list[Component]:
    """How many networks remain, the best of them and the runner-up, or what stands in the way."""
    found = recommend(results, limits)
    if not found.considered:
        return [html.P("No evaluated network keeps the study's own limits yet.", className="muted")]
    front = results.front
    on_front = int(keeps(front, limits).sum()) if len(front) else 0
    counts = html.P(
        [
            html.Strong(f"{found.remaining} of {count_of(found.considered, 'network')}"),
            f" keep the limits, {on_front} of {len(front)} on the front",
            "" if found.best is None else f"; best by {heading(found.goal).lower()}",
        ],
        id="remaining",
    )
    if found.best is None:
        return [counts, *_nearest(results, found)]
    best = [_pick("Best", results, found.best)]
    if beside := beside_in_a_sentence(results, found.best):
        best.append(html.P(beside, className="note"))
    if found.runner_up is None:
        return [counts, *best]
    return [
        counts,
        *best,
        _pick("Runner-up", results, found.runner_up),
        html.P(f"Against the best: {found.trade}.", className="note"),
    ]


def _nearest(results: StudyResults, found: Any) -> list[Component]:
    binding = ", ".join(describe_limit(limit) for limit in found.binding)
    lines: list[Component] = []
    if binding:
        lines.append(html.P(["What stands in the way: ", html.Strong(binding)], id="binding"))
    if found.nearest is not None:
        lines += [_pick("Nearest", results, found.nearest), html.P("; ".join(found.excess), className="note")]
    return lines


def _pick(title: str, results: StudyResults, trial: int) -> Component:
    """A button that selects the trial."""
    row: Any = results.trials[results.trials["trial"] == trial].iloc[0].to_dict()
    figures = " · ".join(format_figure(o, row) for o in results.objectives)
    return html.Button(
        [
            html.Span(title, className="pick-title"),
            html.Span([html.Strong(f"trial {trial}"), f" · {figures}"]),
            html.Span(row["network"], className="muted"),
        ],
        id={"type": "pick", "trial": trial, "title": title},
        className="pick",
        n_clicks=0,
    )
