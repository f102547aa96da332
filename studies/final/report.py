"""What became of a network, on one page? Waterfall and curves, in a file that opens anywhere, offline."""

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from ..figures.trainings.run_curves import draw_run_curves
from ..figures.trainings.waterfall import draw_waterfall, waterfall_info
from ..texts.wording import describe_spec
from .card import waterfall_rows
from .job import Job, Outcome


def final_report(job: Job, outcome: Outcome) -> str:
    """The HTML of report.html."""
    environment = Environment(loader=PackageLoader("studies.report"), autoescape=True, undefined=StrictUndefined)
    heads, rows = waterfall_rows(outcome.final.steps)
    control = outcome.control.curve if outcome.control else ()
    waterfall = waterfall_info(outcome.final.steps)
    figures = [draw_waterfall(waterfall)] if len(waterfall.steps) > 1 else []
    figures.append(draw_run_curves(outcome.final.curve, control))
    return environment.get_template("final.html").render(
        name=job.name,
        network=describe_spec(outcome.final.architecture.to_dict()),
        heads=heads,
        rows=rows,
        test=None if outcome.test_accuracy != outcome.test_accuracy else f"{100 * outcome.test_accuracy:.2f} %",
        test_images=f"{outcome.test_images:,}",
        teacher=job.recipe.teacher,
        gain=None if not outcome.control else f"{100 * outcome.gain:+.2f}",
        without=f"{100 * outcome.control.steps[-1].accuracy:.2f} %" if outcome.control else "",
        error=f"{100 * outcome.accuracy_error:.1f}",
        # plotly writes `<`, `>` and `/` as escapes, so no string in it can end the script element.
        figures=[Markup(figure.to_json()) for figure in figures],
        plotlyjs=Markup(get_plotlyjs()),
    )
