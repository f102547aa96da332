"""Reports of benchmarks: a table on stdout, with --save also a dated file in benchmarks/results, and pictures."""

import argparse
import datetime
import os
import platform
import shutil
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import plotly.graph_objects as go
from playwright.sync_api import sync_playwright

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
RESULTS = Path(__file__).parent / "results"


def arguments(description: str) -> argparse.ArgumentParser:
    """A parser with the option that all scripts share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--save", action="store_true", help="write the table to benchmarks/results")
    return parser


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(headers) + " |", "|" + "---|" * len(headers)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)])


def report(name: str, command: str, text: str, *, save: bool) -> None:
    """Print `text`, and keep it with the date, the hardware and the versions."""
    print(text)
    if not save:
        return
    today = datetime.date.today().isoformat()
    versions = ", ".join(f"{package} {version(package)}" for package in ("torch", "onnxruntime", "optuna", "fvcore"))
    where = f"{_processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, {versions}"
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}-{today}.md"
    path.write_text(f"# {name}, {today}\n\n`{command}`\n\n{where}\n\n{text}\n")
    print(f"saved: {path}")


def write_picture(figure: go.Figure, path: Path) -> None:
    """Write a figure with a width and a height as PNG, as Chromium shows it (Debian: apt install chromium)."""
    width, height = figure.layout.width, figure.layout.height
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "figure.html"
        figure.write_html(page, config={"displayModeBar": False})
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            view = browser.new_page(viewport={"width": width + 16, "height": height + 16}, device_scale_factor=1.5)
            view.goto(page.as_uri())
            view.wait_for_selector(".main-svg")
            view.screenshot(path=path, clip={"x": 8, "y": 8, "width": width, "height": height})
            browser.close()


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return names[0].partition(": ")[2] if names else platform.machine()
