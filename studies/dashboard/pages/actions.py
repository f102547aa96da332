"""Which buttons does a network have? Export, the spec as a download, and the command that does the same."""

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from dash import dcc, html
from dash.development.base_component import Component

from ...results.study_results import KNOWN, StudyResults

DEFAULT_RUNS = Path("runs")
POLL_MS = 700


def is_exportable(results: StudyResults, trial: int) -> bool:
    """Whether the trial found a network."""
    row = results.trials[results.trials["trial"] == trial]
    return not row.empty and row["status"].iloc[0] in KNOWN and bool(row[results.metric.name].notna().iloc[0])


def export_command(results: StudyResults, trial: int) -> str:
    """What does the same on the command line."""
    name = shlex.quote(results.name)
    runs = results.directory.parent
    elsewhere = "" if runs.resolve() == DEFAULT_RUNS.resolve() else f" --runs {shlex.quote(str(runs))}"
    return f"resfront export {name} --trial {trial} -o {name}-{trial}{elsewhere}"


def add_actions(panel: Component, results: StudyResults, trial: int | None) -> None:
    """Put the buttons where the panel has left room for them."""
    parts = cast(Iterable[Any], panel._traverse())  # type: ignore[no-untyped-call]
    place = next((part for part in parts if getattr(part, "id", None) == "detail-actions"), None)
    if place is None or trial is None or not is_exportable(results, trial):
        return
    command = export_command(results, trial)
    place.children = [
        html.Div(
            [
                html.Button("Export ONNX and all", id={"type": "export", "trial": trial}, className="button main"),
                html.Button("Download spec", id={"type": "spec", "trial": trial}, className="button"),
                html.Button("Copy command", className="button copy-command"),  # by assets/30-page.js
            ],
            className="buttons",
        ),
        html.Code(command, className="command"),
        dcc.Download(id="download"),
        html.Div(id="export-status", **{"aria-live": "polite"}),  # type: ignore[arg-type]
        dcc.Interval(id="export-tick", interval=POLL_MS, disabled=False),
    ]
