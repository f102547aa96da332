"""Values of the limits that a reader sets: from a slider or a text, and as plain values for the page's state."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from objectives import OBJECTIVES, Limit, Objective
from objectives.limits import parse_amount
from runners.trial_record import Status
from search_space.errors import UserError

from ...figures.theme import is_log
from ...results.study_results import StudyResults
from ...texts.wording import format_value, heading

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
    margin = 0.002 if objective.unit == "fraction" else 0.02 * (high - low or abs(high))
    least = max(low - margin, low / 2) if low > 0 else low - margin
    return Scale(objective, least, max(high, low + margin) + margin)


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
