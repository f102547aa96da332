"""The budget box: what it offers, what is typed in it, and the answer; and latencies on devices for every page."""

from pathlib import Path
from typing import Any

import pytest

from objectives import OBJECTIVES, Limit
from objectives.devices import load_profile, profile_names
from objectives.devices.roofline import Unsupported, estimate_latency
from search_space.architectures import architecture_from_dict
from search_space.errors import UserError
from studies.analysis.budgets import budgets
from studies.analysis.recommendation import recommend, with_figures
from studies.dashboard.library import Library
from studies.dashboard.limits.rows import answer, budget_choices, device_options, limit_rows, limits_of_budget, typed_in
from studies.dashboard.limits.values import limits_from
from studies.dashboard.pages.networks_table import columns
from studies.launch.create import create_study
from studies.results.study_results import StudyResults
from tests.studies.synthetic import append_trials, study_config, write_study

from .test_detail import parts


def words(tree: Any) -> str:
    return " ".join(
        part.children for part in parts(tree) if isinstance(getattr(part, "children", None), str)
    ) + " ".join(
        text for part in parts(tree) for text in (getattr(part, "children", None) or []) if isinstance(text, str)
    )


def rows_of(tree: Any) -> dict[str, tuple[str, float]]:
    """Figure -> what is typed and where the slider stands."""
    found: dict[str, dict[str, Any]] = {}
    for part in parts(tree):
        if isinstance(identity := getattr(part, "id", None), dict):
            found.setdefault(identity["name"], {})[identity["type"]] = part.value
    return {name: (row["limit-text"], row["limit-slider"]) for name, row in found.items()}


@pytest.fixture
def library(tmp_path: Path) -> Library:
    write_study(tmp_path / "drone", trials=40)
    return Library(tmp_path)


@pytest.mark.parametrize("name", list(budgets()))
def test_a_named_budget_means_in_the_box_what_it_means_on_the_command_line(drone: StudyResults, name: str) -> None:
    typed = limits_of_budget(name)
    limits, complaints = limits_from(typed)
    assert complaints == ()
    assert {limit.objective: limit.kind for limit in limits} == {
        one.objective: one.kind for one in budgets()[name].limits
    }
    values = {limit.objective: limit.value for limit in budgets()[name].limits}
    assert {limit.objective: limit.value for limit in limits} == pytest.approx(values)
    wider = with_figures(drone, [figure for figure in typed if "@" in figure])
    rows = rows_of(limit_rows(wider, typed))
    assert {figure: rows[figure][0] for figure in typed} == typed
    assert all(text == "" for figure, (text, _) in rows.items() if figure not in typed)
    assert recommend(wider, limits).best == recommend(drone, budgets()[name].limits).best


def test_the_box_offers_the_budgets_and_the_devices(drone: StudyResults) -> None:
    name, device = (part for part in parts(budget_choices(drone)) if hasattr(part, "options"))
    assert [option["value"] for option in name.options] == list(budgets())
    assert [option["value"] for option in device.options] == list(profile_names())
    known = with_figures(drone, ["latency_ms@rpi4"])
    assert "rpi4" not in [option["value"] for option in device_options(known)]


def test_rows_keep_what_is_typed(drone: StudyResults) -> None:
    identities = [{"type": "limit-text", "name": name} for name in ("macs", "accuracy", "params")]
    typed = typed_in(["20M", None, "much"], identities)
    assert typed == {"macs": "20M", "params": "much"}
    rows = rows_of(limit_rows(drone, typed))
    assert (rows["macs"][0], rows["params"][0], rows["accuracy"][0]) == ("20M", "much", "")
    assert rows["macs"][1] == pytest.approx(7.301, abs=1e-3)
    assert rows["params"][1] == rows_of(limit_rows(drone))["params"][1]


def test_nothing_is_best_where_nothing_is_within_the_budget(drone: StudyResults) -> None:
    none = words(answer(drone, [Limit(objective="file_bytes", kind="max", value=1.0)]))
    assert "0 of" in none and "best by" not in none
    assert "best by accuracy" in words(answer(drone, []))


def test_every_page_has_the_latency_on_a_device_that_one_has_asked_for(library: Library) -> None:
    before = library.look("drone")
    look = library.estimate("drone", ["rpi4", "edgetpu"])
    assert before.results is not None and look.results is not None
    assert look.version == before.version + 1 and look.ended_since == {}
    assert [figure.name for figure in look.results.figures][-2:] == ["latency_ms@rpi4", "latency_ms@edgetpu"]
    for _, row in look.results.trials[look.results.trials["status"] == "completed"].iterrows():
        graph = architecture_from_dict(row["record"].spec).build_graph()
        assert row["latency_ms@rpi4"] == estimate_latency(graph, load_profile("rpi4")).latency_ms
        try:
            expected = estimate_latency(graph, load_profile("edgetpu")).latency_ms
        except Unsupported:
            assert row["latency_ms@edgetpu"] != row["latency_ms@edgetpu"]
        else:
            assert row["latency_ms@edgetpu"] == expected
    assert library.look("drone").version == look.version
    append_trials(library.runs / "drone", 2, 0)
    again = library.look("drone").results
    assert again is not None and "latency_ms@rpi4" in again.trials
    done = again.trials["status"] == "completed"
    assert again.trials["latency_ms@rpi4"][done].notna().all()


@pytest.mark.parametrize("device", ["ssh:root@localhost", "/etc/passwd.toml", "../rpi4", "rpi5", ""])
def test_a_page_cannot_have_anything_but_a_built_in_profile_read(library: Library, device: str) -> None:
    with pytest.raises(UserError, match="unknown device"):
        library.estimate("drone", ["rpi4", device])
    assert "latency_ms@rpi4" not in library.look("drone").results.trials  # type: ignore[union-attr]


def test_devices_before_the_first_trial(tmp_path: Path) -> None:
    create_study(tmp_path / "new", study_config(10))
    library = Library(tmp_path)
    assert library.estimate("new", ["rpi4"]).version == library.look("new").version
    assert library.estimate("nowhere", ["rpi4"]).state == "missing"


def test_accuracy_stands_first_in_the_table(drone: StudyResults) -> None:
    """On a phone the first columns are seen."""
    fields = [column["field"] for column in columns(drone)]
    assert fields[:5] == ["trial", "accuracy", "macs", "file_bytes", "network"]
    assert {figure.name for figure in drone.figures} <= set(fields)
    assert OBJECTIVES["accuracy"].label in [column["headerName"] for column in columns(drone)]
