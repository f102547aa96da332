"""The panel of one trial as a tree of components: what it says of trials of every status, and that texts stay texts."""

import json
import math
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from dash.development.base_component import Component

from objectives import OBJECTIVES, known_costs
from objectives.base import objectives_named
from objectives.devices import load_profile, profile_names
from objectives.devices.roofline import Unsupported, estimate_latency
from runners.candidate import QUANTIZE, Observation
from search_space.architectures import architecture_from_dict
from search_space.references import reference, reference_names
from search_space.spec import Architecture
from studies.analysis.stage_costs import stage_costs
from studies.dashboard.panel.architecture import MAX_CELLS, draw_architecture, in_words, stage_shares
from studies.dashboard.panel.detail import HINT, detail_panel
from studies.dashboard.panel.devices_table import device_rows
from studies.results.study_results import StudyResults
from studies.texts.wording import describe_latency, format_figure
from tests.studies.conftest import SPACE, RandomTrial

StudyOf = Callable[..., StudyResults]
HOSTILE = "<img src=x onerror=alert(1)>[x](javascript:alert(1))"
MEASURED = {
    "kind": "measured",
    "latency_ms": 0.1723,
    "p90_ms": 0.181,
    "runs": 42,
    "precision": "int8",
    "device": "cpu",
    "threads": 1,
    "processor": "Xeon",
    "runtime": "onnxruntime 1.32.0",
    "predicted_ms": 0.1664,
}


def parts(tree: Any) -> Iterator[Component]:
    """Every component of a tree, its root first."""
    if isinstance(tree, list | tuple):
        for child in tree:
            yield from parts(child)
    elif isinstance(tree, Component):
        yield tree
        yield from parts(getattr(tree, "children", None))


def with_class(tree: Any, name: str) -> list[Component]:
    return [part for part in parts(tree) if name in str(getattr(part, "className", "")).split()]


def with_id(tree: Any, identity: str) -> list[Component]:
    return [part for part in parts(tree) if getattr(part, "id", None) == identity]


def text(tree: Any) -> str:
    """What a reader sees, the strings between components."""
    if isinstance(tree, list | tuple):
        return "".join(map(text, tree))
    return text(getattr(tree, "children", None) or "") if isinstance(tree, Component) else str(tree)


def badges(panel: Component) -> list[str]:
    return [text(badge) for badge in with_class(panel, "detail-badge")]


def figures(panel: Component) -> dict[str, tuple[str, str]]:
    """Label -> value and kind."""
    (listed,) = with_class(panel, "detail-figures")
    words = [text(item) for item in listed.children]
    return {words[i]: (words[i + 1], words[i + 2]) for i in range(0, len(words), 3)}


def changed(results: StudyResults, trial: int, **values: Any) -> StudyResults:
    """The study with other values in one row, and in its record; a column that is missing is made."""
    trials = results.trials.copy()
    facts = {name: values.pop(name) for name in ("spec", "latency", "observation") if name in values}
    values["record"] = replace(trials["record"].iloc[trial], **facts)
    for name, value in values.items():
        cells = trials[name].tolist() if name in trials else [math.nan] * len(trials)
        cells[trial] = value
        trials[name] = cells if all(isinstance(cell, float) for cell in cells) else pd.Series(cells, dtype=object)
    return replace(results, trials=trials)


def measured(results: StudyResults, trial: int) -> StudyResults:
    results = changed(results, trial, latency={"latency_ms": MEASURED}, latency_ms=0.1723)
    return replace(results, objectives=objectives_named(["accuracy", "latency_ms", "file_bytes"]))


def first(results: StudyResults, status: str) -> int:
    return int(results.trials["trial"][results.trials["status"] == status].iloc[0])


class TestPanel:
    def test_nothing_selected(self, drone: StudyResults, empty: StudyResults) -> None:
        assert text(detail_panel(drone, None)) == HINT
        assert text(detail_panel(empty, None)) == HINT

    def test_unknown_trial(self, drone: StudyResults, empty: StudyResults) -> None:
        assert text(detail_panel(drone, 99)) == "There is no trial 99: drone has 32 trials."
        assert text(detail_panel(empty, 0)) == "There is no trial 0: drone has 0 trials."

    def test_every_trial_of_every_status_is_plain_data(self, drone: StudyResults) -> None:
        for row in drone.trials.to_dict("records"):
            panel = detail_panel(drone, row["trial"])
            said = text(panel)
            assert said.startswith(f"Trial {row['trial']}")
            assert row["network"] in said
            json.dumps(panel.to_plotly_json(), default=lambda part: part.to_plotly_json(), allow_nan=False)
            for part in parts(panel):
                for name in (getattr(part, "id", None) or "detail-", *(getattr(part, "className", None) or "").split()):
                    assert re.match(r"(detail|arch)-|plot$", name), name

    def test_order_of_the_parts(self, drone: StudyResults) -> None:
        panel = detail_panel(drone, first(drone, "completed"))
        looks = [str(getattr(part, "className", "")) for part in panel.children]
        assert looks[:4] == ["detail-title", "detail-badges", "detail-network", "detail-actions"]
        assert looks[4].startswith("arch-drawing")
        heads = [text(head) for head in with_class(panel, "detail-head")]
        assert heads == ["Figures", "Where the cost goes", "Learning curve", "Latency across devices"]

    def test_front_knee_dominated_and_over_a_limit(self, drone: StudyResults) -> None:
        seen = set()
        for row in drone.trials[drone.trials["status"] == "completed"].to_dict("records"):
            panel = detail_panel(drone, row["trial"])
            expected = ["on the front"] if row["front"] else ["dominated"] if row["feasible"] else ["over a limit"]
            if row["trial"] == drone.knee_trial:
                expected.append("knee")
            assert badges(panel) == expected
            reasons = [text(reason) for reason in with_class(panel, "detail-reason")]
            assert bool(reasons) == (not row["feasible"])
            assert all(re.fullmatch(r"(accuracy >= 0\.68|file_bytes <= 1,000,000) \(is .+\)", said) for said in reasons)
            assert len(with_class(panel, "detail-over")) == len(reasons)
            seen.update(expected)
        assert len(seen) == 4, "the fixture has trials of each class"

    @pytest.mark.parametrize(
        ("status", "badge", "reason", "no_curve"),
        [
            ("rejected", "rejected", "file_bytes <= 1,000,000", "rejected before training"),
            ("failed", "failed", "loss is <NaN>", "failed before its first epoch"),
            ("running", "running", None, "evaluation is not done"),
        ],
    )
    def test_trials_without_an_accuracy(
        self, drone: StudyResults, status: str, badge: str, reason: str | None, no_curve: str
    ) -> None:
        panel = detail_panel(drone, first(drone, status))
        assert badges(panel) == [badge]
        reasons = [text(found) for found in with_class(panel, "detail-reason")]
        assert [said.startswith(str(reason)) for said in reasons] == [True] * (reason is not None)
        assert no_curve in text(panel)
        assert not with_id(panel, "detail-curve")
        assert not with_id(panel, "detail-actions")
        assert not with_class(panel, "detail-beside")
        assert set(figures(panel)) == {
            "MACs",
            "Parameters",
            "File size",
            "Packed size",
            "BOPs",
            "Peak activation memory",
        }

    def test_stopped_early_with_the_curve_so_far(self, drone: StudyResults) -> None:
        trial = first(drone, "running")
        whole = drone.trials["record"].iloc[0].observation
        observation = replace(whole, curve=whole.curve[:3])
        stopped = changed(drone, trial, status="stopped", reason="behind at epoch 3", observation=observation)
        panel = detail_panel(stopped, trial)
        assert badges(panel) == ["stopped early"]
        assert text(with_class(panel, "detail-reason")) == "behind at epoch 3"
        assert with_id(panel, "detail-curve")
        assert not with_id(panel, "detail-actions")

    def test_a_duplicate_shows_what_the_first_one_found(self, drone: StudyResults) -> None:
        trial = first(drone, "duplicate")
        original = int(drone.trials["trial"][drone.trials["key"] == drone.trials["key"].iloc[trial]].iloc[0])
        bare = changed(drone, trial, observation=None, reason=f"the network of trial {original}")
        panel = detail_panel(bare, trial)
        assert badges(panel) == ["duplicate", *badges(detail_panel(bare, original))]
        assert f"the network of trial {original}" in [text(found) for found in with_class(panel, "detail-reason")]
        assert f"as trial {original}" in text(panel)
        assert with_id(panel, "detail-curve")
        assert with_id(panel, "detail-actions")

    def test_what_cannot_be_exported_has_no_room_for_buttons(self, drone: StudyResults) -> None:
        trial = first(drone, "duplicate")
        assert not with_id(detail_panel(changed(drone, trial, accuracy=math.nan), trial), "detail-actions")
        assert not with_id(detail_panel(changed(drone, trial, spec=None), trial), "detail-actions")

    def test_a_failed_trial_without_a_network(self, drone: StudyResults) -> None:
        trial = first(drone, "failed")
        nothing = {name: math.nan for name in OBJECTIVES if name in drone.trials}
        panel = detail_panel(changed(drone, trial, spec=None, network=None, key=None, **nothing), trial)
        assert "Its network is not known." in text(panel)
        assert "None is known yet." in text(panel)
        assert not with_class(panel, "arch-drawing")
        assert not with_class(panel, "detail-devices")

    def test_texts_of_the_study_stay_texts(self, drone: StudyResults) -> None:
        trial = first(drone, "failed")
        panel = detail_panel(changed(drone, trial, label=HOSTILE, reason=HOSTILE, network=HOSTILE), trial)
        assert text(panel).count(HOSTILE) == 3
        assert not any(type(part).__name__ in ("Markdown", "DangerouslySetInnerHTML") for part in parts(panel))
        for part in parts(panel):
            attributes = {name: value for name, value in part.to_plotly_json()["props"].items() if name != "children"}
            assert HOSTILE not in json.dumps(attributes, default=str)

    def test_a_label_that_pandas_holds_as_nan(self, drone: StudyResults) -> None:
        trial = first(drone, "completed")
        panel = detail_panel(changed(drone, trial, label=math.nan, reason=math.nan), trial)
        assert text(with_class(panel, "detail-title")) == f"Trial {trial}"
        assert not with_class(panel, "detail-reason")

    def test_no_torch(self) -> None:
        code = "import sys, studies.dashboard.panel.detail; sys.exit('torch' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class TestFigures:
    def test_each_with_its_kind(self, drone: StudyResults) -> None:
        trial = first(drone, "completed")
        found = figures(detail_panel(measured(drone, trial), trial))
        row = drone.trials.iloc[trial]
        assert found["Latency"] == ("0.172 ms", "measured, predicted 0.166 ms")
        assert found["Accuracy"] == (
            format_figure(OBJECTIVES["accuracy"], row),
            f"trained: proxy, {100 * row['float_accuracy']:.2f} % in float, limit ≥ 68.00 %",
        )
        assert found["File size"] == (f"{row['file_bytes'] / 1000:.3g} kB", "within 1 %, limit ≤ 1 MB")
        assert {kind for value, kind in found.values() if value} == {
            "exact",
            "within 1 %, limit ≤ 1 MB",
            *(found[name][1] for name in ("Latency", "Accuracy")),
        }

    def test_estimated_for_a_device(self, drone: StudyResults) -> None:
        trial = first(drone, "completed")
        found = figures(detail_panel(changed(drone, trial, **{"latency_ms@rpi4": 4.5}), trial))
        assert found["Latency on rpi4"] == ("4.5 ms", "estimated")

    def test_how_a_latency_was_measured(self, drone: StudyResults) -> None:
        trial = first(drone, "completed")
        notes = [text(note) for note in with_class(detail_panel(measured(drone, trial), trial), "detail-note")]
        assert f"Latency: {describe_latency(MEASURED)}." in notes

    def test_beside_the_nearest_reference(self, drone: StudyResults) -> None:
        said = [text(with_class(detail_panel(drone, trial), "detail-beside")) for trial in range(4)]
        assert said[:2] == ["It is resnet20.", "It is resnet56."]
        accuracy = r"It (has the accuracy of|is [\d.]+ points (above|below))"
        costs = r"resnet(20|56) at .+ of the MACs and .+ the size\."
        assert all(re.fullmatch(f"{accuracy} {costs}", one) for one in said[2:])


def three_quantized(results: StudyResults) -> Observation:
    """What trial 2 found, if it had trained its last three epochs at its bits."""
    whole: Observation = results.trials["record"].iloc[2].observation
    curve = [replace(point, step=QUANTIZE if point.epoch > 5 else "train") for point in whole.curve]
    return replace(whole, curve=tuple(curve))


class TestCurve:
    def test_its_points_dashed_from_the_last_float_epoch(self, study_of: StudyOf) -> None:
        results = study_of("completed", "completed", "completed")
        observation = three_quantized(results)
        (graph,) = with_id(detail_panel(changed(results, 2, observation=observation), 2), "detail-curve")
        lines = graph.figure.data
        assert [list(line.x) for line in lines] == [[1, 2, 3, 4, 5], [5, 6, 7, 8]]
        assert [line.line.dash for line in lines] == ["solid", "dash"]
        assert [*lines[0].y, *lines[1].y[1:]] == [point.metric for point in observation.curve]
        assert not graph.figure.layout.annotations
        assert graph.config == {"displayModeBar": False}

    def test_in_words(self, study_of: StudyOf) -> None:
        results = study_of("completed", "completed", "completed")
        said = text(detail_panel(changed(results, 2, observation=three_quantized(results)), 2))
        assert "8 epochs, 3 of them quantized (dashed); 40 s of training and evaluation. The proxy: 8 epochs of" in said

    def test_a_single_epoch_is_a_point(self, study_of: StudyOf) -> None:
        results = study_of("completed")
        whole = results.trials["record"].iloc[0].observation
        one = changed(results, 0, observation=replace(whole, curve=whole.curve[:1]))
        (graph,) = with_id(detail_panel(one, 0), "detail-curve")
        assert "markers" in graph.figure.data[0].mode


class TestDevices:
    def test_measured_first_then_every_profile(self, drone: StudyResults) -> None:
        trial = first(drone, "completed")
        rows = device_rows(measured(drone, trial), trial)
        assert rows[0][:4] == ("cpu", "Xeon, int8", "measured", 0.1723)
        assert [row.device for row in rows[1:]] == list(profile_names())
        assert {row.kind for row in rows[1:]} == {"estimated"}

    def test_estimates_and_reasons_are_those_of_the_profiles(self, drone: StudyResults) -> None:
        refused = 0
        for trial, record in zip(drone.trials["trial"], drone.trials["record"], strict=True):
            graph = architecture_from_dict(record.spec).build_graph()
            for row in device_rows(drone, trial):
                if row.reason:
                    refused += 1
                    assert math.isnan(row.latency_ms)
                    with pytest.raises(Unsupported, match=re.escape(row.reason)):
                        estimate_latency(graph, load_profile(row.device))
                else:
                    assert row.latency_ms == estimate_latency(graph, load_profile(row.device)).latency_ms
        assert refused

    def test_in_the_panel(self, drone: StudyResults) -> None:
        trial = first(drone, "completed")
        rows = device_rows(drone, trial)
        (table,) = with_class(detail_panel(drone, trial), "detail-devices")
        said = [text(row) for row in table.children[1].children]
        assert len(said) == len(rows)
        for row, words in zip(rows, said, strict=True):
            assert words.startswith(row.device)
            assert words.endswith(f"cannot run: {row.reason}" if row.reason else " msestimated")

    def test_no_network_no_rows(self, drone: StudyResults) -> None:
        assert device_rows(drone, 99) == ()
        assert device_rows(changed(drone, 0, spec=None), 0) == ()


@pytest.fixture(scope="module")
def networks() -> list[Architecture]:
    """Random points of the space, and references in it and outside."""
    rng = random.Random(3)
    return [
        *(SPACE.sample(RandomTrial(rng)) for _ in range(20)),
        *(reference(name) for name in reference_names()),
        reference("mobilenetv2@0.5", bits=4, resolution=32, num_classes=10),
    ]


class TestDrawing:
    def test_a_bar_a_block_as_high_as_it_is_wide(self, networks: list[Architecture]) -> None:
        for network in networks:
            spec = network.to_dict()
            drawing = draw_architecture(spec)
            sections = stage_costs(spec)
            columns = with_class(drawing, "arch-stage")
            assert len(columns) == len(sections)
            for column, section in zip(columns, sections, strict=True):
                bars = with_class(column, "arch-cell")
                assert len(bars) == max(1, len(section.blocks))
                assert all(f"arch-bits{min(section.bits)}" in bar.className for bar in bars)
                assert len(with_class(column, "arch-se")) == sum(block.se for block in section.blocks)
            heights = [float(bar.style["height"].rstrip("%")) for bar in with_class(drawing, "arch-cell")]
            widths = [block.channels for section in sections for block in section.blocks]
            inner = heights[1:-1]
            ranked = [height for _, height in sorted(zip(widths, inner, strict=True))]
            assert ranked == sorted(inner)
            assert max(heights) <= 100
            assert len(set(inner)) == len(set(widths)), "other widths are other heights"

    def test_too_many_blocks_are_one_bar_with_their_number(self) -> None:
        spec = reference("se_resnet56", bits=4).to_dict()
        deep = {**spec, "stages": [{**stage, "num_blocks": MAX_CELLS + 1} for stage in spec["stages"]]}
        bars = with_class(draw_architecture(deep), "arch-many")
        assert [text(bar) for bar in bars] == [str(MAX_CELLS + 1)] * 3
        assert all("arch-se" in bar.className for bar in bars)
        assert not with_class(draw_architecture(spec), "arch-many")

    def test_says_it_in_words(self) -> None:
        spec = reference("se_resnet56", bits=4).to_dict()
        drawing = draw_architecture(spec)
        said = drawing.to_plotly_json()["props"]
        assert said["role"] == "img"
        assert said["aria-label"] == in_words(spec)
        assert said["aria-label"] == (
            "ResNet-56 basic+SE · widths 16/32/64 · 32 px · 4 bits: stem, 16 channels, 32×32, 8 bits; "
            "stage 1, 9 basic+SE blocks, 16 channels, 32×32, 4 bits; stage 2, 9 basic+SE blocks, 32 channels, 16×16, "
            "4 bits; stage 3, 9 basic+SE blocks, 64 channels, 8×8, 4 bits; head, 10 classes, 8 bits"
        )
        labels = [text(cell) for cell in with_class(drawing, "arch-blocks") + with_class(drawing, "arch-text")]
        assert labels[1] == "9 × basic+SE"
        assert {"16 ch", "32×32", "8 bits", "10", "classes"} <= set(labels)
        assert with_class(drawing, "arch-legend")

    def test_narrow_columns_of_many_stages(self) -> None:
        drawing = draw_architecture(reference("mobilenetv2").to_dict())
        assert with_class(drawing, "arch-narrow")
        names = [text(cell) for cell in with_class(drawing, "arch-name")]
        assert names == ["stem", *map(str, range(1, 8)), "head"]
        assert [text(cell) for cell in with_class(drawing, "arch-blocks")][1:4] == ["1 ×", "2 ×", "3 ×"]
        assert not with_class(drawing, "arch-legend")


class TestShares:
    @pytest.mark.parametrize("name", ["resnet110", "mobilenetv2"])
    def test_bars_are_the_shares(self, name: str) -> None:
        network = reference(name)
        spec, costs = network.to_dict(), known_costs(network.build_graph())
        table = stage_shares(spec)
        rows = table.children[1].children
        bars = [[float(bar.style["width"].rstrip("%")) for bar in with_class(row, "arch-fill")] for row in rows]
        for column, cost in enumerate(("macs", "params")):
            expected = [100 * getattr(section, cost) / costs[cost] for section in stage_costs(spec)]
            assert [row[column] for row in bars] == pytest.approx(expected, abs=0.051)
            assert sum(row[column] for row in bars) == pytest.approx(100, abs=0.5)

    def test_per_cent_and_numbers(self) -> None:
        rows = [text(row) for row in stage_shares(reference("resnet20").to_dict()).children[1].children]
        assert rows[0] == "stem1.1 %442 k0.17 %464"
        assert rows[4] == "head< 0.1 %6400.24 %650"
