"""What did each step of a network's compression gain and cost? Accuracy and costs after each, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from objectives import OBJECTIVES
from runners.recipes.results import StepResult

from ...texts.wording import format_value, heading
from ..theme import ACCENT, MUTED, OTHER, TEMPLATE, wrapped

FIGURES = ("accuracy", "macs", "file_bytes", "latency_ms")
PANEL_PX = 150


@dataclass(frozen=True, kw_only=True)
class WaterfallInfo:
    """What the figure shows."""

    steps: tuple[str, ...]
    panels: tuple[tuple[str, tuple[float, ...]], ...]
    """Objective and its value after each step; only those that are known throughout."""


def waterfall_info(steps: Sequence[StepResult]) -> WaterfallInfo:
    """The steps from the first that has an accuracy."""
    shown = [step for step in steps if step.accuracy == step.accuracy]
    panels = []
    for name in FIGURES:
        values = [value_of(step, name) for step in shown]
        if all(value is not None for value in values):
            panels.append((name, tuple(float(value or 0) for value in values)))
    return WaterfallInfo(steps=tuple(step.name for step in shown), panels=tuple(panels))


def value_of(step: StepResult, name: str) -> float | None:
    """An objective's value after a step; None where it was not measured."""
    if name == "accuracy":
        return step.accuracy
    return step.latency_ms if name == "latency_ms" else step.costs[name]


def draw_waterfall(info: WaterfallInfo) -> go.Figure:
    """One panel for each figure, a bar for each step with its value."""
    figure = make_subplots(
        rows=len(info.panels),
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.09,
        subplot_titles=[heading(OBJECTIVES[name]) for name, _ in info.panels],
    )
    for row, (name, values) in enumerate(info.panels, start=1):
        objective = OBJECTIVES[name]
        figure.add_bar(
            x=list(info.steps),
            y=list(values),
            text=[format_value(objective, value) for value in values],
            textposition="outside",
            cliponaxis=False,
            marker={"color": [ACCENT if step == info.steps[-1] else OTHER for step in info.steps]},
            hovertemplate="%{x}: %{text}<extra></extra>",
            row=row,
            col=1,
        )
        figure.update_yaxes(
            range=[0.0, 1.25 * max(values)],
            tickformat={"fraction": "~%", "ms": "~g"}.get(objective.unit, "~s"),
            nticks=4,
            row=row,
            col=1,
        )
    subtitle = "after each step, on validation images; the last is what ships"
    figure.update_layout(
        template=TEMPLATE,
        title={"text": "What each step gained and cost", "subtitle": {"text": wrapped(subtitle)}},
        height=110 + PANEL_PX * len(info.panels),
        margin={"t": 96, "l": 64},
        showlegend=False,
    )
    figure.update_annotations(x=0, xanchor="left", font={"size": 12, "color": MUTED})
    return figure
