"""What does a study's table say of one trial? The row, and what may be missing in it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from dash import html
from dash.development.base_component import Component

from runners.trial_record import Status

from ...results.study_results import StudyResults

Row = Mapping[str, Any]
"""A trial of `StudyResults.trials`."""


def find_trial(results: StudyResults, trial: int) -> Row | None:
    rows = np.flatnonzero((results.trials["trial"] == trial).to_numpy(dtype=bool))
    return dict(results.trials.iloc[int(rows[0])]) if len(rows) else None


def original_trial(results: StudyResults, row: Row) -> Row:
    """The trial that evaluated the network: of a duplicate the first of its key, of any other the trial itself."""
    if row["status"] != Status.DUPLICATE:
        return row
    completed = results.of_status(Status.COMPLETED)
    rows = np.flatnonzero((completed["key"] == row["key"]).to_numpy(dtype=bool))
    return dict(completed.iloc[int(rows[0])]) if len(rows) else row


def has_network(row: Row) -> bool:
    return row["record"].spec is not None


def latency_facts(row: Row) -> Mapping[str, Any]:
    """Objective -> how it was measured."""
    facts: Mapping[str, Any] = row["record"].latency
    return facts


def text_of(value: Any) -> str:
    """pandas may hold a NaN in the place of a missing text."""
    return value if isinstance(value, str) else ""


def spans(text: Any, look: str) -> list[Component]:
    return [html.Span(found, className=look)] if (found := text_of(text)) else []
