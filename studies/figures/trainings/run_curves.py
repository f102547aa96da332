"""How did a run learn? Accuracy and loss after each of its epochs, the steps told apart."""

from collections.abc import Sequence
from itertools import groupby

import plotly.graph_objects as go

from runners.candidate import Epoch

from ..theme import ACCENT, INFEASIBLE, MUTED, OTHER, new_figure

FEW = 12
"""Epochs, of which each gets its number; of more the axis chooses some."""


def draw_run_curves(curve: Sequence[Epoch], control: Sequence[Epoch] = ()) -> go.Figure:
    """Validation accuracy against the epoch of the whole run; with `control` that of the run without a teacher."""
    words = "blue: on validation images" + ("; grey: the same without a teacher" if control else "")
    figure = new_figure("Training", f"{words}; dotted: where a step begins", height=420)
    for points, colour, name in ((control, OTHER, "without a teacher"), (curve, ACCENT, "this network")):
        if points:
            figure.add_scatter(
                x=[point.epoch for point in points],
                y=[point.metric for point in points],
                text=[f"{point.step}, loss {point.train_loss:.3f}" for point in points],
                mode="lines+markers",
                marker={"size": 5},
                line={"color": colour},
                name=name,
                hovertemplate="epoch %{x}: %{y:.2%}<br>%{text}<extra></extra>",
            )
    for step, points_of_step in groupby(curve, key=lambda point: point.step):
        first = next(points_of_step)
        figure.add_vline(x=first.epoch - 0.5, line={"color": INFEASIBLE, "width": 1, "dash": "dot"})
        figure.add_annotation(
            x=first.epoch - 0.5, y=1, yref="paper", text=step, showarrow=False, xanchor="left", yanchor="bottom",
            font={"size": 10, "color": MUTED},
        )  # fmt: skip
    figure.update_layout(
        xaxis={"title": {"text": "Epoch"}, **({"dtick": 1} if len(curve) <= FEW else {})},
        yaxis={"title": {"text": "Accuracy"}, "tickformat": "~%"},
        showlegend=False,
        margin={"t": 100},
    )
    return figure
