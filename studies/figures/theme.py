"""How do the figures look? One light template, colours that colour-blind readers can tell apart, axes with units."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from objectives.base import Objective

INK, MUTED, GRID, PAPER = "#1f2933", "#66727f", "#e4e8ec", "#ffffff"
ACCENT, OTHER, INFEASIBLE, KNEE = "#0072b2", "#9aa5b1", "#d55e00", "#cc79a7"
"""`ACCENT` is also the colour of the front."""
FAILED, STOPPED = "#7a4988", "#e69f00"
"""Blue, vermillion, purple and orange of Okabe and Ito 2008, a violet, and a grey for what stands back."""
SCALE = "Viridis"
TITLE_PX = 76
"""Top margin that holds a title and two lines below it."""
FONT = "system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', Arial, sans-serif"

_AXIS = {
    "gridcolor": GRID,
    "linecolor": OTHER,
    "ticks": "outside",
    "tickcolor": OTHER,
    "zeroline": False,
    "showline": True,
    "automargin": True,
    "title": {"standoff": 8},
}
TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": FONT, "size": 12, "color": INK},
        "paper_bgcolor": PAPER,
        "plot_bgcolor": PAPER,
        "colorway": [ACCENT, INFEASIBLE, "#009e73", KNEE, "#e69f00", "#56b4e9"],
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "margin": {"l": 56, "r": 16, "t": TITLE_PX, "b": 48},
        "title": {
            "x": 0,
            "xref": "container",
            "pad": {"l": 12, "t": 12},
            "y": 1,
            "yanchor": "top",
            "font": {"size": 15},
            "subtitle": {"font": {"size": 11, "color": MUTED}},
        },
        "legend": {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0},
        "hoverlabel": {"bgcolor": PAPER, "bordercolor": OTHER, "font": {"color": INK}, "align": "left"},
        "hovermode": "closest",
    }
)
"""Given to each figure; nothing global is changed."""
_PLAIN_TEMPLATE: dict[str, Any] = TEMPLATE.to_plotly_json()


def new_figure(title: str, subtitle: str, *, height: int) -> go.Figure:
    """An empty figure with the template; the subtitle is wrapped to fit a phone."""
    layout = {
        "template": TEMPLATE,
        "height": height,
        "title": {"text": title, "subtitle": {"text": wrapped(subtitle)}},
    }
    return go.Figure(layout=layout)


@dataclass(slots=True)
class Canvas:
    """A figure in the making, as plain values: plotly's own objects check all that is there whenever one is added."""

    layout: dict[str, Any]
    traces: list[dict[str, Any]] = field(default_factory=list)
    shapes: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)

    def to_plain(self) -> dict[str, Any]:
        """As plotly's JSON has it."""
        layout = {**self.layout, "shapes": self.shapes, "annotations": self.annotations}
        return {"data": self.traces, "layout": layout}

    def to_figure(self) -> go.Figure:
        return go.Figure(self.to_plain())

    def add_legend_line(self, name: str, **line: Any) -> None:
        """A line in the legend only: shapes have no entry of their own."""
        trace = {"type": "scatter", "x": [None], "y": [None], "mode": "lines", "line": line}
        self.traces.append({**trace, "name": name, "hoverinfo": "skip"})


def new_canvas(title: str, subtitle: str, *, height: int) -> Canvas:
    """An empty canvas, as `new_figure` makes a figure."""
    words = {"text": title, "subtitle": {"text": wrapped(subtitle)}}
    return Canvas({"template": _PLAIN_TEMPLATE, "height": height, "title": words})


def draw_message(message: str) -> go.Figure:
    """A figure that says why there is nothing to draw."""
    figure = new_figure("", "", height=160)
    figure.update_layout(xaxis={"visible": False}, yaxis={"visible": False}, margin={"t": 16, "b": 16})
    figure.add_annotation(
        text=wrapped(message), x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False, font_color=MUTED
    )
    return figure


def is_log(objective: Objective) -> bool:
    """Costs span decades; what is learned does not."""
    return objective.known and objective.unit != "fraction"


def axis_title(objective: Objective) -> str:
    """The objective's label with its unit; a study learns figures from proxy trainings, and says so."""
    return f"{objective.label} of the proxy" if objective.source == "trained" else objective.label


def axis(objective: Objective, *, log: bool | None = None) -> dict[str, Any]:
    """The axis of an objective: its label with the unit, per cent for fractions; by default costs on a log scale."""
    if objective.unit == "fraction":
        form = "~%"
    else:  # a prefix before a unit that has one already would read "100m ms"
        form = "~g" if objective.unit == "ms" else "~s"
    is_logarithmic = is_log(objective) if log is None else log
    return {
        "title": {"text": axis_title(objective)},
        "tickformat": form,
        "type": "log" if is_logarithmic else "linear",
    }


def log_ticks(log_range: tuple[float, float], form: str = "~g") -> dict[str, Any]:
    """Ticks of a log axis that fit a phone: every digit, 1-2-5 or powers of ten, by the range's decades.

    They are written in the format `form`: without one plotly writes 2 for 0.2 between the powers of ten.
    """
    decades = log_range[1] - log_range[0]
    labelled = "D1" if decades < 0.6 else "D2" if decades < 2.6 else 1
    minor = {"dtick": "D1", "ticks": "outside", "ticklen": 3, "tickcolor": OTHER}
    return {"dtick": labelled, "tickformat": form, "minor": minor}


def wrapped(text: str, width: int = 58) -> str:
    """Lines of at most `width` characters, joined as plotly breaks them; it does not wrap by itself."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return "<br>".join(lines)


def on_axis(values: Sequence[float], log: bool) -> list[float]:
    """The coordinates that plotly's ranges and annotations mean: log10 on a log axis."""
    numbers: NDArray[np.float64] = np.asarray(values, dtype=float)
    return [float(value) for value in (np.log10(np.maximum(numbers, 1e-12)) if log else numbers)]
