"""The figures' info against brute force and hand-made studies; the drawings only for what info cannot show."""

import itertools
import json
import math
import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from objectives.base import OBJECTIVES, objectives_named
from objectives.limits import parse_limit
from search_space.errors import UserError
from search_space.references import reference
from search_space.space import SearchSpace
from search_space.spec import ArchSpec
from studies import figures
from studies.figures.front.label_layout import CHARACTER_PX, PLOT_WIDTH_PX, along, places_beside, places_in_rows, spread
from studies.figures.front.references import draw_references, references_within
from studies.figures.theme import new_canvas
from studies.results.study_results import StudyResults
from studies.texts.wording import describe_spec, format_duration, format_value, parameter_label, saved_training
from tests.studies.conftest import with_records

StudyOf = Callable[..., StudyResults]
FIGURES = ("front", "hypervolume", "parallel", "importance", "curves")


def trials_with(results: StudyResults, status: str) -> set[int]:
    return set(results.trials["trial"][results.trials["status"] == status])


class TestWording:
    def test_spec_in_one_line(self) -> None:
        spec = reference("resnet32", bits=8)
        assert describe_spec(spec.to_dict()) == "ResNet-32 basic · widths 16/32/64 · 32 px · 8 bits"

    def test_stages_that_differ_are_all_named(self) -> None:
        spec = reference("se_resnet56")
        assert isinstance(spec, ArchSpec)
        mixed = replace(spec.with_bits(8, 4, 4), stages=spec.with_bits(8, 4, 4).stages)
        stages = (replace(mixed.stages[0], se=False), *mixed.stages[1:])
        words = describe_spec(replace(mixed, stages=stages).to_dict())
        assert words == "ResNet-56 basic/basic+SE/basic+SE · widths 16/32/64 · 32 px · 8/4/4 bits"

    def test_reference_outside_the_space(self) -> None:
        assert describe_spec(reference("mobilenetv2@0.5").to_dict()) == "mobilenetv2@0.5 · 224 px · float"

    @pytest.mark.parametrize(
        ("name", "value", "text"),
        [
            ("accuracy", 0.91234, "91.23 %"),
            ("macs", 12_345_678, "12.3 M"),
            ("macs", 999_600, "1 M"),
            ("file_bytes", 147_000, "147 kB"),
            ("file_bytes", 999, "999 B"),
            ("bops", 2.51e9, "2.51 G"),
            ("macs", math.nan, "–"),
        ],
    )
    def test_values_carry_their_unit(self, name: str, value: float, text: str) -> None:
        assert format_value(OBJECTIVES[name], value) == text

    def test_times_keep_three_digits(self) -> None:
        latency = replace(OBJECTIVES["macs"], unit="ms")
        assert [format_value(latency, v) for v in (1.2345, 999.7)] == ["1.23 ms", "1000 ms"]

    def test_durations_and_parameters(self) -> None:
        assert [format_duration(s) for s in (48.2, 725, 12_000)] == ["48 s", "12 min 5 s", "3 h 20 min"]
        assert parameter_label("width_multiplier2") == "width multiplier 2"


class TestFront:
    def test_each_network_is_drawn_once_in_its_class(self, drone: StudyResults) -> None:
        info = figures.front_info(drone)
        groups = [{point.trial for point in group} for group in (info.front, info.dominated, info.infeasible)]
        assert all(groups), "the fixture has points of every class"
        assert set.union(*groups) == trials_with(drone, "completed")
        assert sum(map(len, groups)) == len(info.points) == 22
        assert groups[0] == set(drone.trials["trial"][drone.trials["front"]])
        assert not groups[2] & set(drone.trials["trial"][drone.trials["feasible"]])
        assert {p.trial for p in info.groups["rejected"]} == trials_with(drone, "rejected")
        assert {p.trial for p in info.groups["failed"]} == trials_with(drone, "failed")
        assert info.not_drawn == "3 duplicate, 1 running"

    def test_axes_by_default_and_by_name(self, drone: StudyResults) -> None:
        info = figures.front_info(drone)
        assert (info.x.name, info.y.name, info.third and info.third.name) == ("macs", "accuracy", "file_bytes")
        other = figures.front_info(drone, "bops")
        row = drone.trials.set_index("trial").loc[info.front[0].trial]
        point = next(p for p in other.front if p.trial == info.front[0].trial)
        assert (point.x, point.y, point.third) == (row["bops"], row["accuracy"], row["macs"])
        with pytest.raises(UserError, match="did you mean 'macs'"):
            figures.front_info(drone, "mac")

    @pytest.mark.parametrize("x", ["macs", "file_bytes", "peak_memory_bytes"])
    def test_staircase_is_what_no_front_member_beats(self, drone: StudyResults, x: str) -> None:
        info = figures.front_info(drone, x)
        for point in info.front:
            beaten = any((p.x <= point.x and p.y > point.y) or (p.x < point.x and p.y == point.y) for p in info.front)
            equal = [p for p in info.staircase if (p.x, p.y) == (point.x, point.y)]
            assert bool(equal) != beaten
        assert [p.x for p in info.staircase] == sorted(p.x for p in info.staircase)

    def test_line_steps_up_at_each_point(self, drone: StudyResults) -> None:
        info = figures.front_info(drone)
        line = next(t for t in figures.draw_front(info).data if t.mode == "lines" and t.x[0] is not None)
        corners = list(zip(line.x, line.y, strict=True))
        assert corners[0:-1:2] == [(p.x, p.y) for p in info.staircase], "every other corner is a network"
        assert all(one[1] == before[1] for before, one in zip(corners[::2], corners[1::2], strict=True)), "then level"
        assert line.x[-1] == max(p.x for p in info.points)

    def test_third_objective_is_the_colour(self, drone: StudyResults) -> None:
        info = figures.front_info(drone)
        front = next(t for t in figures.draw_front(info).data if (t.name or "").startswith("front"))
        assert list(front.marker.color) == pytest.approx([math.log10(p.third) for p in info.front])
        assert list(front.customdata) == [p.trial for p in info.front]
        two = replace(drone, objectives=drone.objectives[:2], worst=drone.worst[:2], best=drone.best[:2])
        assert figures.front_info(two).third is None

    def test_classes_differ_in_shape(self, drone: StudyResults) -> None:
        named = [t for t in figures.plot_front(drone).data if t.mode == "markers"]
        assert len(named) == 6
        assert len({(t.marker.symbol, t.marker.size) for t in named}) == 6
        assert len({t.name.partition(" (")[0] for t in named}) == 6

    def test_trials_without_an_accuracy_have_a_strip_of_their_own(self, drone: StudyResults) -> None:
        figure = figures.plot_front(drone)
        low = {t.name: t for t in figure.data if t.yaxis == "y2"}
        assert set(low) == {"rejected (3)", "failed (3)"}
        rejected = drone.trials[drone.trials["status"] == "rejected"]
        assert sorted(low["rejected (3)"].x) == sorted(rejected["macs"])
        between_costs = figures.plot_front(drone, "macs", "file_bytes")
        assert not [t for t in between_costs.data if t.yaxis == "y2"]
        points = next(t for t in between_costs.data if t.name == "rejected (3)")
        assert sorted(points.y) == sorted(rejected["file_bytes"])

    def test_what_exceeds_the_readers_limits_stands_back(self, drone: StudyResults) -> None:
        limit = parse_limit("max", "macs=30e6")
        info = figures.front_info(drone, within=[limit])
        macs = drone.trials.set_index("trial")["macs"]
        assert all(p.within == (macs[p.trial] <= 30e6) for group in info.groups.values() for p in group)
        pale = [t for t in figures.draw_front(info).data if t.marker.opacity == 0.3]
        assert {int(n) for t in pale for n in t.customdata} == {
            p.trial for group in info.groups.values() for p in group if not p.within
        }
        assert limit in info.limits

    def test_thousands_of_points_are_one_path(self, drone: StudyResults) -> None:
        info = figures.front_info(drone)
        figure = figures.draw_front(info, max_markers=2)
        paths = {shape.name: shape.path for shape in figure.layout.shapes if shape.type == "path"}
        large = {group: points for group, points in info.groups.items() if len(points) > 2 and group != "front"}
        assert len(paths) == len(large) > 1
        assert sorted(path.count("M") for path in paths.values()) == sorted(map(len, large.values()))
        first = info.dominated[0]
        assert f"M{first.x:.5g},{first.y:.5g}H" in paths["dominated"]
        hovered = [int(n) for t in figure.data if t.mode == "none" for n in t.customdata]
        assert sorted(hovered) == sorted(p.trial for points in large.values() for p in points)

    def test_third_figure_as_size_or_none(self, drone: StudyResults) -> None:
        info = figures.front_info(drone, third="params")
        front = next(t for t in figures.draw_front(info, third_as="size").data if (t.name or "").startswith("front"))
        order = sorted(range(len(info.front)), key=lambda i: info.front[i].third)
        sizes = [front.marker.size[i] for i in order]
        assert sizes == sorted(sizes) and sizes[0] < sizes[-1]
        assert figures.front_info(drone, third="").third is None

    def test_what_was_stopped_is_within_the_axes(self, drone: StudyResults) -> None:
        info = figures.front_info(drone, log=(False, None))
        far = info.points[0]._replace(x=3 * max(p.x for p in info.points), y=math.nan)
        stopped = replace(info, groups={**info.groups, "stopped": (far,)})
        assert figures.draw_front(stopped).layout.xaxis.range[1] >= far.x

    def test_linear_axes_have_linear_ranges(self, drone: StudyResults) -> None:
        info = figures.front_info(drone, log=(False, None))
        figure = figures.draw_front(info)
        assert figure.layout.xaxis.type == "linear"
        low, high = figure.layout.xaxis.range
        xs = [p.x for p in info.points]
        assert low <= min(xs) and high >= max(xs)
        names = {a.text: a.x for a in figure.layout.annotations if a.yref == "y domain"}
        assert names["resnet8"] == 12_501_632

    def test_selected_trial_is_ringed(self, drone: StudyResults) -> None:
        trial = figures.front_info(drone).dominated[0].trial
        figure = figures.draw_front(figures.front_info(drone, selected=trial))
        ring = next(t for t in figure.data if (t.name or "").startswith("selected"))
        assert list(ring.customdata) == [trial]
        assert figures.front_info(drone, selected=10_000).selected is None

    def test_knee_is_that_of_the_front(self, drone: StudyResults) -> None:
        info = figures.front_info(drone)
        rows = drone.trials[drone.trials["front"]].set_index("trial")
        best = rows.loc[rows["accuracy"].idxmax()]
        costs = [objective.name for objective in drone.objectives if objective.name != "accuracy"]
        gains = {
            trial: 0.025 * np.mean([math.log2(min(10, best[name] / row[name])) for name in costs])
            - (best["accuracy"] - row["accuracy"]) / (best["accuracy"] - drone.commonest_share)
            for trial, row in rows.iterrows()
        }
        assert info.knee is not None
        assert info.knee.trial == max(gains, key=lambda trial: gains[trial])

    def test_no_knee_of_one_network(self, study_of: StudyOf) -> None:
        assert figures.front_info(study_of("completed")).knee is None

    def test_trained_references_are_named_others_are_lines(self, drone: StudyResults) -> None:
        info = figures.front_info(drone)
        assert {p.reference for p in info.points} == {None, "resnet20", "resnet56"}
        lines = {r.name: r.x for r in info.references}
        assert "resnet20" not in lines
        assert lines["resnet8"] == 12_501_632  # MLPerf Tiny: 12.5 M MACs
        low, high = min(p.x for p in info.points), max(p.x for p in info.points)
        costs = drone.references.set_index("name")["macs"].drop(["resnet20", "resnet56"])
        assert set(lines) == set(costs[(costs >= low) & (costs <= high)].index)
        texts = {a.text for a in figures.draw_front(info).layout.annotations}
        assert {"resnet20", "resnet56", "resnet8"} <= texts

    def test_limits_of_the_axes(self, drone: StudyResults) -> None:
        assert [str(limit) for limit in figures.front_info(drone, "file_bytes").limits] == [
            "file_bytes <= 1,000,000",
            "accuracy >= 0.68",
        ]
        assert [limit.objective for limit in figures.front_info(drone).limits] == ["accuracy"]

    def test_pointer_shows_words_values_and_no_markup(self, drone: StudyResults) -> None:
        trials = drone.trials.copy()
        trials.loc[0, "label"] = "<img src=x>"
        point = next(p for p in figures.front_info(replace(drone, trials=trials)).points if p.trial == 0)
        row = trials.iloc[0]
        assert point.text.splitlines()[0].split("<br>") == [
            "<b>trial 0</b> · &lt;img src=x&gt;",
            describe_spec(row["record"].spec),
            f"Accuracy {100 * row['accuracy']:.2f} %",
            "MACs 40.8 M",
            "File size 322 kB",
        ]


class TestLabelLayout:
    @pytest.mark.parametrize("seed", range(30))
    def test_names_in_a_row_do_not_overlap(self, seed: int) -> None:
        rng = random.Random(seed)
        positions = sorted(rng.random() for _ in range(15))
        names = ["n" * rng.randint(4, 18) for _ in positions]
        boxes: dict[int, list[tuple[float, float]]] = {}
        for name, position, place in zip(names, positions, places_in_rows(names, positions, 4), strict=True):
            if place:
                width, at = len(name) * CHARACTER_PX, position * PLOT_WIDTH_PX
                left = {"left": at, "center": at - width / 2, "right": at - width}[place.anchor]
                boxes.setdefault(place.row, []).append((left, left + width))
                assert -1e-9 <= left <= PLOT_WIDTH_PX - width + 1e-9
        assert all(a[1] <= b[0] for row in boxes.values() for a, b in itertools.pairwise(row))
        assert sum(map(len, boxes.values())) >= 4

    def test_lines_without_room_for_a_name_are_not_drawn(self, drone: StudyResults) -> None:
        crowd = references_within(drone, OBJECTIVES["macs"], OBJECTIVES["accuracy"], [1e6, 1e9])
        canvas = new_canvas("", "", height=100)
        rows = draw_references(canvas, crowd, (6.0, 9.0))
        figure = canvas.to_figure()
        named = [a for a in figure.layout.annotations if a.text and a.yref == "y domain"]
        assert len(figure.layout.shapes) == len(named) < len(crowd)
        assert rows == 4

    def test_names_of_near_points_go_to_different_sides(self) -> None:
        points = [(0.5, 0.5), (0.52, 0.51)]
        first, second = places_beside(["resnet20", "resnet32"], points, points)
        assert first != second

    def test_a_name_is_not_written_over_a_line(self) -> None:
        """The best network's: the line comes from below and goes on to the right, near the upper edge of the plot."""
        at = (0.6, 0.95)
        line = along([(0.5, 0.88), (0.6, 0.88), at, (0.9, 0.95)])
        assert max(abs(b[0] - a[0]) for a, b in itertools.pairwise(line)) * PLOT_WIDTH_PX <= 8.0
        places = [places_beside(["resnet20@0.5"], [at], [at, *others])[0] for others in ([], line)]
        assert [place.x_anchor for place in places] == ["center", "right"]

    @pytest.mark.parametrize("seed", range(20))
    def test_spread_keeps_order_and_gap(self, seed: int) -> None:
        rng = random.Random(seed)
        wished = sorted(rng.uniform(0, 100) for _ in range(8))
        placed = spread(wished, 10, 0, 100)
        assert all(b - a >= 10 - 1e-9 for a, b in itertools.pairwise(placed))
        assert placed[0] >= 0
        assert placed[-1] <= 100 + 1e-9

    def test_spread_moves_a_crowd_evenly_and_nothing_else(self) -> None:
        assert spread([10, 50, 52, 90], 10, 0, 100) == [10, 46, 56, 90]


class TestHypervolume:
    def test_counts_trained_trials_in_the_order_they_finished(self, drone: StudyResults) -> None:
        info = figures.hypervolume_info(drone)
        assert len(info.steps) == 25  # 22 completed, 3 failed
        assert [step.trained for step in info.steps] == list(range(1, 26))
        volumes = [step.hypervolume for step in info.steps]
        assert volumes == sorted(volumes)
        assert volumes[-1] == drone.trials["hypervolume"].max()
        swapped = drone.trials.copy()
        swapped.loc[[0, 1], "finished"] = swapped.loc[[1, 0], "finished"].to_numpy()
        assert [s.trial for s in figures.hypervolume_info(replace(drone, trials=swapped)).steps[:3]] == [1, 0, 2]

    def test_states_the_box(self, drone: StudyResults) -> None:
        box = figures.hypervolume_info(drone).box
        assert "Accuracy 10.00 % to 100.00 %, MACs 400 M to 1 M, File size 2 MB to 10 kB" in box


class TestParallel:
    def test_dimensions_are_parameters_that_vary_then_objectives(self, drone: StudyResults) -> None:
        info = figures.parallel_info(drone)
        labels = [dimension.label for dimension in info.dimensions]
        assert labels[-3:] == ["Accuracy", "MACs", "File size"]
        assert {"depth", "block", "base width", "width multiplier 2", "bits"} <= set(labels)
        trials = with_records(drone.trials, lambda record: replace(record, params={**record.params, "bits": 8}))
        constant = figures.parallel_info(replace(drone, trials=trials))
        assert "bits" not in [dimension.label for dimension in constant.dimensions]

    def test_positions_follow_the_values(self, drone: StudyResults) -> None:
        info = figures.parallel_info(drone)
        rows = drone.trials.set_index("trial").loc[list(info.trials)]
        by_label = {dimension.label: dimension for dimension in info.dimensions}
        macs = rows["macs"].map(math.log10)
        expected = (macs - macs.min()) / (macs.max() - macs.min())
        assert list(by_label["MACs"].positions) == pytest.approx(expected.tolist())
        bits = {"4": 0.0, "8": 0.5, "32": 1.0}
        assert by_label["bits"].ticks == tuple((place, text) for text, place in bits.items())
        assert list(by_label["bits"].positions) == [bits[str(r.params["bits"])] for r in rows["record"]]
        assert list(by_label["block"].values) == [r.params["block"] for r in rows["record"]]

    def test_ticks_are_the_choices_of_the_space(self, study_of: StudyOf) -> None:
        by_label = {
            d.label: d for d in figures.parallel_info(study_of("completed", "completed", "completed")).dimensions
        }
        assert [text for _, text in by_label["block"].ticks] == list(SearchSpace().blocks)
        depth = by_label["depth"]  # 39 choices: a scale, though only three are drawn
        low, high = int(min(depth.values, key=int)), int(max(depth.values, key=int))
        assert depth.positions == tuple((int(text) - low) / (high - low) for text in depth.values)

    def test_ticks_of_whole_parameters_are_whole(self, drone: StudyResults) -> None:
        depth = next(d for d in figures.parallel_info(drone).dimensions if d.label == "depth")
        low, high = int(depth.ticks[0][1]), int(depth.ticks[-1][1])
        for place, text in depth.ticks:
            assert place == pytest.approx((int(text) - low) / (high - low))

    def test_front_is_drawn_last(self, drone: StudyResults) -> None:
        info = figures.parallel_info(drone)
        traces = figures.draw_parallel(info).data
        front = {trial for trial, on_front in zip(info.trials, info.front, strict=True) if on_front}
        assert set(traces[-1].customdata) == front
        assert not set(traces[0].customdata) & front


class TestImportance:
    def test_finds_the_parameter_that_decides(self, drone: StudyResults) -> None:
        trials = drone.trials.copy()
        trials["accuracy"] = trials["accuracy"].where(
            trials["accuracy"].isna(), [0.9 if r.params["bits"] == 8 else 0.5 for r in trials["record"]]
        )
        info = figures.importance_info(replace(drone, trials=trials))
        assert info.parameters[0] == "bits"
        assert info.shares[0][0] > 0.9
        assert info.shares[0][1] < 0.2  # bits do not change the MACs

    def test_shares_sum_to_one_and_repeat(self, drone: StudyResults) -> None:
        info = figures.importance_info(drone)
        for column in zip(*info.shares, strict=True):
            assert sum(column) == pytest.approx(1)
        assert figures.importance_info(drone) == info

    def test_few_networks_make_a_guess(self, drone: StudyResults) -> None:
        info = figures.importance_info(drone)
        subtitle = figures.draw_importance(info).layout.title.subtitle.text
        assert f"a rough guess from {info.networks} networks" in subtitle.replace("<br>", " ")
        many = replace(info, networks=50)
        assert "guess" not in figures.draw_importance(many).layout.title.subtitle.text

    def test_says_how_many_are_needed(self, study_of: StudyOf) -> None:
        info = figures.importance_info(study_of(*["completed"] * 5))
        assert info.message == "Importance needs 8 distinct evaluated networks; this study has 5."

    def test_objective_that_never_varies(self, drone: StudyResults) -> None:
        trials = drone.trials.copy()
        trials["macs"] = 1e6
        info = figures.importance_info(replace(drone, trials=trials))
        assert {row[1] for row in info.shares} == {0.0}


class TestCurves:
    def test_front_by_last_accuracy_then_the_others(self, drone: StudyResults) -> None:
        info = figures.curves_info(drone)
        assert {c.trial for c in info.front} == set(drone.trials["trial"][drone.trials["front"]])
        assert {c.trial for c in info.front + info.others} == trials_with(drone, "completed")
        last = [c.values[-1] for c in info.front]
        assert last == sorted(last)

    def test_quantized_part_is_dashed_and_joined(self, drone: StudyResults) -> None:
        info = figures.curves_info(drone)
        curve = next(c for c in info.front if c.float_epochs < len(c.epochs))
        assert curve.float_epochs == 5
        parts = [t for t in figures.draw_curves(info).data if curve.trial in t.customdata]
        assert [t.line.dash for t in parts] == ["solid", "dash"]
        assert list(parts[0].x) == [1, 2, 3, 4, 5]
        assert list(parts[1].x) == [5, 6, 7, 8]

    def test_float_curve_is_one_line(self, drone: StudyResults) -> None:
        info = figures.curves_info(drone)
        curve = next(c for c in info.front if c.float_epochs == len(c.epochs))
        parts = [t for t in figures.draw_curves(info).data if curve.trial in t.customdata]
        assert [t.line.dash for t in parts] == ["solid"]

    def test_labels_hang_on_the_ends_of_their_curves(self, drone: StudyResults) -> None:
        """However far they are moved apart: a line of the curve's colour goes from the one to the other."""
        info = figures.curves_info(drone)
        crowded = replace(
            info, front=tuple(replace(c, values=(*c.values[:-1], 0.7 + c.trial / 1e6)) for c in info.front)
        )
        for shown in (info, crowded):
            labels = figures.draw_curves(shown).layout.annotations
            assert {int(label.text): (label.x, label.y) for label in labels} == {
                curve.trial: (curve.epochs[-1], curve.values[-1]) for curve in shown.front
            }
            assert all(label.showarrow is not False and label.axref != "x" and label.ax > 0 for label in labels)
        moved = [label.ay for label in labels]
        assert all(above - below >= 12.9 for below, above in itertools.pairwise(sorted(moved))), moved

    def test_trial_without_a_curve(self, study_of: StudyOf) -> None:
        study = study_of("completed")
        study.trials.at[0, "record"] = replace(study.trials["record"].iloc[0], observation=None)
        assert figures.curves_info(study).message == "No trial has a learning curve."


@pytest.mark.parametrize("name", FIGURES)
class TestEveryFigure:
    def test_empty_study_gets_a_message(self, name: str, empty: StudyResults) -> None:
        figure = getattr(figures, f"plot_{name}")(empty)
        assert not figure.data
        assert "No candidate has been evaluated yet" in figure.layout.annotations[0].text

    def test_failures_only_are_counted_in_the_message(self, name: str, study_of: StudyOf) -> None:
        info = getattr(figures, f"{name}_info")(study_of("failed", "failed", "rejected", "running"))
        assert info.message == "No candidate has been evaluated yet (1 rejected, 2 failed, 1 running)."

    def test_odd_studies_raise_nothing(self, name: str, study_of: StudyOf, drone: StudyResults) -> None:
        plot = getattr(figures, f"plot_{name}")
        plot(study_of("completed"))
        plot(study_of("completed", "completed"))
        plot(study_of(*["completed", "duplicate"] * 4))
        trials = drone.trials.assign(feasible=False, front=False, hypervolume=0.0)
        plot(replace(drone, trials=trials))

    def test_four_objectives_in_another_order(self, name: str, drone: StudyResults) -> None:
        objectives = objectives_named(["file_bytes", "bops", "accuracy", "peak_memory_bytes"])
        study = replace(drone, objectives=objectives, worst=(2e6, 1e11, 0.1, 1e6), best=(1e4, 1e7, 1.0, 1e3))
        assert getattr(figures, f"plot_{name}")(study).data

    def test_an_accuracy_on_an_axis_is_said_to_be_a_proxys(self, name: str, drone: StudyResults) -> None:
        layout = getattr(figures, f"plot_{name}")(drone).to_plotly_json()["layout"]
        titles = [axis.get("title", {}).get("text", "") for key, axis in layout.items() if key[1:5] == "axis"]
        assert {title for title in titles if "Accuracy" in title} <= {"Accuracy of the proxy"}
        assert (name in ("front", "curves")) == ("Accuracy of the proxy" in titles)

    def test_ticks_of_log_axes_are_whole_numbers(self, name: str, drone: StudyResults) -> None:
        """Between the powers of ten plotly writes only the first digit where it is not told how: 2 for 0.2."""
        layout = getattr(figures, f"plot_{name}")(drone).to_plotly_json()["layout"]
        logs = [axis for key, axis in layout.items() if key[1:5] == "axis" and axis.get("type") == "log"]
        assert all(axis["tickformat"] in ("~g", "~s") for axis in logs)

    def test_uses_the_template_and_json_without_nan(self, name: str, drone: StudyResults) -> None:
        figure = getattr(figures, f"plot_{name}")(drone)
        assert figure.layout.template == figures.TEMPLATE
        json.loads(figure.to_json(), parse_constant=pytest.fail)


def test_every_figure_is_exported() -> None:
    expected = {f"{verb}_{name}" for name in FIGURES for verb in ("plot", "draw")} | {f"{n}_info" for n in FIGURES}
    assert expected <= set(figures.__all__)
    assert all(hasattr(figures, name) for name in figures.__all__)


@pytest.mark.parametrize(
    ("stopped", "saved", "words"),
    [
        (3, 0.032, "3 trials stopped early: 3 % of the training saved"),
        (1, -0.43, "1 trial stopped early; the rungs cost 43 % more training than that saved"),
        (0, -0.25, "0 trials stopped early; the rungs cost 25 % more training than that saved"),
        (0, 0.0, ""),
        (0, math.nan, ""),
    ],
)
def test_what_was_saved_is_told(stopped: int, saved: float, words: str) -> None:
    assert saved_training(stopped, saved) == words
