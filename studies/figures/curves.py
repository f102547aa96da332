"""How did the networks learn? The study's metric after each epoch, the front's networks in colour."""

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from objectives import Objective
from runners.candidate import ACCURACY, Epoch
from search_space.texts.counting import count_of

from ..results.study_results import StudyResults
from .front.label_layout import spread
from .theme import KNEE, OTHER, SCALE, TITLE_PX, axis, draw_message, new_figure
from .trials import drawable, hover_texts, nothing_evaluated

HEIGHT_PX, BOTTOM_PX, LABEL_PX = 480, 64, 13
LEADER_PX = 22
"""Width of the lines that join the ends of curves with their labels."""
MAX_LABELS = 20
MAX_OTHERS = 300
"""More grey curves would be a block."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One trial's training."""

    trial: int
    front: bool
    epochs: tuple[int, ...]
    values: tuple[float, ...]
    """The study's metric."""
    float_epochs: int
    """How many of the epochs, the first ones, were trained without quantization."""
    text: str

    @classmethod
    def of(cls, trial: int, points: Sequence[Epoch], *, front: bool, text: str = "") -> "Curve":
        return cls(
            trial=trial,
            front=front,
            epochs=tuple(point.epoch for point in points),
            values=tuple(point.metric for point in points),
            float_epochs=sum(not point.quantized for point in points),
            text=text,
        )


@dataclass(frozen=True, kw_only=True)
class CurvesInfo:
    """What the learning curves' figure shows."""

    metric: Objective
    front: tuple[Curve, ...]
    """By their last value of the metric."""
    others: tuple[Curve, ...]
    selected: Curve | None
    message: str | None


def plot_curves(results: StudyResults) -> go.Figure:
    """The study's metric against epoch; a dashed line where the network trained with quantization."""
    return draw_curves(curves_info(results))


def curves_info(results: StudyResults, *, selected: int | None = None) -> CurvesInfo:
    """What `plot_curves` draws: the evaluated trials that have a curve, the last MAX_OTHERS of those off the front."""
    rows = drawable(results)
    rows = rows[rows["record"].map(lambda record: len(record.curve) > 0).astype(bool)]
    curves = [
        Curve.of(trial, curve, front=front, text=text)
        for trial, front, curve, text in zip(
            rows["trial"].tolist(),
            rows["front"].tolist(),
            [record.curve for record in rows["record"]],
            hover_texts(rows, results.objectives),
            strict=True,
        )
    ]
    front = sorted((curve for curve in curves if curve.front), key=lambda curve: curve.values[-1])
    message = nothing_evaluated(results) or (None if curves else "No trial has a learning curve.")
    others = [curve for curve in curves if not curve.front]
    return CurvesInfo(
        metric=results.metric,
        front=tuple(front),
        others=tuple(others[-MAX_OTHERS:]),
        selected=next((curve for curve in curves if curve.trial == selected), None),
        message=message,
    )


def draw_curves(info: CurvesInfo) -> go.Figure:
    """The figure of `info`."""
    if info.message:
        return draw_message(info.message)
    shown = count_of(len(info.front), "network")
    subtitle = f"colour: {shown} of the front, labelled with the trial; grey: {count_of(len(info.others), 'other')}"
    if info.metric.name == ACCURACY:
        subtitle += "; dashed: quantized training; of averaged weights before the last epoch"
    if info.selected is not None:
        subtitle += f"; pink: trial {info.selected.trial}"
    figure = new_figure("Learning curves", subtitle, height=HEIGHT_PX)
    for curve in info.others:
        _draw_curve(figure, curve, OTHER, info.metric, width=1.0)
    # From 0 to 0.85: the scale's end is a yellow that fades on white.
    shares = [0.85 * i / max(1, len(info.front) - 1) for i in range(len(info.front))]
    colours = sample_colorscale(SCALE, shares) if shares else []
    for curve, colour in zip(info.front, colours, strict=True):
        _draw_curve(figure, curve, colour, info.metric, width=2.0)
    if info.selected is not None:
        _draw_curve(figure, info.selected, KNEE, info.metric, width=4.0)
    values = [value for curve in info.front + info.others for value in curve.values]
    low, high = min(values), max(values)
    pad = 0.04 * (high - low) + 0.002 * (1.0 if info.metric.unit == "fraction" else high - low or 1.0)
    longest = max(len(curve.values) for curve in info.front + info.others)
    _label_ends(figure, info.front, colours, (low - pad, high + pad))
    figure.update_layout(
        xaxis={"title": {"text": "Epoch"}, "tickformat": "d", "tick0": 0, "dtick": max(1, longest // 10)},
        yaxis=axis(info.metric) | {"range": [low - pad, high + pad]},
        margin={"r": 24 + LEADER_PX + LABEL_PX, "b": BOTTOM_PX},
        showlegend=False,
    )
    return figure


def _draw_curve(figure: go.Figure, curve: Curve, colour: str, metric: Objective, *, width: float) -> None:
    # The dashed part begins at the last float epoch, so that the curve has no gap.
    parts = [(0, curve.float_epochs, "solid"), (max(0, curve.float_epochs - 1), len(curve.epochs), "dash")]
    for start, end, dash in parts:
        if (dash == "solid" and end > start) or (dash == "dash" and curve.float_epochs < len(curve.epochs)):
            figure.add_scatter(
                x=curve.epochs[start:end],
                y=curve.values[start:end],
                customdata=[curve.trial] * (end - start),
                hovertemplate=f"epoch %{{x}}: {hover_format(metric)}<br>{curve.text}<extra></extra>",
                mode="lines",
                opacity=1.0 if curve.front else 0.8,
                line={"color": colour, "width": width, "dash": dash},
            )


def hover_format(metric: Objective) -> str:
    """How plotly writes a value of the metric where the pointer is."""
    return "%{y:.2%}" if metric.unit == "fraction" else f"%{{y:.3~g}} {metric.unit}"


def _label_ends(figure: go.Figure, curves: tuple[Curve, ...], colours: list[str], limits: tuple[float, float]) -> None:
    """The trials' numbers beside the ends of their curves, or as near as the others allow, and a line from each end.

    The numbers' distances are in pixels, so that they keep apart at any height. Of more than MAX_LABELS curves some get
    one, at equal distances in rank.
    """
    step = max(1.0, (len(curves) - 1) / (MAX_LABELS - 1))
    chosen = [round(i * step) for i in range(min(len(curves), MAX_LABELS))]
    height = HEIGHT_PX - TITLE_PX - BOTTOM_PX
    scale = height / (limits[1] - limits[0])
    wished = [(curves[i].values[-1] - limits[0]) * scale for i in chosen]
    placed = spread(wished, LABEL_PX, LABEL_PX / 2, height)
    for i, wish, at in zip(chosen, wished, placed, strict=True):
        figure.add_annotation(
            x=curves[i].epochs[-1],
            y=curves[i].values[-1],
            ax=LEADER_PX,
            ay=wish - at,  # downwards
            xanchor="left",
            text=str(curves[i].trial),
            arrowhead=0,
            arrowwidth=1,
            arrowcolor=colours[i],
            standoff=2,
            font={"size": 11, "color": colours[i], "weight": 600},
        )
