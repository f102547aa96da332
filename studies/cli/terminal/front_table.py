"""The table of a front, as commands print it."""

import shutil
from typing import TYPE_CHECKING

import typer

from ..options import print_table

if TYPE_CHECKING:
    from ...results.study_results import StudyResults

WIDE = 150
"""Columns of a terminal from which the table has every cost, not only the objectives."""
DETAILS = ("bops", "packed_bytes")
"""Costs that the table leaves out where they are no objectives; `show` has them."""


def print_front(results: "StudyResults") -> None:
    """The front as a table on stdout, best accuracy first; the knee is marked."""
    from runners.candidate import ACCURACY

    from ...report.verdict import closing_notes, hardly_learned, why_no_front
    from ...texts.wording import INTERVAL_NOTE, describe_proxy, describe_spec, format_figure, heading, notes_on

    front = results.front
    if front.empty:
        typer.echo(f"the front is empty: {why_no_front(results)}")
        if note := hardly_learned(results):
            typer.echo(f"note: {note}")
        return
    shown = list(results.objectives)
    if shutil.get_terminal_size(fallback=(200, 24)).columns >= WIDE:
        shown += [each for each in results.figures if each not in shown and each.name not in DETAILS]
    rows = []
    for _, row in front.iterrows():
        mark = "knee" if row["trial"] == results.marked_knee else ""
        label = row["label"] if isinstance(row["label"], str) else ""
        figures = [format_figure(objective, row) for objective in shown]
        network = " · ".join(filter(None, [describe_spec(row["record"].spec), label]))
        rows.append([str(row["trial"]), *figures, mark, network])
    print_table(["trial", *(heading(objective) for objective in shown), "", "network"], rows)
    for note in notes_on(shown):
        typer.echo(f"\n{note}")
    interval = f"; {INTERVAL_NOTE}" if results.metric.name == ACCURACY else ""
    typer.echo(f"\nproxy: {describe_proxy(results.config['training'], results.observation)}{interval}")
    for note in closing_notes(results):
        typer.echo(f"note: {note}")
