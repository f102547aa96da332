"""What budget has the reader set? A slider and a typed value for each figure, the limits they mean, and the answer."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from dash import dcc, html
from dash._utils import stringify_id
from dash.development.base_component import Component

from objectives import OBJECTIVES, Limit, Objective
from objectives.costs.latency_ms import LATENCY
from objectives.devices import profile_names
from objectives.limits import parse_amount
from runners.trial import Status
from search_space.errors import UserError
from search_space.texts.counting import count_of

from ...analysis.budgets import budget, budgets
from ...analysis.recommendation import recommend
from ...analysis.trade import beside_in_a_sentence
from ...figures.theme import is_log
from ...results.tables import StudyResults, keeps
from ...texts.wording import describe_limit, format_figure, format_value, heading

STEPS = 200
"""Positions of a slider."""


@dataclass(frozen=True, slots=True)
class Scale:
    """A slider's positions and the values that they mean: logarithmic for costs."""

    objective: Objective
    low: float
    high: float

    @property
    def bounds(self) -> tuple[float, float]:
        """Least and greatest position."""
        return self._position(self.low), self._position(self.high)

    @property
    def open_end(self) -> float:
        """The position that means no limit."""
        return self.bounds[0] if self.objective.maximize else self.bounds[1]

    def text(self, position: float) -> str:
        """What is typed for a position; nothing at the open end."""
        if math.isclose(position, self.open_end, abs_tol=1e-9):
            return ""
        return typed(self.objective, 10**position if is_log(self.objective) else position)

    def position(self, value: float | None) -> float:
        """The nearest position to a value; the open end for None."""
        if value is None:
            return self.open_end
        return min(max(self._position(value), self.bounds[0]), self.bounds[1])

    def _position(self, value: float) -> float:
        return math.log10(max(value, 1e-12)) if is_log(self.objective) else value


def typed(objective: Objective, value: float) -> str:
    """A value as it is typed: `300 k`, `1.5`, `80 %`."""
    if objective.unit == "fraction":
        return f"{100 * value:.4g} %"
    return format_value(objective, value).removesuffix(objective.unit).removesuffix("B").rstrip()


def scale_of(results: StudyResults, objective: Objective) -> Scale | None:
    """The range of what was evaluated, a little wider; None where nothing is known."""
    trials = results.trials
    values = trials[objective.name].to_numpy(dtype=float)[(trials["status"] == Status.COMPLETED).to_numpy(dtype=bool)]
    values = values[~np.isnan(values)]
    if len(values) == 0:
        return None
    low, high = float(values.min()), float(values.max())
    if is_log(objective):
        return Scale(objective, low / 1.02, max(high, low * 1.01) * 1.02)
    return Scale(objective, low - 0.002, max(high, low + 0.002) + 0.002)


def parse_value(objective: Objective, text: object) -> float | None:
    """A typed value: `300k`, `1.5 ms`, `50 %`, `0.5`; None for nothing. Raises UserError."""
    words = str(text if text is not None else "").strip()
    if not words:
        return None
    try:
        value = parse_amount(words, objective.unit)
    except ValueError:
        example = {"fraction": "80 %", "ms": "1.5, 200 us"}.get(objective.unit, "300k, 1.2M")
        raise UserError(f"{heading(objective)}: write a number, for example {example}") from None
    if objective.unit == "fraction" and value >= 1 and "%" not in words:
        value /= 100
    return limit_of(objective, value).value


def limit_of(objective: Objective, value: float) -> Limit:
    """The budget's limit on a figure: at least for what is maximised, else at most."""
    return Limit(objective=objective.name, kind="min" if objective.maximize else "max", value=value)


def limits_from(texts: Mapping[str, object]) -> tuple[tuple[Limit, ...], tuple[str, ...]]:
    """Figure -> what is typed there, as limits and as complaints."""
    limits, complaints = [], []
    for name, text in texts.items():
        try:
            value = parse_value(OBJECTIVES[name], text)
            if value is not None:
                limits.append(limit_of(OBJECTIVES[name], value))
        except UserError as error:
            words = str(error).removeprefix("--max ").removeprefix("--min ")
            complaints.append(f"{words}; until then nothing limits it.")
    return tuple(limits), tuple(complaints)


def to_plain(limits: Iterable[Limit]) -> list[dict[str, Any]]:
    """For a `dcc.Store`."""
    return [{"objective": limit.objective, "kind": limit.kind, "value": limit.value} for limit in limits]


def from_plain(limits: Iterable[Mapping[str, Any]] | None) -> tuple[Limit, ...]:
    """The inverse; raises UserError for what is no limit."""
    return tuple(Limit(**limit) for limit in limits or ())


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
                htmlFor=stringify_id({"type": "limit-text", "name": objective.name}),
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
