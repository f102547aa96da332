"""The dashboard as a reader has it: a real browser before the real server, over real studies on disk."""

import http.client
import io
import json
import math
import re
import shutil
import sqlite3
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest
import waitress
from waitress import wasyncore

from objectives import OBJECTIVES, Limit
from runners.config import LimitsConfig
from runners.storage.study_files import open_study
from studies.analysis.budgets import budget
from studies.analysis.recommendation import recommend
from studies.dashboard import exports, serve
from studies.dashboard.callbacks import selection
from studies.dashboard.exports import ALWAYS
from studies.dashboard.library import Library
from studies.dashboard.limits.values import limit_of, parse_value
from studies.dashboard.pages import study_page as pages
from studies.launch.create import create_study
from studies.results.reading import load_results
from studies.results.study_results import StudyResults, keeps
from studies.study.record import open_study_record
from studies.texts.wording import describe_limit, format_figure
from tests.studies.synthetic import append_trials, study_config, write_study

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")]

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PATIENCE_MS = 60_000
HOSTILE = "<img src=x onerror=alert(1)><a href=javascript:alert(1)>x</a>"
PLOT = "document.querySelector('#front .js-plotly-plot')"
Page = Any
Open = Callable[..., Page]
Found = TypeVar("Found")


# --- what is served, and who looks at it -----------------------------------------------------------


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study, one that grows, one before its first trial, three that somebody has tampered with."""
    runs = tmp_path_factory.mktemp("runs")
    write_study(runs / "drone", trials=120)
    write_study(runs / "live", trials=40, seed=1)
    write_study(runs / "hostile", trials=30, seed=2)
    shutil.copytree(runs / "hostile", runs / "odd")
    for name in ("new", "broken"):
        create_study(runs / name, study_config(10))
    (runs / "broken" / "study.db").write_bytes(b"no database" * 500)
    trials = load_results(runs / "hostile").trials
    rewrite(runs / "hostile", first(trials, "completed", 1), "label", lambda label: HOSTILE, new=HOSTILE)
    rewrite(runs / "hostile", first(trials, "rejected"), "outcome", lambda facts: {**facts, "reason": HOSTILE})
    rewrite(runs / "odd", 3, "candidate", with_unknown_block)
    return runs


def first(trials: pd.DataFrame, status: str, at: int = 0) -> int:
    return int(trials["trial"][trials["status"] == status].iloc[at])


def rewrite(directory: Path, trial: int, key: str, change: Callable[[Any], Any], new: Any = None) -> None:
    """Change what a trial's attribute says, as nobody should."""
    where = "trial_id = ? AND key = ?"
    with closing(sqlite3.connect(directory / "study.db")) as connection, connection:
        if new is not None:
            insert = "INSERT OR IGNORE INTO trial_user_attributes (trial_id, key, value_json) VALUES (?, ?, ?)"
            connection.execute(insert, (trial + 1, key, json.dumps(new)))
        select = f"SELECT value_json FROM trial_user_attributes WHERE {where}"
        ((text,),) = connection.execute(select, (trial + 1, key)).fetchall()
        update = f"UPDATE trial_user_attributes SET value_json = ? WHERE {where}"
        connection.execute(update, (json.dumps(change(json.loads(text))), trial + 1, key))


def with_unknown_block(facts: dict[str, Any]) -> dict[str, Any]:
    facts["spec"]["stages"][0]["block"] = HOSTILE
    return facts


@pytest.fixture(scope="module")
def address(runs: Path) -> Iterator[str]:
    """Of the dashboard, in a thread of this process."""
    over, ready = threading.Event(), threading.Event()
    sockets: dict[int, Any] = {}
    told: list[str] = []
    create = waitress.create_server

    def create_that_can_be_stopped(*args: Any, **options: Any) -> Any:
        server = create(*args, map=sockets, **options)

        def run() -> None:
            while not over.is_set():
                wasyncore.loop(timeout=0.1, map=sockets, count=1)

        server.run = run
        return server

    def on_ready(address: str) -> None:
        told.append(address)
        ready.set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(waitress, "create_server", create_that_can_be_stopped)
        options: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "token": None, "on_ready": on_ready}
        thread = threading.Thread(target=serve, args=(runs, None), kwargs=options, daemon=True)
        thread.start()
        assert ready.wait(60)
        yield told[0].rstrip("/")
        over.set()
        thread.join(30)
        for channel in list(sockets.values()):
            channel.close()
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """With a profile on disk, so that a page's scripts are compiled twice and not for every page."""
    with sync_api.sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"), executable_path=CHROMIUM, args=FLAGS, accept_downloads=True
        )
        context.set_default_timeout(PATIENCE_MS)
        sync_api.expect.set_options(timeout=PATIENCE_MS)
        yield context
        context.close()


@pytest.fixture
def open_page(context: Any, address: str) -> Iterator[Open]:
    """Opens pages of the dashboard; none may complain, ask another server, or be refused anything."""
    opened, complaints = [], []

    def note(text: str) -> None:
        if "AG Grid: warning #26 " not in text:  # its component may ask once more when the page is left
            complaints.append(text)

    def check_address(url: str) -> None:
        if not url.startswith((f"{address}/", "data:", f"blob:{address}/")):
            note(f"asked for {url}")

    def open_page(path: str, *, width: int = 1280, dark: bool = False) -> Page:
        page = context.new_page()
        opened.append(page)
        page.on("console", lambda m: note(f"{m.type}: {m.text}") if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: note(f"uncaught: {error}"))
        page.on("request", lambda request: check_address(request.url))
        page.on("response", lambda r: note(f"{r.status} {r.url}") if r.status >= 400 else None)
        page.on("dialog", lambda dialog: (note(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme="dark" if dark else "light")
        page.goto(f"{address}/{path}")
        return page

    yield open_page
    for page in opened:
        page.close()
    assert complaints == []


@pytest.fixture(scope="module")
def drone(runs: Path) -> StudyResults:
    return load_results(runs / "drone")


# --- how a test looks at a page --------------------------------------------------------------------


def expect(locator: Any) -> Any:
    return sync_api.expect(locator)


def until(page: Page, condition: Callable[[], Found], seconds: float = PATIENCE_MS / 1000) -> Found:
    """What `condition` gives once it is true; Playwright's own way to wait is refused by the page's policy."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(30)
    return found


def quiet(page: Page) -> None:
    """Wait until the page has asked and been answered all that its controls have set off (as Dash's own tests do)."""
    pending = """() => {
        const { isLoading, callbacks: { stored, completed, ...queues } } = window.store.getState();
        return isLoading || Object.values(queues).some(queue => queue.length > 0);
    }"""
    calm = 0
    while calm < 3:  # a callback's answer may set off the next
        until(page, lambda: not page.evaluate(pending))
        page.evaluate("() => new Promise(requestAnimationFrame)")
        calm = 0 if page.evaluate(pending) else calm + 1


def drawn(page: Page) -> dict[str, list[int]]:
    """Name of a group of the front's plot -> its trials, the pale ones of every group under `pale`."""
    traces = page.evaluate(
        f"({PLOT}?.data ?? []).filter(t => t.mode === 'markers')"
        ".map(t => [t.marker.opacity === 0.3 ? 'pale' : t.name.split(' (')[0], Array.from(t.customdata)])"
    )
    groups: dict[str, list[int]] = {}
    for name, trials in traces:
        groups.setdefault(name, []).extend(trials)
    return groups


def dots(page: Page) -> int:
    return int(page.locator("#front .scatterlayer .points path").count())


def place(page: Page, trial: int) -> tuple[float, float]:
    """Where on the screen a trial of the front is."""
    x, y = page.evaluate(
        f"""trial => {{
          const plot = {PLOT}, {{ xaxis, yaxis }} = plot._fullLayout, box = plot.getBoundingClientRect();
          const front = plot.data.find(trace => trace.name?.startsWith("front"));
          const i = Array.from(front.customdata).indexOf(trial);
          return [box.left + xaxis._offset + xaxis.d2p(front.x[i]), box.top + yaxis._offset + yaxis.d2p(front.y[i])];
        }}""",
        trial,
    )
    return float(x), float(y)


def loneliest(results: StudyResults) -> int:
    """The front's network that is farthest from every other point of the first picture."""
    rows = results.trials[results.trials["status"] == "completed"]
    at = np.stack(
        [np.log10(rows["macs"]) / np.ptp(np.log10(rows["macs"])), rows["accuracy"] / np.ptp(rows["accuracy"])]
    )
    distances = np.linalg.norm(at[:, :, None] - at[:, None, :], axis=0)
    np.fill_diagonal(distances, math.inf)
    nearest = np.where(rows["front"], distances.min(axis=1), 0)
    return int(rows["trial"].iloc[int(nearest.argmax())])


def is_shown(page: Page, trial: int) -> None:
    """Selected everywhere: in the panel, in the address, as a ring."""
    expect(page.locator("#panel .detail-title")).to_contain_text(re.compile(rf"^Trial {trial}\b"))
    until(page, lambda: page.url.endswith(f"?trial={trial}"))
    until(page, lambda: drawn(page).get("selected") == [trial])


def limit_text(page: Page, figure: str) -> Any:
    return page.locator(f"""[id='{{"name":"{figure}","type":"limit-text"}}']""")


def slider(page: Page, figure: str) -> Any:
    return page.locator(f"""[id='{{"name":"{figure}","type":"limit-slider"}}'] [role=slider]""")


def position(page: Page, figure: str) -> float:
    return float(slider(page, figure).get_attribute("aria-valuenow"))


def press(page: Page, key: str, times: int, figure: str) -> None:
    """Move a slider that has the focus, and wait until what is typed is what its last position means."""
    for _ in range(times):
        page.keyboard.press(key)
    quiet(page)
    assert position(page, figure) == pytest.approx(meant(page, figure), rel=2e-3)


def type_limit(page: Page, figure: str, text: str) -> None:
    limit_text(page, figure).fill(text)
    limit_text(page, figure).press("Enter")


def answers(page: Page, results: StudyResults, limits: list[Limit]) -> None:
    """The page recommends what the library does."""
    found = recommend(results, limits)
    expect(page.locator("#remaining strong")).to_have_text(f"{found.remaining} of {found.considered} networks")
    expected = {"Best": found.best, "Runner-up": found.runner_up, "Nearest": found.nearest}
    named = {title: f"trial {trial}" for title, trial in expected.items() if trial is not None}
    titles, trials = page.locator("#answer .pick-title"), page.locator("#answer .pick strong")
    expect(titles).to_have_text(list(named))
    expect(trials).to_have_text(list(named.values()))
    if found.trade:
        expect(page.locator("#answer")).to_contain_text(f"Against the best: {found.trade}.")
    expect(page.locator("#binding")).to_have_count(1 if found.binding else 0)


def at_most(figure: str, value: float) -> Limit:
    return Limit(objective=figure, kind="max", value=value)


def beyond(results: StudyResults, limits: list[Limit]) -> set[int]:
    """Trials that are drawn and exceed a limit."""
    trials = results.trials
    shown = trials[trials["status"].isin(("completed", "rejected", "failed"))]
    return set(shown["trial"][~keeps(shown, limits)])


def focus(page: Page, script: str = "element => element.id") -> Any:
    return page.evaluate(f"({script})(document.activeElement)")


def tab_to(page: Page, script: str, key: str = "Tab", at_most: int = 40) -> None:
    """Press a key until what has the focus is what `script` says."""
    for _ in range(at_most):
        page.keyboard.press(key)
        if focus(page, script):
            return
    raise AssertionError(f"{at_most} times {key} do not lead to {script}")


def choose(page: Page, dropdown: str, label: str) -> None:
    page.locator(f"#{dropdown}").click()
    page.locator(".dash-dropdown-option", has_text=re.compile(f"^{re.escape(label)}$")).click()
    page.keyboard.press("Escape")


def view(page: Page, name: str) -> None:
    page.locator(f"#view-choice label:has(input[value={name}])").click()


def evaluated(results: StudyResults) -> int:
    return results.count("completed") + results.count("failed")


# --- the list of studies ---------------------------------------------------------------------------


def test_the_list_of_studies(open_page: Open, drone: StudyResults, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Library, "names", lambda self: [])
        page = open_page("")
        expect(page.locator("#studies")).to_contain_text("There is no study here yet")
        expect(page.locator("#studies pre")).to_have_text("resfront search quick --name demo")
    rows = page.locator("table.studies tbody tr")
    expect(rows).to_have_count(6)
    states = {"drone": "stopped", "live": "stopped", "new": "no trial yet", "broken": "damaged", "odd": "damaged"}
    for name, state in states.items():
        expect(rows.filter(has=page.locator(f"a[href='/{name}']")).locator(".chip")).to_have_text(state)
    row = rows.filter(has=page.locator("a[href='/drone']"))
    cells = row.locator("td").all_text_contents()
    assert cells[2].strip() == f"{evaluated(drone)} of 120"
    assert cells[3] == f"{len(drone.front)} networks"
    assert cells[4] == f"{drone.trials['hypervolume'].max():.4f}"
    assert cells[5] == "Accuracy, MACs, File size"
    assert row.locator("progress").get_attribute("value") == str(evaluated(drone))
    expect(rows.filter(has_text="broken")).to_contain_text("study.db: cannot be read as a study")
    expect(rows.filter(has_text="odd")).to_contain_text(f"unknown block '{HOSTILE}'")
    assert page.locator("#page img, #page a[href^=javascript]").count() == 0
    row.locator("a").click()
    expect(page.locator("h1")).to_have_text("drone")
    until(page, lambda: dots(page) > 100)
    page.locator("a.back").click()
    expect(rows).to_have_count(6)


@pytest.mark.parametrize(
    ("path", "chip", "words"),
    [
        ("broken", "damaged", "study.db: cannot be read as a study"),
        ("nothing", "not found", "unknown study 'nothing'"),
        ("-x", "not found", "There is no such study"),
    ],
)
def test_a_study_that_cannot_be_shown(open_page: Open, path: str, chip: str, words: str) -> None:
    page = open_page(path)
    expect(page.locator(".chip")).to_have_text(chip)
    expect(page.locator("#problem")).to_contain_text(words)


# --- the front, on every screen --------------------------------------------------------------------


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_the_first_picture(open_page: Open, drone: StudyResults, width: int, dark: bool) -> None:
    page = open_page("drone", width=width, dark=dark)
    trials = drone.trials
    shown = {kind: set(trials["trial"][trials["status"] == kind]) for kind in ("rejected", "failed")}
    completed = trials[trials["status"] == "completed"]
    shown |= {"front": set(drone.front["trial"]), "over a limit": set(completed["trial"][~completed["feasible"]])}
    shown["dominated"] = set(completed["trial"]) - shown["front"] - shown["over a limit"]
    shown["knee"] = {drone.knee_trial}
    until(page, lambda: dots(page) == sum(map(len, shown.values())))
    assert {name: set(points) for name, points in drawn(page).items()} == shown
    page.locator("#table").scroll_into_view_if_needed()
    expect(page.locator("#table .ag-row").first).to_be_visible()
    for dark_now in (dark, not dark):
        page.emulate_media(color_scheme="dark" if dark_now else "light")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        texts = lightness(page, "#front text", "fill")
        assert len(texts) > 15
        assert min(texts) > 0.55 if dark_now else max(texts) < 0.45
        (behind,) = lightness(page, "body", "backgroundColor")
        assert behind < 0.2 if dark_now else behind > 0.8


def lightness(page: Page, selector: str, style: str) -> list[float]:
    """0 (black) to 1 (white) of a colour of each element."""
    colours = page.evaluate(
        f"[...document.querySelectorAll('{selector}')].map(element => getComputedStyle(element).{style})"
    )
    return [float(np.mean([float(part) for part in re.findall(r"[\d.]+", colour)[:3]])) / 255 for colour in colours]


def test_the_first_trials_of_a_study_appear(open_page: Open, runs: Path) -> None:
    page = open_page("new")
    expect(page.locator(".chip")).to_have_text("no trial yet")
    expect(page.locator("#front")).to_contain_text("No candidate has been evaluated yet (no trial).")
    expect(page.locator("#answer")).to_contain_text("No evaluated network keeps the study's own limits yet.")
    for name in ("study.db", "study.db-wal"):
        if (runs / "live" / name).exists():
            shutil.copy(runs / "live" / name, runs / "new")
    results = load_results(runs / "new")
    until(page, lambda: dots(page) > len(results.front))
    for limit in LimitsConfig(**results.config["limits"]).as_limits():
        expect(page.locator("#study-limits")).to_contain_text(describe_limit(limit))
    expect(page.locator("#status")).to_contain_text(f"{evaluated(results)} of 10 trials")
    expect(page.locator("#table .ag-row").first).to_be_visible()
    type_limit(page, "file_bytes", "200k")
    answers(page, results, [at_most("file_bytes", 2e5)])


# --- one network -----------------------------------------------------------------------------------


def test_a_click_on_the_front_selects(open_page: Open, drone: StudyResults) -> None:
    page = open_page("drone")
    until(page, lambda: dots(page) > 100)
    trial = loneliest(drone)
    at = place(page, trial)
    page.mouse.move(at[0] - 1, at[1])
    page.mouse.move(*at)
    expect(page.locator("#front .hoverlayer")).to_contain_text(f"trial {trial}")
    page.mouse.click(*at)
    is_shown(page, trial)
    row = drone.trials.set_index("trial").loc[trial]
    expect(page.locator("#panel")).to_contain_text(format_figure(OBJECTIVES["accuracy"], row))
    page.reload()
    is_shown(page, trial)
    assert drawn(page)["selected"] == [trial]
    expect(page.locator("#table .ag-row").first).to_be_visible()
    page.locator("#answer .pick").first.click()
    best = recommend(drone, []).best
    assert best is not None and best != trial
    is_shown(page, best)
    expect(page.locator(f"#table .ag-row[row-id='{best}']")).to_have_attribute("aria-selected", "true")
    page.locator("#table-rows label", has_text="all trials").click()
    until(page, lambda: page.evaluate("document.querySelector('#table .ag-body-viewport').scrollHeight") > 2000)
    last = int(drone.front["trial"].iloc[-1])
    expect(page.locator(f"#table .ag-row[row-id='{last}']")).to_have_count(0)
    page.mouse.click(*place(page, last))
    expect(page.locator(f"#table .ag-row[row-id='{last}']")).to_have_attribute("aria-selected", "true")


@pytest.mark.parametrize("trial", ["9999", "%3Cimg%3E"])
def test_an_address_that_names_no_trial_selects_none(open_page: Open, trial: str) -> None:
    page = open_page(f"new?trial={trial}")
    expect(page.locator("#panel")).to_have_text("Select a point in the plot, or a row of the table.")


def test_what_comes_from_a_study_is_text(open_page: Open, runs: Path) -> None:
    trials = load_results(runs / "hostile").trials
    labelled, rejected = first(trials, "completed", 1), first(trials, "rejected")
    page = open_page(f"hostile?trial={labelled}")
    expect(page.locator("#panel .detail-label")).to_have_text(HOSTILE)
    until(page, lambda: HOSTILE in page.locator("#front .annotation-text").all_text_contents())
    page.locator("#table-rows label", has_text="all trials").click()
    expect(page.locator(f"#table .ag-row[row-id='{labelled}'] [col-id=label]")).to_have_text(HOSTILE)
    page.locator(f"#table .ag-row[row-id='{rejected}'] [col-id=trial]").click()
    is_shown(page, rejected)
    expect(page.locator("#panel .detail-reason")).to_have_text(HOSTILE)
    for name in ("curves", "parallel"):
        view(page, name)
        until(page, lambda: page.locator("#view .main-svg").count())
    assert page.locator("#page img, #page a[href^=javascript], #page script").count() == 0


class Gate:
    """Holds calls of a function up until it is opened."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self, *args: Any) -> Any:
        self.reached.set()
        self.opened.wait(20)
        return self.function(*args)


def test_clicks_while_the_table_is_on_its_way(
    open_page: Open, drone: StudyResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One asks for the view again, the other is still unanswered when the table appears; neither is lost."""
    table, click = Gate(pages.networks_view), Gate(selection.trial_of)
    monkeypatch.setattr(pages, "networks_view", table)
    found = recommend(drone, [])
    assert found.best is not None and found.runner_up is not None
    page = open_page("drone")
    until(page, lambda: dots(page) > 100 and table.reached.is_set())
    page.locator("#answer .pick").nth(1).click()
    expect(page.locator("#panel .detail-title")).to_contain_text(f"Trial {found.runner_up}")
    monkeypatch.setattr(selection, "trial_of", click)
    page.locator("#answer .pick").first.click()
    until(page, click.reached.is_set)
    table.opened.set()
    expect(page.locator("#table .ag-row").first).to_be_visible()
    click.opened.set()
    is_shown(page, found.best)


# --- without a mouse -------------------------------------------------------------------------------


def test_everything_can_be_reached_from_the_keyboard(open_page: Open, drone: StudyResults) -> None:
    page = open_page("drone")
    until(page, lambda: dots(page) > 100)
    expect(page.locator("#table .ag-row").first).to_be_visible()
    tab_to(page, "element => element.id === 'front-keys'")
    along = drone.front.sort_values(["macs", "trial"])["trial"].tolist()
    for key, trial in (("ArrowRight", along[0]), ("ArrowRight", along[1]), ("ArrowLeft", along[0])):
        page.keyboard.press(key)
        is_shown(page, trial)
    assert focus(page) == "front-keys"
    tab_to(page, "element => element.closest('#view-choice')")
    for title in ("Hypervolume", "Parameters and objectives"):
        page.keyboard.press("ArrowRight")
        expect(page.locator("#view .gtitle")).to_have_text(title)
    for _ in range(2):
        page.keyboard.press("ArrowLeft")
    expect(page.locator("#table .ag-row").first).to_be_visible()
    tab_to(page, "element => element.closest('#table') && element.role === 'gridcell'")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    trial = int(focus(page, "element => element.closest('.ag-row').getAttribute('row-id')"))
    assert trial == drone.front["trial"].iloc[2]
    page.keyboard.press("Space")
    is_shown(page, trial)
    page.keyboard.press("Space")  # what is selected stays so
    quiet(page)
    expect(page.locator(f"#table .ag-row[row-id='{trial}']")).to_have_attribute("aria-selected", "true")
    page.reload()
    until(page, lambda: dots(page) > 100)
    expect(page.locator("#table .ag-row").first).to_be_visible()
    tab_to(page, "element => element.closest('#table') && element.role === 'gridcell'")
    tab_to(page, "element => element.role === 'slider'")  # Tab leaves the table
    tab_to(page, "element => element.role === 'slider'")
    tab_to(page, "element => element.role === 'slider'")
    press(page, "ArrowLeft", 60, "file_bytes")
    value = typed(page, "file_bytes")
    assert value is not None
    found = recommend(drone, [at_most("file_bytes", value)])
    assert 0 < found.remaining < found.considered
    answers(page, drone, [at_most("file_bytes", value)])


# --- a phone ---------------------------------------------------------------------------------------


def test_what_a_phone_shows_without_being_searched(open_page: Open, drone: StudyResults) -> None:
    page = open_page("drone", width=390)
    page.set_viewport_size({"width": 390, "height": 844})
    until(page, lambda: dots(page) > 100)
    leads, panel = page.locator("#to-panel"), page.locator("#panel")
    expect(leads).to_be_hidden()
    trial = loneliest(drone)
    page.mouse.click(*place(page, trial))
    is_shown(page, trial)
    row = drone.trials[drone.trials["trial"] == trial].iloc[0]
    expect(leads).to_be_visible()
    expect(leads).to_contain_text(f"Trial {trial}")
    expect(leads).to_contain_text(format_figure(OBJECTIVES["accuracy"], row))
    expect(page.locator(".narrow-only")).to_be_visible()
    front, below = page.locator(".front").bounding_box(), panel.bounding_box()
    assert 0 < below["y"] - (front["y"] + front["height"]) < 40, "the panel follows the front"
    leads.click()
    expect(page.locator("#panel .detail-title")).to_be_in_viewport()
    expect(leads).to_be_hidden()
    for name in ("networks", *list(pages.VIEWS)[1:]):
        box = page.locator(f"#view-choice label:has(input[value={name}])").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390, name
    heads = page.locator("#table .ag-header-cell[col-id=accuracy]").bounding_box()
    assert heads["x"] + heads["width"] <= 390
    view(page, "parallel")
    words = "[...document.querySelectorAll('.view')].map(view => getComputedStyle(view, '::before').content).join()"
    until(page, lambda: "scroll sideways" in page.evaluate(words))
    view(page, "progress")
    until(page, lambda: "scroll" not in page.evaluate(words))


# --- a budget --------------------------------------------------------------------------------------


def test_a_budget(open_page: Open, drone: StudyResults) -> None:
    page = open_page("drone")
    until(page, lambda: dots(page) > 100)
    answers(page, drone, [])
    small = [at_most("file_bytes", 1e5)]
    type_limit(page, "file_bytes", "100k")
    answers(page, drone, small)
    until(page, lambda: set(drawn(page).get("pale", ())) == beyond(drone, small))
    low, high = (float(slider(page, "file_bytes").get_attribute(f"aria-value{end}")) for end in ("min", "max"))
    until(page, lambda: abs(position(page, "file_bytes") - 5) <= (high - low) / 200)
    assert limit_text(page, "file_bytes").input_value() == "100k"
    inside = len(drone.front[keeps(drone.front, small)])
    expect(page.locator("#table [role=grid], #table [role=treegrid]").first).to_have_attribute(
        "aria-rowcount", str(inside + 1)
    )
    _both_limits(page, drone, small)
    _nonsense(page, drone)
    type_limit(page, "macs", "")
    type_limit(page, "file_bytes", "")
    answers(page, drone, [])
    expect(page.locator("#complaints")).to_have_text("")
    until(page, lambda: position(page, "file_bytes") == high)
    until(page, lambda: "pale" not in drawn(page))


def _both_limits(page: Page, drone: StudyResults, small: list[Limit]) -> None:
    """An accuracy beside a size; then a size that nothing has."""
    type_limit(page, "accuracy", "80 %")
    accurate = limit_of(OBJECTIVES["accuracy"], 0.8)
    answers(page, drone, [accurate, *small])
    type_limit(page, "file_bytes", "1k")
    tiny = [accurate, at_most("file_bytes", 1e3)]
    answers(page, drone, tiny)
    found = recommend(drone, tiny)
    assert found.remaining == 0 and found.nearest is not None
    expect(page.locator("#binding")).to_contain_text("File size at most 1 kB")
    expect(page.locator("#answer .note")).to_have_text("; ".join(found.excess))
    type_limit(page, "accuracy", "")
    answers(page, drone, tiny[1:])


def _nonsense(page: Page, drone: StudyResults) -> None:
    type_limit(page, "macs", "20M")
    type_limit(page, "file_bytes", "much")
    expect(page.locator("#complaints")).to_have_text(
        "File size: write a number, for example 300k, 1.2M; until then nothing limits it."
    )
    answers(page, drone, [at_most("macs", 2e7)])
    assert limit_text(page, "file_bytes").input_value() == "much"
    assert limit_text(page, "macs").input_value() == "20M"


def test_a_named_budget_and_a_device(open_page: Open, runs: Path) -> None:
    """A study of its own, for its pages have the latencies from then on."""
    shutil.copytree(runs / "hostile", runs / "budgets")
    results = load_results(runs / "budgets")
    page = open_page("budgets")
    until(page, lambda: dots(page) > 10)
    type_limit(page, "accuracy", "50 %")
    page.locator("#budget-name").click()
    page.locator(".dash-dropdown-option", has_text="wearable").click()
    wanted = list(budget("wearable").limits)
    answers(page, results, wanted)
    expect(limit_text(page, "accuracy")).to_have_value("")
    expect(limit_text(page, "latency_ms@cortex_m7")).to_have_value("125")
    expect(page.locator("#budget-name")).to_contain_text("wearable")
    type_limit(page, "macs", "20M")
    wanted = [at_most("macs", 2e7) if limit.objective == "macs" else limit for limit in wanted]
    answers(page, results, wanted)
    page.locator("#budget-device").click()
    page.locator(".dash-dropdown-option", has_text=re.compile("^rpi4$")).click()
    expect(limit_text(page, "latency_ms@rpi4")).to_be_visible()
    expect(limit_text(page, "macs")).to_have_value("20M")
    type_limit(page, "latency_ms@rpi4", "3")
    answers(page, results, [*wanted, at_most("latency_ms@rpi4", 3)])
    choose(page, "x-axis", "Latency on rpi4, estimated (ms)")
    until(page, lambda: page.evaluate(f"{PLOT}?.layout.xaxis.title.text") == "Latency on rpi4, estimated (ms)")
    type_limit(page, "latency_ms@rpi4", "1 us")
    expect(page.locator("#remaining")).to_have_text(re.compile(r"on the front$"))


def test_slider_and_typed_value_agree(open_page: Open, drone: StudyResults) -> None:
    page = open_page("drone")
    until(page, lambda: dots(page) > 100)
    expect(page.get_by_role("slider", name="MACs at most")).to_have_count(1)
    before = {figure: position(page, figure) for figure in ("macs", "accuracy")}
    for figure, key in (("macs", "ArrowLeft"), ("accuracy", "ArrowRight")):
        slider(page, figure).focus()
        press(page, key, 30, figure)
        assert position(page, figure) != before[figure]
    limits = [limit_of(OBJECTIVES[figure], typed(page, figure) or 0) for figure in ("accuracy", "macs")]
    answers(page, drone, limits)
    until(page, lambda: set(drawn(page)["pale"]) == beyond(drone, limits))
    slider(page, "macs").focus()
    page.keyboard.press("End")
    expect(limit_text(page, "macs")).to_have_value("")
    answers(page, drone, limits[:1])


def typed(page: Page, figure: str) -> float | None:
    return parse_value(OBJECTIVES[figure], limit_text(page, figure).input_value())


def meant(page: Page, figure: str) -> float:
    """The slider's position for what is typed."""
    value = typed(page, figure)
    return math.nan if value is None else value if OBJECTIVES[figure].maximize else math.log10(value)


# --- while the search goes on ----------------------------------------------------------------------


def test_new_trials_appear_and_nothing_else_moves(open_page: Open, runs: Path) -> None:
    page = open_page("live")
    results = load_results(runs / "live")
    until(page, lambda: dots(page) > len(results.front))
    page.locator("#answer .pick").first.click()
    best = recommend(results, []).best
    assert best is not None
    is_shown(page, best)
    type_limit(page, "file_bytes", "500k")
    slider(page, "macs").focus()
    press(page, "ArrowLeft", 20, "macs")
    page.locator("#table-rows label", has_text="all trials").click()
    until(page, lambda: page.evaluate("document.querySelector('#table .ag-body-viewport').scrollHeight") > 700)
    page.evaluate("document.querySelector('#table .ag-body-viewport').scrollTop = 300")
    limit_text(page, "accuracy").press_sequentially("7")  # not entered yet
    page.evaluate("document.querySelector('#panel .detail-panel').isTheOldOne = true")
    quiet(page)
    before = held(page)
    assert before["isTheOldOne"] and before["scroll"] == 300 and before["limits"][0] == "7"
    add_a_trial(page, runs / "live")
    results = load_results(runs / "live")
    status = results.trials["status"]
    drawn_trials = set(results.trials["trial"][status.isin(("completed", "rejected", "failed"))])
    until(page, lambda: set().union(*drawn(page).values()) == drawn_trials)
    expect(page.locator("#remaining strong")).to_contain_text(f" of {recommend(results, []).considered} networks")
    quiet(page)
    assert held(page) == before


def held(page: Page) -> dict[str, Any]:
    """What a reader has set, and must keep."""
    return {
        **page.evaluate(
            """() => ({
              scroll: document.querySelector('#table .ag-body-viewport').scrollTop,
              isTheOldOne: document.querySelector('#panel .detail-panel').isTheOldOne === true,
              limits: [...document.querySelectorAll('.limit-text input')].map(input => input.value),
              sliders: [...document.querySelectorAll('.limit-row [role=slider]')].map(s => s.ariaValueNow),
              focus: document.activeElement.id,
              selected: [...document.querySelectorAll('#table .ag-row-selected')].map(r => r.getAttribute('row-id')),
            })"""
        ),
        "ring": drawn(page)["selected"],
        "title": page.locator("#panel .detail-title").text_content(),
        "address": page.url,
    }


def add_a_trial(page: Page, directory: Path) -> None:
    """Write a trained trial, and wait for the status that counts it."""
    before = evaluated(load_results(directory))
    for seed in range(100):
        append_trials(directory, 1, seed)
        count = evaluated(load_results(directory))
        if count > before:
            break
    shown = page.locator("#status")
    until(page, lambda: f"{count} of 40 trials" in shown.text_content())


def test_the_zoom_stays(open_page: Open, runs: Path) -> None:
    """Whatever is chosen, and whatever the search finds; other axes show everything again."""
    page = open_page("live")
    until(page, lambda: dots(page) > 30)
    expect(page.locator("#table .ag-row").first).to_be_visible()
    zoom(page)
    zoomed = ranges(page)
    page.locator("#answer .pick").first.click()
    until(page, lambda: drawn(page).get("selected"))
    assert ranges(page) == zoomed
    type_limit(page, "file_bytes", "300k")
    until(page, lambda: drawn(page).get("pale"))
    assert ranges(page) == zoomed
    before = set(load_results(runs / "live").front["trial"])
    for seed in range(100, 200):
        append_trials(runs / "live", 1, seed)
        if (front := set(load_results(runs / "live").front["trial"])) != before:
            break
    until(page, lambda: front <= set().union(*drawn(page).values()))
    assert ranges(page) == zoomed
    choose(page, "x-axis", OBJECTIVES["bops"].label)
    until(page, lambda: ranges(page)[0][0] > 7)


def ranges(page: Page) -> Any:
    return page.evaluate(f"['xaxis', 'yaxis'].map(axis => [...{PLOT}._fullLayout[axis].range])")


def zoom(page: Page) -> None:
    """Drag a box over a part of the plot."""
    before = page.evaluate(f"[...{PLOT}._fullLayout.xaxis.range]")
    box = page.locator("#front .nsewdrag").first.bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.1 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.5 * box["height"], steps=3)
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.8 * box["height"], steps=3)
    page.mouse.up()
    until(page, lambda: page.evaluate(f"{PLOT}._fullLayout.xaxis.range[0]") > before[0])


def test_a_study_that_starts_and_stops(open_page: Open, runs: Path) -> None:
    page = open_page("hostile")
    expect(page.locator(".chip")).to_have_text("stopped")
    expect(page.locator("#status code")).to_have_text("resfront search --resume --name hostile")
    (runs / "hostile" / "heartbeat").touch()
    expect(page.locator(".chip")).to_have_text("running")
    (runs / "hostile" / "heartbeat").unlink()
    expect(page.locator(".chip")).to_have_text("stopped")
    record = open_study_record(runs / "hostile")
    open_study(runs / "hostile", record.config.optimised).set_user_attr("exhausted", True)
    expect(page.locator(".chip")).to_have_text("done")


# --- other axes, other views -----------------------------------------------------------------------


def test_other_figures_on_the_axes(open_page: Open, drone: StudyResults) -> None:
    page = open_page("drone")
    until(page, lambda: dots(page) > 100)

    def axes() -> list[Any]:
        return page.evaluate(f"['xaxis', 'yaxis'].map(a => {PLOT}._fullLayout[a]).map(a => [a.title.text, a.type])")

    assert axes() == [["MACs", "log"], ["Accuracy of the proxy", "linear"]]
    choose(page, "x-axis", OBJECTIVES["bops"].label)
    until(page, lambda: axes()[0] == [OBJECTIVES["bops"].label, "log"])
    expect(page.locator("#front .xtitle")).to_have_text(OBJECTIVES["bops"].label)
    choose(page, "y-axis", OBJECTIVES["params"].label)
    until(page, lambda: axes()[1][0] == OBJECTIVES["params"].label)
    expect(page.locator("#front .gtitle")).to_contain_text("Parameters against BOPs")
    page.locator("#log label", has_text="log across").click()
    page.locator("#log label", has_text="log up").click()
    until(page, lambda: [kind for _, kind in axes()] == ["linear", "log"])
    expect(page.locator("#front .colorbar")).to_have_count(1)
    page.locator("#third-as label", has_text="size").click()
    expect(page.locator("#front .colorbar")).to_have_count(0)
    sizes = page.evaluate(f"new Set({PLOT}.data.find(t => t.name?.startsWith('front')).marker.size).size")
    assert sizes > 10
    choose(page, "third", "none")
    until(page, lambda: page.evaluate(f"{PLOT}.data.find(t => t.name?.startsWith('front')).marker.size") == 11)
    page.locator("#front-keys").focus()
    page.keyboard.press("ArrowRight")
    is_shown(page, int(drone.front.sort_values(["bops", "trial"])["trial"].iloc[0]))


VIEWED = "document.querySelector('#view .js-plotly-plot')"


def test_every_view(open_page: Open, drone: StudyResults) -> None:
    trial = loneliest(drone)
    page = open_page(f"drone?trial={trial}")
    title = page.locator("#view .gtitle")
    view(page, "progress")
    expect(title).to_have_text("Hypervolume")
    steps = page.evaluate(f"{VIEWED}.data[0].y.length")
    assert steps == evaluated(drone)
    view(page, "parallel")
    expect(title).to_contain_text("Parameters and objectives")
    expect(page.locator("#view .gtitle-subtitle")).to_contain_text(re.compile(rf"pink: trial\s*{trial}\b"))
    assert set(page.evaluate(f"Array.from({VIEWED}.data.at(-1).customdata)")) == {trial}
    view(page, "curves")
    expect(title).to_contain_text("Learning curves")
    marked = page.evaluate(f"{VIEWED}.data.filter(t => t.line.width === 4).map(t => t.customdata[0])")
    assert set(marked) == {trial}
    page.locator("#answer .pick").first.click()
    best = recommend(drone, []).best
    expect(page.locator("#view .gtitle-subtitle")).to_contain_text(re.compile(rf"pink: trial\s*{best}\b"))
    view(page, "importance")
    expect(title).to_contain_text("mportance")
    until(page, lambda: page.locator("#view .heatmaplayer image").count() == 1)
    assert page.evaluate(f"{VIEWED}.data[0].z.length * {VIEWED}.data[0].z[0].length") > 20
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    view(page, "networks")
    expect(page.locator("#table .ag-row").first).to_be_visible()


# --- taking a network home -------------------------------------------------------------------------

STUB = f"""
import pathlib, sys, time
output, go = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
print("a stand-in for training", file=sys.stderr, flush=True)
while not go.exists():
    time.sleep(0.02)
if go.read_text():
    sys.exit(go.read_text())
output.mkdir(parents=True)
for name in {ALWAYS!r}:
    (output / name).write_text(name * 3)
"""


@pytest.fixture
def go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Puts a program in the place of the export that waits for this file, and fails with what is in it."""
    path = tmp_path / "go"
    command = [sys.executable, "-c", STUB]
    monkeypatch.setattr(exports, "export_command", lambda name, trial, to, runs: [*command, str(to), str(path)])
    return path


def test_an_export_and_the_downloads(open_page: Open, drone: StudyResults, go: Path) -> None:
    trial = loneliest(drone)
    page = open_page(f"drone?trial={trial}")
    status = page.locator("#export-status")
    expect(status).to_have_text("")
    page.get_by_role("button", name="Export ONNX and all").click()
    expect(status).to_contain_text("a stand-in for training")
    expect(status.locator(".spinner")).to_have_count(1)
    go.touch()
    expect(status).to_contain_text("Exported and checked")
    expect(status.locator("li code")).to_have_text(sorted(ALWAYS))
    expect(status.locator("li").first).to_contain_text(f"{3 * len('card.md')} bytes")
    with page.expect_download() as downloading:
        page.get_by_role("button", name="Download all as .zip").click()
    assert downloading.value.suggested_filename == f"drone-{trial}.zip"
    with zipfile.ZipFile(io.BytesIO(Path(downloading.value.path()).read_bytes())) as archive:
        files = {name.partition("/")[2]: archive.read(name).decode() for name in archive.namelist()}
    assert files == {name: name * 3 for name in ALWAYS}
    with page.expect_download() as downloading:
        page.get_by_role("button", name="Download spec").click()
    assert downloading.value.suggested_filename == f"drone-{trial}.spec.json"
    spec = json.loads(Path(downloading.value.path()).read_text())
    assert spec == drone.trials.set_index("trial").loc[trial, "record"].spec
    command = page.locator("#panel code.command").text_content()
    assert command.startswith(f"resfront export drone --trial {trial} ")
    page.reload()
    expect(status).to_contain_text("Exported and checked")


def test_the_command_is_copied(open_page: Open, context: Any, drone: StudyResults) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = open_page(f"drone?trial={loneliest(drone)}")
    button = page.get_by_role("button", name="Copy command")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".copy-command")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#panel code.command").text_content()
    expect(page.locator(".copy-command")).to_have_text("Copy command")


def test_a_server_that_does_not_answer_is_said(context: Any, address: str) -> None:
    page = context.new_page()
    page.goto(f"{address}/drone")
    until(page, lambda: dots(page) > 100)
    expect(page.locator("#connection")).to_have_count(0)
    page.route("**/_dash-update-component*", lambda route: route.abort())
    expect(page.locator("#connection")).to_contain_text("The dashboard does not answer")
    page.unroute("**/_dash-update-component*")
    expect(page.locator("#connection")).to_have_count(0)
    page.close()


def test_an_export_that_fails_says_why(open_page: Open, drone: StudyResults, go: Path) -> None:
    trial = first(drone.trials, "completed", 4)
    go.write_text("error: the weights are <gone>")
    page = open_page(f"drone?trial={trial}")
    page.get_by_role("button", name="Export ONNX and all").click()
    expect(page.locator("#export-status")).to_have_text("Not exported: the weights are <gone>")
    assert not (drone.directory / "exports" / f"trial-{trial:05d}").exists()
    go.write_text("")
    page.get_by_role("button", name="Export ONNX and all").click()
    expect(page.locator("#export-status")).to_contain_text("Exported and checked")


def test_a_spec_is_no_archive(open_page: Open, drone: StudyResults, go: Path) -> None:
    """The archive's button appears after the spec's was pressed; it must not be taken for pressed as well."""
    go.touch()
    page = open_page(f"drone?trial={first(drone.trials, 'completed', 8)}")
    downloads: list[str] = []
    page.on("download", lambda download: downloads.append(download.suggested_filename))
    page.get_by_role("button", name="Download spec").click()
    until(page, lambda: downloads)
    page.get_by_role("button", name="Export ONNX and all").click()
    expect(page.get_by_role("button", name="Download all as .zip")).to_be_visible()
    quiet(page)
    assert len(downloads) == 1 and downloads[0].endswith(".spec.json")


def test_only_what_can_be_exported_has_the_button(open_page: Open, drone: StudyResults) -> None:
    page = open_page(f"drone?trial={first(drone.trials, 'rejected')}")
    expect(page.locator("#panel .detail-badge-rejected")).to_be_visible()
    assert page.get_by_role("button", name="Export ONNX and all").count() == 0


def test_only_a_page_of_this_dashboard_may_export(address: str, drone: StudyResults, go: Path) -> None:
    go.touch()
    trial = first(drone.trials, "completed", 6)
    directory = drone.directory / "exports" / f"trial-{trial:05d}"
    token = next(
        part["props"]["data"]
        for part in json.loads(ask(address, "GET", "/_dash-layout")[1])["props"]["children"]
        if part["props"].get("id") == "page-token"
    )
    for wrong in ("", None, token[:-1], [token]):
        answer = ask(address, "POST", "/_dash-update-component", export_request(trial, wrong))[1]
        assert "earlier start" in answer and "spinner" not in answer
    time.sleep(0.5)
    assert not directory.exists()
    code, answer = ask(address, "POST", "/_dash-update-component", export_request(trial, token))
    assert code == 200 and "spinner" in answer
    deadline = time.monotonic() + 20
    while not directory.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def export_request(trial: int, token: Any) -> Any:
    """What the page sends where its export button is pressed."""
    button = {"type": "export", "trial": trial}
    name = json.dumps(button, sort_keys=True, separators=(",", ":"))
    outputs = [{"id": "export-status", "property": "children"}, {"id": "export-tick", "property": "disabled"}]
    return {
        "output": "..export-status.children...export-tick.disabled..",
        "outputs": outputs,
        "inputs": [
            [{"id": button, "property": "n_clicks", "value": 1}],
            {"id": "export-tick", "property": "n_intervals", "value": 0},
        ],
        "changedPropIds": [f"{name}.n_clicks"],
        "state": [
            {"id": "selected", "property": "data", "value": trial},
            {"id": "study", "property": "data", "value": "drone"},
            {"id": "page-token", "property": "data", "value": token},
        ],
    }


def ask(address: str, method: str, path: str, body: Any = None) -> tuple[int, str]:
    headers = {"Origin": address, "Content-Type": "application/json"}
    with closing(http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)) as connection:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
