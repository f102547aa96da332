"""The report as text, and as a browser without a network shows it."""

import html
import re
import shlex
import shutil
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from runners.config import TrainingConfig
from runners.storage.study_files import StorageError
from studies.report.page import write_report
from studies.report.report_text import front_table, reasons, summary
from studies.report.reproduce import commands, config_toml
from studies.results.study_results import StudyResults
from studies.study.config import parse_config
from studies.texts.wording import describe_proxy, describe_spec
from tests.studies.conftest import with_records

StudyOf = Callable[..., StudyResults]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


class VisibleText(HTMLParser):
    """Collects text outside of scripts and styles, and every tag."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.tags, self._hidden = "", [], False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._hidden = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text += data


def parsed(path: Path) -> VisibleText:
    parser = VisibleText()
    parser.feed(path.read_text(encoding="utf-8"))
    return parser


@pytest.fixture(scope="module")
def report(drone: StudyResults, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    assert write_report(drone, path) == path
    return path


class TestText:
    def test_summary(self, drone: StudyResults) -> None:
        found = summary(drone)
        assert found["Trials"] == "32: 22 completed, 3 duplicate, 3 rejected, 3 failed, 1 running"
        assert found["Limits"] == "File size at most 1 MB (rejected 3 candidates); Accuracy at least 68.00 %"
        assert found["Sampler"] == "front, seed 7"
        assert found["Proxy training"].startswith("8 epochs of 10,000 images")
        assert found["Data set"] == (
            "cifar10 (fingerprint 1f2e3d): 2 classes; 10,000 images to train on, 2,000 to validate (20 % held out)"
        )
        # 22 x 40 s, and 0.1 s for each of 3 rejected and 3 failed; from minute 0 to 40 s after minute 30
        assert found["Time"].startswith("14 min 41 s of training and evaluation, 30 min 40 s from")

    def test_limits_say_what_they_left_out(self, drone: StudyResults) -> None:
        """By the reasons that the search wrote down, and for what is learned by the figures."""
        trials = drone.trials.copy()
        rejected = trials.index[trials["status"] == "rejected"]
        trials.loc[rejected[:2], "label"] = ["resnet110", "resnet56"]
        trials.loc[rejected[2], "reason"] = "file_bytes <= 1,000,000,000 (is 2,000,000,000)"
        trained = trials.index[trials["status"] == "completed"]
        trials.loc[trained, "accuracy"] = 0.7
        trials.loc[trained[0], "accuracy"] = 0.6
        assert summary(replace(drone, trials=trials))["Limits"] == (
            "File size at most 1 MB (rejected 2 candidates, resnet110 and resnet56 among them); "
            "Accuracy at least 68.00 % (kept 1 trained network off the front)"
        )

    def test_table_has_the_front_by_accuracy(self, drone: StudyResults) -> None:
        table = front_table(drone)
        front = drone.trials[drone.trials["front"]].sort_values("accuracy", ascending=False)
        assert [row.trial for row in table.rows] == front["trial"].tolist()
        assert [row.network for row in table.rows] == [describe_spec(record.spec) for record in front["record"]]
        assert {"Accuracy", "MACs", "File size", "BOPs", "Parameters"} <= set(table.heads)
        assert [row.trial for row in table.rows if row.knee] == [drone.knee_trial]

    def test_config_makes_the_same_study(self, drone: StudyResults) -> None:
        tables = tomllib.loads(config_toml(drone))
        assert parse_config(tables, "study.toml") == parse_config(drone.config, "drone")

    def test_commands(self, drone: StudyResults, empty: StudyResults) -> None:
        search, export = commands(drone).splitlines()
        assert search == "resfront search study.toml --name drone"
        knee = drone.knee_trial
        assert export == f"resfront export drone --trial {knee} -o drone-{knee}"
        assert commands(empty).count("\n") == 0

    def test_commands_quote_odd_names(self, drone: StudyResults) -> None:
        search = commands(replace(drone, name="a b;c")).splitlines()[0]
        assert shlex.split(search)[-1] == "a b;c"

    def test_reasons_are_counted_over_their_figures(self, drone: StudyResults) -> None:
        assert set(reasons(drone)) == {
            ("rejected", "file_bytes <= 1,000,000", 3),
            ("failed", "loss is <NaN>", 3),
        }

    def test_failure_without_a_reason(self, drone: StudyResults) -> None:
        trials = drone.trials.copy()
        trials["reason"] = trials["reason"].where(trials["status"] != "failed", None)
        assert ("failed", "unknown", 3) in reasons(replace(drone, trials=trials))


class TestHtml:
    def test_holds_plotly_once_and_refers_to_nothing(self, report: Path) -> None:
        text = report.read_text(encoding="utf-8")
        assert len(re.findall(r"plotly\.js v\d", text)) == 1
        tags = parsed(report).tags
        assert not [attrs for _, attrs in tags if "src" in attrs or "href" in attrs]
        assert "link" not in [tag for tag, _ in tags]

    def test_shows_every_network_of_the_front(self, report: Path, drone: StudyResults) -> None:
        text = parsed(report).text.replace("\u00a0", " ")
        assert all(row.network in text for row in front_table(drone).rows)
        for head in ("Summary", "Pareto front", "Importance", "How to reproduce", "Versions", "torch 2.13.0"):
            assert head in text

    def test_what_comes_from_the_study_is_escaped(self, report: Path, drone: StudyResults, tmp_path: Path) -> None:
        evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
        trials = drone.trials.copy()
        trials.loc[0, "label"] = evil
        trials["reason"] = trials["reason"].map(lambda reason: evil if isinstance(reason, str) else reason)
        trials = with_records(trials, lambda record: replace(record, params={**record.params, evil: record.number % 3}))
        path = write_report(replace(drone, name=evil, trials=trials), tmp_path / "report.html")
        assert "<img" not in path.read_text(encoding="utf-8").replace(plotly_of(path), "")
        count = sum(tag == "script" for tag, _ in parsed(report).tags)
        assert sum(tag == "script" for tag, _ in parsed(path).tags) == count
        assert html.escape(evil) in path.read_text(encoding="utf-8")

    def test_replaces_the_old_report_or_leaves_it(
        self, study_of: StudyOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "report.html"
        path.write_text("old")
        study = study_of("completed")

        def fail(*_: object, **__: object) -> None:
            raise OSError("disk full")

        with monkeypatch.context() as patch:
            patch.setattr(Path, "write_bytes", fail)
            with pytest.raises(StorageError, match="disk full"):
                write_report(study, path)
        assert path.read_text() == "old"
        write_report(study, path)
        assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
        assert list(tmp_path.iterdir()) == [path]

    def test_nothing_evaluated(self, empty: StudyResults, study_of: StudyOf, tmp_path: Path) -> None:
        text = parsed(write_report(empty, tmp_path / "empty.html")).text
        assert text.count("No candidate has been evaluated yet (no trial).") == 1
        assert "Networks of the front" not in text
        text = parsed(write_report(study_of("failed", "rejected"), tmp_path / "failed.html")).text
        assert "No candidate has been evaluated yet (1 rejected, 1 failed)." in text
        assert "loss is <NaN>" in text

    def test_nothing_feasible(self, drone: StudyResults, tmp_path: Path) -> None:
        trials = drone.trials.assign(feasible=False, front=False, hypervolume=0.0)
        text = parsed(write_report(replace(drone, trials=trials), tmp_path / "report.html")).text
        within = "of those that keep file_bytes <= 1,000,000, the best accuracy is"
        assert f"There is no front: none of the completed trials keeps the limits: {within}" in text
        assert "and --min asks for at least 68.00 %." in text

    def test_a_proxy_that_hardly_learned_is_said(self, drone: StudyResults, tmp_path: Path) -> None:
        said = "hardly better than the 96.0 % of always answering the commonest class"
        assert said not in parsed(write_report(drone, tmp_path / "report.html")).text
        results = replace(drone, commonest_share=0.96, trials=drone.trials.assign(accuracy=0.962))
        assert said in parsed(write_report(results, tmp_path / "report.html")).text

    def test_one_trial(self, study_of: StudyOf, tmp_path: Path) -> None:
        text = parsed(write_report(study_of("completed"), tmp_path / "report.html")).text
        assert "Importance needs 8 distinct evaluated networks; this study has 1." in text
        assert "Parallel coordinates need two evaluated networks" in text


def plotly_of(path: Path) -> str:
    """The library inside the report: it has markup of its own in its strings."""
    scripts = re.findall(r"<script>(.*?)</script>", path.read_text(encoding="utf-8"), re.DOTALL)
    return str(max(scripts, key=len))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
class TestBrowser:
    @pytest.mark.parametrize("width", [1280, 390])
    def test_draws_offline_without_complaint(self, browser: Any, report: Path, width: int) -> None:
        page = browser.new_page(viewport={"width": width, "height": 900})
        requests, complaints = [], []
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(report.as_uri())
        page.wait_for_function("document.querySelectorAll('.figure .main-svg').length >= 5")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        title = "#plot-front .gtitle"
        assert page.text_content(title).startswith("Accuracy against MACs")
        page.select_option("select", label="Parameters")
        page.wait_for_function(f"document.querySelector('{title}').textContent.includes('Parameters')")
        page.close()
        assert complaints == []
        assert [url for url in requests if not url.startswith("data:")] == [report.as_uri()]

    def test_names_on_a_phone_do_not_overlap(self, browser: Any, report: Path) -> None:
        page = browser.new_page(viewport={"width": 390, "height": 900})
        page.goto(report.as_uri())
        page.wait_for_selector("#plot-front .annotation-text")
        boxes = page.evaluate(
            "[...document.querySelectorAll('#plot-front .annotation-text')]"
            ".map(element => element.getBoundingClientRect().toJSON())"
        )
        page.close()
        assert len(boxes) >= 8
        for i, a in enumerate(boxes):
            for b in boxes[i + 1 :]:
                apart = a["right"] <= b["left"] + 1 or b["right"] <= a["left"] + 1
                assert apart or a["bottom"] <= b["top"] + 3 or b["bottom"] <= a["top"] + 3


def test_the_proxy_says_which_epochs_train_on_smaller_images() -> None:
    training = asdict(TrainingConfig(epochs=6, images=10000, resolution_scale=0.5, full_resolution_fraction=0.34))
    assert describe_proxy(training, None) == (
        "6 epochs of 10,000 images, the first 4 at 0.5 of the resolution; accuracy on 2,000 held-out validation images"
    )
    assert describe_proxy({**training, "resolution_scale": 1.0}, None).startswith("6 epochs of 10,000 images; accuracy")
