"""Which trials can be drawn, and what does the pointer show over one of them?"""

from html import escape

import pandas as pd

from objectives.base import Objective
from search_space.errors import UserError, unknown_name

from ..results import StudyResults
from ..wording import count_by_status, describe_spec, format_value, heading

MIN_FRONT_FOR_KNEE = 3


def evaluated(results: StudyResults) -> pd.DataFrame:
    """The trials that were trained and have every objective; duplicates repeat one of them and are left out."""
    trials = results.trials
    names = [objective.name for objective in results.objectives]
    return trials[(trials["status"] == "completed") & trials[names].notna().all(axis=1)]


def nothing_evaluated(results: StudyResults) -> str | None:
    """Why no trial can be drawn, or None where one can."""
    if len(evaluated(results)):
        return None
    counts = count_by_status(results.trials["status"])
    return f"No candidate has been evaluated yet ({counts or 'no trial'})."


def column(results: StudyResults, name: str) -> Objective:
    """The column called `name`; raises UserError where the study does not have it."""
    known = {objective.name: objective for objective in results.figures}
    if name not in known:
        raise UserError(unknown_name("objective", name, known))
    return known[name]


def marked_knee(results: StudyResults) -> int | None:
    """The trial at the front's knee; None where the front is too small for one of its networks to stand out."""
    return results.knee_trial if results.trials["front"].sum() >= MIN_FRONT_FOR_KNEE else None


def hover_text(row: pd.Series, objectives: tuple[Objective, ...]) -> str:
    """A trial in words, with every objective; what comes from the study is escaped, for plotly reads HTML."""
    label = f" · {escape(row['label'])}" if isinstance(row["label"], str) else ""
    lines = [f"<b>trial {row['trial']}</b>{label}", escape(describe_spec(row["spec"]))]
    lines += [f"{heading(objective)} {format_value(objective, row[objective.name])}" for objective in objectives]
    return "<br>".join(lines)
