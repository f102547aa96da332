"""What did the study find, on one page? A single HTML file that opens anywhere, offline."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from runners.storage.study_files import write_atomically
from runners.trial_record import Status

from ..figures import (
    curves_info,
    draw_curves,
    draw_front,
    draw_hypervolume,
    draw_importance,
    draw_parallel,
    front_info,
    hypervolume_info,
    importance_info,
    parallel_info,
)
from ..figures.parallel import min_width
from ..figures.trials import nothing_evaluated
from ..results.study_results import StudyResults
from ..texts.wording import heading, saved_training
from .report_text import front_note, front_table, reasons, summary
from .reproduce import commands, config_toml, versions


@dataclass(frozen=True, kw_only=True)
class Section:
    """A figure of the report, or why there is none."""

    anchor: str
    title: str
    message: str | None
    figures: tuple[tuple[str, Markup], ...]
    """Name in the selector, and the figure as JSON that is safe inside a script element."""
    note: str = ""
    min_width: int = 0
    """In CSS pixels."""


def write_report(results: StudyResults, path: Path) -> Path:
    """Write the report of `results` to `path`, whole or not at all, and return it."""
    environment = Environment(
        loader=PackageLoader("studies.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("report.html").render(
        name=results.name,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        summary=summary(results),
        front=_front(results),
        table=front_table(results),
        sections=_other_sections(results),
        reasons=reasons(results),
        saved=saved_training(results.count(Status.STOPPED), results.training_saved),
        config=config_toml(results),
        commands=commands(results),
        versions=versions(results),
        plotlyjs=Markup(get_plotlyjs()),
    )
    write_atomically(path, text.encode())
    return path


def _front(results: StudyResults) -> Section:
    """The front, once for each cost that the selector offers."""
    infos = [front_info(results, x.name) for x in results.figures if x != results.metric]
    drawn = [info for info in infos if not info.message]
    return Section(
        anchor="front",
        title="Pareto front",
        message=None if drawn else infos[0].message,
        note=front_note(results),
        figures=tuple((heading(info.x), _figure_json(draw_front(info))) for info in drawn),
    )


def _other_sections(results: StudyResults) -> Sequence[Section]:
    """None where nothing has been evaluated: the front's section has said so."""
    if nothing_evaluated(results):
        return ()
    volume, parallel = hypervolume_info(results), parallel_info(results)
    importance, curves = importance_info(results), curves_info(results)
    return (
        _section("hypervolume", "Progress", volume.message, draw_hypervolume(volume)),
        _section(
            "parallel", "Parameters and objectives", parallel.message, draw_parallel(parallel), min_width(parallel)
        ),
        _section("importance", "Importance", importance.message, draw_importance(importance)),
        _section("curves", "Training", curves.message, draw_curves(curves)),
    )


def _section(anchor: str, title: str, message: str | None, figure: go.Figure, min_width: int = 0) -> Section:
    figures = () if message else ((title, _figure_json(figure)),)
    return Section(anchor=anchor, title=title, message=message, figures=figures, min_width=min_width)


def _figure_json(figure: go.Figure) -> Markup:
    # plotly writes `<`, `>` and `/` as escapes, so no string in it can end the script element.
    return Markup(figure.to_json())
