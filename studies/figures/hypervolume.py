"""Is the study still finding better networks? The front's hypervolume after each trained candidate."""

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import plotly.graph_objects as go

from runners.trial_record import EVALUATED

from ..results.study_results import StudyResults
from ..texts.wording import format_value, heading
from .theme import ACCENT, draw_message, new_figure
from .trials import nothing_evaluated

MAX_STEPS = 1000


class HypervolumeStep(NamedTuple):
    """The front after one trained candidate."""

    trained: int
    """How many candidates had been trained by then."""
    trial: int
    hypervolume: float


@dataclass(frozen=True, kw_only=True)
class HypervolumeInfo:
    """What the hypervolume's figure shows."""

    steps: tuple[HypervolumeStep, ...]
    """In the order in which the trials ended; of more than MAX_STEPS those that changed it, the first and the last.

    Rejected ones and duplicates cost nothing and change nothing.
    """
    box: str
    """The volume's box in words."""
    message: str | None


def plot_hypervolume(results: StudyResults) -> go.Figure:
    """Hypervolume against the number of trained candidates."""
    return draw_hypervolume(hypervolume_info(results))


def hypervolume_info(results: StudyResults) -> HypervolumeInfo:
    """What `plot_hypervolume` draws."""
    evaluated = results.of_status(*EVALUATED)
    trained = evaluated[evaluated["hypervolume"].notna()].sort_values(["finished", "trial"])
    pairs = zip(trained["trial"], trained["hypervolume"], strict=True)
    steps = [HypervolumeStep(count, int(trial), float(v)) for count, (trial, v) in enumerate(pairs, start=1)]
    if len(steps) > MAX_STEPS:
        changes = [step for before, step in itertools.pairwise(steps) if step.hypervolume != before.hypervolume]
        steps = list(dict.fromkeys([steps[0], *changes, steps[-1]]))
    return HypervolumeInfo(steps=tuple(steps), box=_box(results), message=nothing_evaluated(results))


def draw_hypervolume(info: HypervolumeInfo) -> go.Figure:
    """The figure of `info`."""
    if info.message:
        return draw_message(info.message)
    figure = new_figure("Hypervolume", info.box, height=360)
    figure.add_scatter(
        x=[step.trained for step in info.steps],
        y=[step.hypervolume for step in info.steps],
        customdata=[step.trial for step in info.steps],
        hovertemplate="after trial %{customdata}: %{y:.4f}<extra></extra>",
        mode="lines+markers",
        line={"shape": "hv", "color": ACCENT, "width": 2},
        marker={"size": 4, "color": ACCENT},
    )
    top = max(step.hypervolume for step in info.steps)
    figure.update_layout(
        xaxis={
            "title": {"text": "Trained candidates"},
            "rangemode": "tozero",
            "dtick": 1 if len(info.steps) < 10 else None,
        },
        yaxis={"title": {"text": "Share of the box"}, "range": [0, max(1.08 * top, 0.01)]},
        margin={"t": 92},
    )
    return figure


def _box(results: StudyResults) -> str:
    corners = [
        f"{heading(objective)} {format_value(objective, worst)} to {format_value(objective, best)}"
        for objective, worst, best in zip(results.objectives, results.worst, results.best, strict=True)
    ]
    return f"Share of a box that the front dominates: {', '.join(corners)}; costs on a log scale"
