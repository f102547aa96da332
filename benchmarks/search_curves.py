"""Draws what search_efficiency.py found: share of the true front's hypervolume against trials, a panel a table.

python benchmarks/search_curves.py --output docs/search-efficiency.png
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from playwright.sync_api import sync_playwright
from plotly.subplots import make_subplots
from search_efficiency import TRIALS, kept_runs, problem_of

from studies.figures.theme import FAILED, FRONT, INFEASIBLE, KNEE, MUTED, OTHER, TEMPLATE

COLOURS = {"front": FRONT, "gp": KNEE, "tpe": INFEASIBLE, "nsga2": FAILED, "random": OTHER}
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SEEDS = 10
"""Of a sampler that is drawn."""
COLUMNS, PANEL_PX, GAP_PX, WIDTH_PX = 2, 250, 75, 1100


def draw(tables: list[str]) -> go.Figure:
    """Means over the seeds, and a band of one standard deviation."""
    kept = kept_runs()
    rows = -(-len(tables) // COLUMNS)
    titles = [problem_of(name).name for name in tables]
    figure = make_subplots(
        rows=rows,
        cols=COLUMNS,
        subplot_titles=titles,
        vertical_spacing=GAP_PX / (rows * PANEL_PX),
        horizontal_spacing=0.07,
    )
    named: set[str] = set()
    for position, table in enumerate(tables):
        place = {"row": position // COLUMNS + 1, "col": position % COLUMNS + 1}
        for sampler, colour in COLOURS.items():
            runs = np.array([shares for (t, s, _), (shares, _) in kept.items() if (t, s) == (table, sampler)])
            if len(runs) < SEEDS:
                continue
            trials = np.arange(1, runs.shape[1] + 1)
            mean, spread = runs.mean(axis=0), runs.std(axis=0)
            red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
            figure.add_scatter(
                x=np.concatenate([trials, trials[::-1]]),
                y=np.concatenate([mean + spread, (mean - spread)[::-1]]).clip(0, 1),
                fill="toself",
                fillcolor=f"rgba({red},{green},{blue},0.13)",
                line={"width": 0},
                showlegend=False,
                **place,
            )
            figure.add_scatter(
                x=trials,
                y=mean,
                mode="lines",
                name=sampler,
                line={"color": colour, "width": 2.5 if sampler == "front" else 1.6},
                legendgroup=sampler,
                showlegend=sampler not in named,
                **place,
            )
            named.add(sampler)
    figure.update_xaxes(
        type="log", tickvals=[5, 10, 20, 50, 100, 200], range=[np.log10(5), np.log10(max(TRIALS.values()))]
    )
    figure.update_yaxes(range=[0.5, 1.0], tickformat=".0%")
    figure.update_xaxes(title={"text": "Trials"}, row=rows)
    figure.update_layout(
        template=TEMPLATE,
        width=WIDTH_PX,
        height=120 + PANEL_PX * rows,
        margin={"t": 110, "l": 64, "b": 84},
        title={
            "text": "Share of the true front's hypervolume",
            "subtitle": {"text": "mean of ten seeds and one standard deviation; log10 of the costs"},
        },
    )
    figure.update_annotations(font={"size": 12, "color": MUTED})
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", default=",".join(dict.fromkeys(table for table, _, _ in kept_runs())))
    parser.add_argument("--output", type=Path, required=True, help="a PNG")
    args = parser.parse_args()
    figure = draw(args.tables.split(","))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page_file = Path(folder) / "curves.html"
        figure.write_html(page_file, include_plotlyjs=True, config={"displayModeBar": False})
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(viewport={"width": WIDTH_PX + 16, "height": int(figure.layout.height) + 16})
        page.goto(page_file.as_uri())
        page.locator(".main-svg").first.wait_for()
        page.screenshot(path=args.output)
        browser.close()
    print(f"saved: {args.output}")


if __name__ == "__main__":
    main()
