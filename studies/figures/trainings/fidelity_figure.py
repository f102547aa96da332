"""Does the short training rank as the long one does? One accuracy against the other, a point for each network."""

import plotly.graph_objects as go

from search_space.texts.counting import count_of

from ...analysis.fidelity import Fidelity
from ..theme import ACCENT, INK, MUTED, OTHER, new_figure


def draw_fidelity(found: Fidelity) -> go.Figure:
    """The figure of `found`; whoever lies to the upper left of another was underrated."""
    subtitle = (
        f"Kendall's tau {found.tau:.2f} over {count_of(len(found.networks), 'network')}, "
        f"{found.tau_front:.2f} on the front; regret of choosing by proxy {100 * found.regret:.2f} points"
    )
    figure = new_figure("How well the proxy ranks", subtitle, height=520)
    for is_front, name in ((False, "others"), (True, "front")):
        line = {"width": 1.5, "color": INK if is_front else OTHER}
        shown = [network for network in found.networks if network.front == is_front]
        figure.add_scatter(
            x=[network.proxy_accuracy for network in shown],
            y=[network.full_accuracy for network in shown],
            text=[str(network.trial) for network in shown],
            customdata=[network.network for network in shown],
            mode="markers+text",
            textposition="top center",
            textfont={"size": 10, "color": MUTED},
            marker={"symbol": "circle" if is_front else "circle-open", "size": 10, "color": ACCENT, "line": line},
            hovertemplate="trial %{text}: %{x:.2%} -> %{y:.2%}<br>%{customdata}<extra></extra>",
            name=f"{name} ({len(shown)})",
        )
    images = count_of(found.images, "image") if found.images else "all images"
    figure.update_layout(
        xaxis={"title": {"text": "Accuracy after the proxy training"}, "tickformat": "~%"},
        yaxis={"title": {"text": f"Accuracy after {count_of(found.epochs, 'epoch')} of {images}"}, "tickformat": "~%"},
        margin={"t": 92, "b": 84},
    )
    return figure
