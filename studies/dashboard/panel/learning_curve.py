"""How did the metric of one trial grow? Its curve, small, in the panel."""

import math
from collections.abc import Sequence
from typing import Any

from dash import dcc, html
from dash.development.base_component import Component

from objectives import Objective
from runners.candidate import Epoch
from search_space.texts.counting import count_of

from ...figures.curves import Curve, CurvesInfo, draw_curves, hover_format
from ...figures.theme import ACCENT
from ...results.study_results import StudyResults
from ...texts.wording import describe_proxy, format_duration, heading
from .trial_row import Row

CURVE_PX = 220
_NO_CURVE = {
    "rejected": "None: it was rejected before training.",
    "failed": "None: it failed before its first epoch ended.",
    "running": "None yet: its evaluation is not done.",
}


def learning_curve(results: StudyResults, row: Row, source: Row) -> list[Component]:
    curve = source["record"].curve
    if not curve:
        return [html.P(_NO_CURVE.get(str(row["status"]), "None is known."), className="detail-note")]
    parts = [count_of(len(curve), "epoch")]
    if quantized := sum(point.quantized for point in curve):
        parts[0] += f", {quantized} of them quantized (dashed)"
    if not math.isnan(source["duration_s"]):
        parts.append(f"{format_duration(source['duration_s'])} of training and evaluation")
    if source["trial"] != row["trial"]:
        parts.append(f"as trial {source['trial']}")
    observation = source["record"].observation or results.observation
    proxy = f"The proxy: {describe_proxy(results.config['training'], observation)}."
    return [
        dcc.Graph(
            id="detail-curve",
            figure=_curve_figure(results.metric, int(source["trial"]), curve),
            config={"displayModeBar": False},
            className="plot detail-curve",
            style={"height": CURVE_PX},
        ),
        html.P(f"{'; '.join(parts)}. {proxy}", className="detail-note"),
    ]


def _curve_figure(metric: Objective, trial: int, curve: Sequence[Epoch]) -> Any:
    """The study's figure of learning curves with this one alone, small, on whatever lies behind it."""
    one = Curve.of(trial, curve, front=True)
    figure = draw_curves(CurvesInfo(metric=metric, front=(one,), others=(), selected=None, message=None))
    figure.update_traces(
        mode="lines+markers",
        line={"color": ACCENT},
        marker={"size": 5},
        hovertemplate=f"epoch %{{x}}: {hover_format(metric)}<extra></extra>",
    )
    figure.update_layout(
        title={"text": "", "subtitle": {"text": ""}},
        height=CURVE_PX,
        margin={"l": 44, "r": 10, "t": 10, "b": 40},
        yaxis_title=heading(metric),  # the note below says of what
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    figure.layout.annotations = ()
    return figure
