"""Draws what the search maximises: the best accuracy within each of several budgets, and what a candidate adds to it.

The networks are made up; the gains are computed as the sampler computes them.

    python benchmarks/search_aim.py --output docs/search-aim.png
"""

import argparse
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from record import write_picture

from runners.samplers.acquisition.gain_over_budgets import BUDGETS, LIMIT_WEIGHT, Budgets, fits_within, shortfall
from studies.figures.theme import ACCENT, KNEE, MUTED, OTHER, TEMPLATE

TRAINED = ((24e3, 0.47), (52e3, 0.57), (80e3, 0.59), (135e3, 0.65), (300e3, 0.672))
"""Bytes and accuracy of made-up networks."""
CANDIDATE, MEAN, DEVIATION = 165e3, 0.69, 0.02
LEAST, LIMIT = 14e3, 350e3
WIDTH_PX, HEIGHT_PX = 900, 500


def draw() -> go.Figure:
    """The best within each budget as steps, the candidate with its uncertainty, and its gain budget by budget."""
    logs, accuracy = np.log10([size for size, _ in TRAINED]), np.array([found for _, found in TRAINED])
    low, high = np.log10([LEAST]), np.log10([LIMIT])
    budgets = Budgets.between(low, high, high)
    best = budgets.best_within(-accuracy, logs[:, None], -0.1)
    fits = fits_within(budgets.levels[0], np.log10([CANDIDATE]), np.zeros(1))[0]
    gains = fits * shortfall(best, np.array([-MEAN]), np.array([DEVIATION]))
    most = 10 ** budgets.levels[0]
    figure = go.Figure()
    figure.add_bar(
        x=most,
        y=100 * gains,
        base=-100 * best,
        marker_color=KNEE,
        opacity=0.45,
        width=0.08 * most,
        name="expected gain within the budget",
    )
    figure.add_scatter(
        x=most, y=-100 * best, mode="markers", marker={"symbol": "line-ew-open", "size": 30, "color": ACCENT},
        name="best found within the budget",
    )  # fmt: skip
    figure.add_scatter(
        x=10**logs, y=100 * accuracy, mode="markers",
        marker={"size": 9, "color": OTHER}, name="trained networks",
    )  # fmt: skip
    figure.add_scatter(
        x=[CANDIDATE], y=[100 * MEAN], mode="markers",
        marker={"size": 11, "symbol": "diamond", "color": KNEE},
        error_y={"array": [100 * DEVIATION], "color": KNEE}, name="candidate, as predicted (± 1 standard deviation)",
    )  # fmt: skip
    for place, amount in enumerate(most):
        full = place + 1 == BUDGETS
        figure.add_vline(
            x=amount, line={"color": ACCENT if full else MUTED, "width": 1, "dash": "solid" if full else "dot"}
        )
    figure.add_annotation(
        x=np.log10(most[-1]), y=1.0, yref="paper", yanchor="bottom", showarrow=False,
        text=f"the limit: {100 * LIMIT_WEIGHT:.0f} % of the weight", xanchor="right",
    )  # fmt: skip
    figure.update_layout(
        template=TEMPLATE, width=WIDTH_PX, height=HEIGHT_PX, margin={"l": 60, "r": 30, "t": 30, "b": 140},
        legend={"orientation": "h", "y": -0.15},
    )  # fmt: skip
    figure.update_xaxes(
        type="log",
        title="budget: size of the file, bytes (dotted lines)",
        range=[np.log10(17e3), np.log10(370e3)],
        tickvals=[20e3, 50e3, 100e3, 200e3, 350e3],
    )
    figure.update_yaxes(title="accuracy, %", range=[40, 75], dtick=10)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("docs/search-aim.png"))
    args = parser.parse_args()
    write_picture(draw(), args.output)


if __name__ == "__main__":
    main()
