"""Which trials can be drawn, and what does the pointer show over one of them?"""

from collections.abc import Sequence
from functools import lru_cache
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from objectives.base import OBJECTIVES, Objective
from runners.trial_record import Status
from search_space.errors import UserError, unknown_name

from ..results.study_results import StudyResults
from ..texts.wording import count_by_status, format_value, heading


def drawable(results: StudyResults) -> pd.DataFrame:
    """The trials that were trained and have every objective; duplicates repeat one of them and are left out."""
    trials = results.trials
    return trials[_is_evaluated(results)]


def _is_evaluated(results: StudyResults) -> NDArray[np.bool_]:
    trials = results.trials
    values = trials[[objective.name for objective in results.objectives]].to_numpy(dtype=float)
    completed = trials["status"].to_numpy(dtype=object) == Status.COMPLETED
    return np.asarray(completed & ~np.isnan(values).any(axis=1), dtype=bool)


def nothing_evaluated(results: StudyResults) -> str | None:
    """Why no trial can be drawn, or None where one can."""
    if _is_evaluated(results).any():
        return None
    counts = count_by_status(results.trials["status"])
    return f"No candidate has been evaluated yet ({counts or 'no trial'})."


def column(results: StudyResults, name: str) -> Objective:
    """The column called `name`; raises UserError where the study does not have it."""
    known = {objective.name: objective for objective in results.figures}
    if name not in known:
        raise UserError(unknown_name("objective", name, known))
    return known[name]


def hover_texts(rows: pd.DataFrame, objectives: Sequence[Objective]) -> list[str]:
    """Each trial in words: number, label, network, why it was rejected or failed, `objectives`.

    What comes from the study is escaped, for plotly reads HTML.
    """
    shown = tuple(objective.name for objective in objectives)
    # None, for a NaN equals nothing, not even itself, so that its text would never be found again.
    known = [[None if x != x else x for x in row] for row in rows[list(shown)].to_numpy(dtype=float).tolist()]
    texts = ([_text_or_none(text) for text in rows[name]] for name in ("label", "network", "reason"))
    words = zip(rows["trial"].tolist(), *texts, known, strict=True)
    return [_hover_text(*trial, shown, tuple(figures)) for *trial, figures in words]


@lru_cache(maxsize=32768)
def _hover_text(
    trial: int,
    label: str | None,
    network: str | None,
    reason: str | None,
    objectives: tuple[str, ...],
    values: tuple[float | None, ...],
) -> str:
    lines = [f"<b>trial {trial}</b>{f' · {escape(label, quote=False)}' if label else ''}"]
    lines += [escape(text, quote=False) for text in (network, reason) if text]
    pairs = zip(map(_objective, objectives), values, strict=True)
    lines += [
        f"{heading(objective)} {format_value(objective, value)}" for objective, value in pairs if value is not None
    ]
    return "<br>".join(lines)


@lru_cache(maxsize=64)
def _objective(name: str) -> Objective:
    return OBJECTIVES[name]


def _text_or_none(value: Any) -> str | None:
    """pandas may hold a NaN in the place of a missing text."""
    return value if isinstance(value, str) else None
