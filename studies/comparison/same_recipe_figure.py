"""Which networks does the front dominate? Accuracy after one common training against latency, size by the marker."""

import math
from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go

from search_space.texts.counting import count_of

from ..figures.front.label_layout import places_beside
from ..figures.theme import ACCENT, INFEASIBLE, INK, draw_message, log_ticks, new_figure
from ..texts.wording import describe_spec
from .same_recipe import Standing

HEIGHT_PX = 560


def draw_equal_terms(standings: Sequence[Standing], *, subtitle: str, device: str) -> go.Figure:
    """Front in blue with its staircase, other networks in vermillion with their names; open: dominated by the front."""
    shown = [one for one in standings if not math.isnan(one.latency_ms) and not math.isnan(one.contender.accuracy)]
    if not shown:
        return draw_message("No network has both an accuracy and a latency.")
    figure = new_figure("On equal terms", escape(subtitle), height=HEIGHT_PX)
    front = [one for one in shown if one.contender.from_study]
    steps = _staircase(front)
    if steps:
        end = max(one.latency_ms for one in shown)
        figure.add_scatter(
            x=[*(one.latency_ms for one in steps), end],
            y=[*(one.contender.accuracy for one in steps), steps[-1].contender.accuracy],
            mode="lines",
            line={"shape": "hv", "color": ACCENT, "width": 1.5},
            hoverinfo="skip",
            showlegend=False,
        )
    largest = max(one.costs["file_bytes"] for one in shown)
    for name, group, colour in (
        ("of the study", front, ACCENT),
        ("published networks", [one for one in shown if not one.contender.from_study], INFEASIBLE),
    ):
        if not group:
            continue
        dominated = sum(bool(one.dominated_by) for one in group)
        figure.add_scatter(
            x=[one.latency_ms for one in group],
            y=[one.contender.accuracy for one in group],
            hovertext=[_text(one) for one in group],
            hovertemplate="%{hovertext}<extra></extra>",
            mode="markers",
            name=f"{name} ({len(group)}, {dominated} dominated)",
            marker={
                "symbol": ["circle-open" if one.dominated_by else "circle" for one in group],
                "size": [7 + 19 * math.sqrt(one.costs["file_bytes"] / largest) for one in group],
                "color": colour,
                "line": {"width": 2, "color": [colour if one.dominated_by else INK for one in group]},
            },
        )
    _name(figure, shown)
    times = [math.log10(one.latency_ms) for one in shown]
    span = (min(times) - 0.12, max(times) + 0.12)
    figure.update_xaxes(type="log", title_text=f"Latency on {escape(device)} (ms)", range=span, **log_ticks(span))
    figure.update_yaxes(title_text="Accuracy on held-out images", tickformat="~%")
    figure.update_layout(margin={"b": 84, "t": 92})
    return figure


def _staircase(front: Sequence[Standing]) -> list[Standing]:
    steps: list[Standing] = []
    for one in sorted(front, key=lambda one: one.latency_ms):
        if not steps or one.contender.accuracy > steps[-1].contender.accuracy:
            steps.append(one)
    return steps


def _text(one: Standing) -> str:
    who = f"<br>dominated by {count_of(len(one.dominated_by), 'network')} of the front" if one.dominated_by else ""
    return (
        f"<b>{escape(one.contender.name)}</b><br>{escape(describe_spec(one.contender.architecture.to_dict()))}<br>"
        f"{100 * one.contender.accuracy:.2f} %, {one.latency_ms:.3g} ms, {one.costs['file_bytes']:,.0f} bytes{who}"
    )


def _name(figure: go.Figure, shown: Sequence[Standing]) -> None:
    xs = [math.log10(one.latency_ms) for one in shown]
    ys = [one.contender.accuracy for one in shown]
    width, height = max(xs) - min(xs) + 0.24, (max(ys) - min(ys)) * 1.1 + 1e-6
    at = [((x - min(xs) + 0.12) / width, (y - min(ys)) / height) for x, y in zip(xs, ys, strict=True)]
    names = [one.contender.name for one in shown]
    for name, x, y, place in zip(names, xs, ys, places_beside(names, at, at), strict=True):
        figure.add_annotation(
            x=x,
            y=y,
            text=escape(name),
            showarrow=False,
            xanchor=place.x_anchor,
            xshift=place.x_shift,
            yshift=place.y_shift,
            font={"size": 10, "color": INK},
        )
