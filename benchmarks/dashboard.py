"""How soon does the dashboard show ten thousand trials, and what is new among them, in a real browser?

`resfront dashboard` serves a synthetic study to headless Chromium on this machine. First picture: from the address
being opened to all points being in the page; with a browser that has never seen a dashboard, and with one that has (it
keeps the compiled scripts). Refresh: from the request that finds three new trials to their points being in the page.
Budget: from a key on a slider to the points that exceed it standing back.

    python benchmarks/dashboard.py --save
"""

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Page, sync_playwright
from record import arguments, report, table

sys.path.insert(0, str(Path(__file__).parent.parent))
from studies.results.reading import StudyReader
from tests.studies.synthetic import append_trials, write_study

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
REPEATS = 5
NEW_TRIALS = 3
WATCH = """() => {
  window.counts = [];
  const seen = {};
  const dots = (path) => {  // counted again only when it has changed, for it is long
    const d = path.getAttribute("d") || "", key = d.length + d.slice(-40);
    return seen[key] ??= d.split("M").length - 1;
  };
  const count = () =>
    [...document.querySelectorAll("#front .shapelayer path")].reduce((sum, path) => sum + dots(path), 0)
      + document.querySelectorAll("#front .scatterlayer .points path").length;
  const pale = () => [...document.querySelectorAll('#front .shapelayer path[style*="opacity: 0.3"]')]
    .reduce((sum, path) => sum + dots(path), 0);
  const watch = () => {
    const now = [count(), pale()], last = window.counts.at(-1);
    if (!last || now[0] !== last.points || now[1] !== last.pale)
      window.counts.push({ at: performance.now(), points: now[0], pale: now[1] });
    setTimeout(watch, 20);
  };
  document.readyState === "loading" ? addEventListener("DOMContentLoaded", watch) : watch();
  window.found = [];
  const ask = window.fetch;
  window.fetch = async (...args) => {
    const at = performance.now(), answer = await ask(...args);
    if (answer.status === 200 && (args[1]?.body || "").includes('"tick.n_intervals"')) window.found.push(at);
    return answer;
  };
}"""


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--trials", type=int, default=10_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "big"
        write_study(study, trials=args.trials)
        started = time.perf_counter()
        results = StudyReader(study).read()
        reading_s = time.perf_counter() - started
        points = int((results.trials["status"] != "duplicate").sum())
        with sync_playwright() as playwright:
            rows = _measure(playwright, Path(folder), study, points)
    rows.insert(0, ["reading the study once, of it", f"{reading_s:.2f} s"])
    text = f"{args.trials:,} trials, {points:,} points\n\n" + table(["what", "time"], rows)
    report("dashboard", "python benchmarks/dashboard.py --save", text, save=args.save)


def _measure(playwright: Any, folder: Path, study: Path, points: int) -> list[list[str]]:
    def browser() -> BrowserContext:
        return playwright.chromium.launch_persistent_context(  # type: ignore[no-any-return]
            folder / "profile",
            executable_path=shutil.which("chromium"),
            args=FLAGS,
            viewport={"width": 1280, "height": 900},
        )

    with Served(folder) as address:  # it is announced when it has read the study
        context = browser()
        cold = [_first_picture(context, address, points)]
        for _ in range(3):  # the browser keeps compiled scripts after some visits
            _first_picture(context, address, points)
        context.close()
    with Served(folder) as address:
        context = browser()
        context.new_page()
        fresh = [_first_picture(context, address, points)]
        warm = [_first_picture(context, address, points) for _ in range(REPEATS)]
        page = _open(context, address, points)
        refreshes = [_refresh(page, study, seed) for seed in range(REPEATS)]
        budgets = [_budget(page) for _ in range(REPEATS)]
        context.close()
    return [
        ["first picture, a browser that has never seen a dashboard", _words(cold)],
        ["first picture, the browser just started", _words(fresh)],
        ["first picture, in a running browser", _words(warm)],
        ["refresh with 3 new trials", _words(refreshes)],
        ["a budget's slider moved", _words(budgets)],
    ]


class Served:
    """`resfront dashboard` in a process of its own."""

    def __init__(self, runs: Path) -> None:
        self.command = [sys.executable, "-m", "studies.cli", "dashboard", "big", "--no-browser", "--port", "0"]
        self.command += ["--runs", str(runs)]

    def __enter__(self) -> str:
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()


def _open(context: BrowserContext, address: str, points: int) -> Page:
    page = context.new_page()
    page.add_init_script(f"({WATCH})()")
    page.goto(address, wait_until="commit")
    _wait(page, f"(window.counts || []).some(c => c.points >= {points})")
    return page


def _wait(page: Page, condition: str) -> None:
    """Playwright's own `wait_for_function` is refused by the page's content security policy."""
    deadline = time.monotonic() + 60
    while not page.evaluate(condition):
        if time.monotonic() > deadline:
            raise TimeoutError(condition)
        page.wait_for_timeout(50)


def _first_picture(context: BrowserContext, address: str, points: int) -> float:
    page = _open(context, address, points)
    seconds = page.evaluate(f"window.counts.find(c => c.points >= {points}).at / 1000")
    page.close()
    return float(seconds)


def _refresh(page: Page, study: Path, seed: int) -> float:
    page.evaluate("window.found = []")
    before = page.evaluate("window.counts.length")
    append_trials(study, NEW_TRIALS, seed)
    _wait(page, f"window.found.length > 0 && window.counts.length > {before}")
    page.wait_for_timeout(1500)
    return float(page.evaluate("(window.counts.at(-1).at - window.found[0]) / 1000"))


def _budget(page: Page) -> float:
    handle = page.locator(".limit-slider [role=slider]").nth(1)
    handle.focus()
    before = page.evaluate("window.counts.length")
    started = page.evaluate("performance.now()")
    page.keyboard.press("PageDown")
    _wait(page, f"window.counts.slice({before}).some(c => c.pale > 0)")
    page.wait_for_timeout(1500)
    return float((page.evaluate("window.counts.at(-1).at") - started) / 1000)


def _words(seconds: list[float]) -> str:
    if len(seconds) == 1:
        return f"{seconds[0]:.2f} s"
    return f"{statistics.median(seconds):.2f} s (median of {len(seconds)}, at most {max(seconds):.2f})"


if __name__ == "__main__":
    main()
