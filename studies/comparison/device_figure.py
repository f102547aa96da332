"""How do networks fare across hardware? Accuracy against inference time, a colour for each device."""

import math
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go

from objectives import OBJECTIVES
from search_space.texts.counting import count_of

from ..figures.theme import ACCENT, INFEASIBLE, INK, KNEE, MUTED, axis_title, draw_message, log_ticks, new_figure
from ..texts.wording import describe_spec
from .device_comparison import Comparison

COLOURS = (ACCENT, INFEASIBLE, "#009e73", KNEE, "#e69f00", "#56b4e9", INK, MUTED)
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "hexagon", "x")
ROW_PX, HEIGHT_PX = 26, 560


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSeries:
    """What one device's colour shows, in the contenders' order."""

    name: str
    """Device and how its latencies are known."""
    x_ms: tuple[float, ...]
    y: tuple[float | str, ...]
    text: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicesInfo:
    """Points of all devices, and what the other axis is."""

    series: tuple[DeviceSeries, ...]
    by_accuracy: bool
    """Whether y is the accuracy; else it is the network's name."""
    accuracy_title: str
    """What the accuracies are: those of a study's networks are its proxies'."""
    left_out: tuple[str, ...]
    """Networks without an accuracy, where the others have one."""
    message: str | None


def plot_devices(comparison: Comparison) -> go.Figure:
    """Latency on each device against the accuracy, or by network where fewer than two have one."""
    return draw_devices(devices_info(comparison))


def devices_info(comparison: Comparison) -> DevicesInfo:
    """What `plot_devices` draws."""
    contenders = comparison.contenders
    known = [not math.isnan(contender.accuracy) for contender in contenders]
    by_accuracy = sum(known) >= 2
    rows = [i for i in range(len(contenders)) if known[i] or not by_accuracy]
    series = []
    for column in comparison.columns:
        drawn = [i for i in rows if not math.isnan(column.latency_ms[i])]
        series.append(
            DeviceSeries(
                name=f"{column.device} ({column.kind})",
                x_ms=tuple(column.latency_ms[i] for i in drawn),
                y=tuple(contenders[i].accuracy if by_accuracy else contenders[i].name for i in drawn),
                text=tuple(
                    f"<b>{escape(contenders[i].name)}</b><br>"
                    f"{escape(describe_spec(contenders[i].architecture.to_dict()))}<br>"
                    f"{escape(column.device)}: {column.latency_ms[i]:.3g} ms, {column.kind}"
                    for i in drawn
                ),
            )
        )
    empty = not any(one.x_ms for one in series)
    proxies = {contenders[i].from_study for i in rows if known[i]}
    title = axis_title(OBJECTIVES["accuracy"])
    return DevicesInfo(
        series=tuple(series),
        by_accuracy=by_accuracy,
        accuracy_title=title if proxies == {True} else f"{title}, or a final one" if True in proxies else "Accuracy",
        left_out=tuple(contenders[i].name for i in range(len(contenders)) if i not in rows),
        message="No device can run any of the networks." if empty else None,
    )


def unbeaten(series: DeviceSeries) -> list[int]:
    """Points of a series by accuracy that no quicker one reaches, by rising time."""
    steps: list[int] = []
    for i in sorted(range(len(series.x_ms)), key=lambda i: series.x_ms[i]):
        if not steps or float(series.y[i]) > float(series.y[steps[-1]]):
            steps.append(i)
    return steps


def draw_devices(info: DevicesInfo) -> go.Figure:
    """The figure of `info`."""
    if info.message:
        return draw_message(info.message)
    names = list(dict.fromkeys(y for one in info.series for y in one.y))
    height = HEIGHT_PX if info.by_accuracy else 190 + ROW_PX * len(names)
    subtitle = "batch 1; lines join what no other network beats on that device" if info.by_accuracy else "batch 1"
    if info.left_out:
        subtitle += f"; {count_of(len(info.left_out), 'network')} without an accuracy not drawn"
    what = "Accuracy and inference time" if info.by_accuracy else "Inference time"
    figure = new_figure(f"{what} across hardware", escape(subtitle), height=height)
    for number, one in enumerate(info.series):
        if info.by_accuracy:
            steps = unbeaten(one)
            figure.add_scatter(
                x=[one.x_ms[i] for i in steps],
                y=[one.y[i] for i in steps],
                mode="lines",
                line={"width": 1.5, "shape": "hv", "color": COLOURS[number % len(COLOURS)]},
                hoverinfo="skip",
                showlegend=False,
            )
        figure.add_scatter(
            x=one.x_ms,
            y=one.y,
            hovertext=one.text,
            hovertemplate="%{hovertext}<extra></extra>",
            mode="markers",
            name=escape(one.name),
            marker={
                "size": 10,
                "symbol": SYMBOLS[number % len(SYMBOLS)],
                "color": COLOURS[number % len(COLOURS)],
                "line": {"width": 1, "color": "#ffffff"},
            },
        )
    times = [math.log10(x) for one in info.series for x in one.x_ms]
    span = (min(times) - 0.1, max(times) + 0.1)
    figure.update_xaxes(type="log", title_text="Latency (ms)", range=span, **log_ticks(span))
    if info.by_accuracy:
        figure.update_yaxes(title_text=info.accuracy_title, tickformat="~%")
    else:
        figure.update_yaxes(type="category", categoryorder="array", categoryarray=names[::-1], automargin=True)
    return figure
