"""Networks on equal terms: who dominates whom by hand, and real trainings through the command line."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from objectives import known_costs
from runners.config import DataConfig, TrainingConfig
from runners.recipes.recipe import Recipe, trained_recipe
from runners.recipes.steps import Quantize, Train
from search_space import ArchSpec, reference
from studies.comparison.device_comparison import Comparison, Contender, DeviceColumn
from studies.comparison.same_recipe import conclusion, standings
from studies.comparison.same_recipe_figure import draw_equal_terms
from studies.figures import front_info, plot_front
from studies.results.reading import load_results
from tests.studies import synthetic
from tests.studies.command import Resfront
from tests.studies.synthetic import study_config as original
from tests.studies.synthetic import write_study

pytestmark = pytest.mark.numbers

DIGITS = {"resolution": 8, "num_classes": 10, "in_channels": 1}


def comparison(*rows: tuple[str, str, float, float, bool]) -> Comparison:
    """Name, reference, accuracy, latency, whether of the study."""
    return Comparison(
        contenders=tuple(
            Contender(name=name, architecture=reference(network), accuracy=accuracy, from_study=front)
            for name, network, accuracy, _, front in rows
        ),
        columns=(
            DeviceColumn(
                device="cpu",
                kind="measured",
                latency_ms=tuple(row[3] for row in rows),
                reasons=("",) * len(rows),
                runtime="onnxruntime",
            ),
        ),
        threads=1,
    )


def test_who_dominates_whom() -> None:
    """Only networks of the study dominate; all of accuracy, latency and size count; what cannot run does not."""
    found = standings(
        comparison(
            ("front", "resnet20", 0.9, 1.0, True),
            ("worse", "resnet32", 0.85, 2.0, False),
            ("better", "resnet32", 0.95, 2.0, False),
            ("smaller", "resnet8", 0.8, 2.0, False),
            ("cannot", "resnet32", 0.7, math.nan, False),
            ("equal", "resnet20", 0.9, 1.0, False),
        )
    )
    assert {one.contender.name: one.dominated_by for one in found} == {
        "front": (),
        "worse": ("front",),
        "better": (),
        "smaller": (),
        "cannot": (),
        "equal": (),
    }
    assert found[0].costs["params"] == 272_474
    figure = draw_equal_terms(found, subtitle="9 epochs", device="cpu")
    assert [trace.name for trace in figure.data if trace.name] == [
        "of the study (1, 0 dominated)",
        "published networks (4, 1 dominated)",
    ]
    assert figure.layout.xaxis.tickformat == "~g", "between powers of ten 0.2 ms would read 2"
    assert {note.text for note in figure.layout.annotations} == {"front", "worse", "better", "smaller", "equal"}


def test_what_the_standings_say_of_the_front() -> None:
    front, small = ("trial 1", "resnet20", 0.90, 1.0, True), ("trial 2", "resnet8", 0.70, 0.5, True)
    worse, twice = ("worse", "resnet32", 0.85, 2.0, False), ("resnet32", "resnet32", 0.95, 2.0, False)
    twin = ("twin", "resnet20", 0.92, 0.9, False)

    def said(*rows: tuple[str, str, float, float, bool]) -> str:
        return conclusion(standings(comparison(*rows)))

    assert said(front, small) == said(worse) == ""
    assert said(front, small, worse) == "no other network dominates one of the front"
    sizes = [reference(name).build_graph() for name in ("resnet32", "resnet20")]
    ratio = known_costs(sizes[0])["file_bytes"] / known_costs(sizes[1])["file_bytes"]
    assert said(front, small, worse, twice) == (
        "no other network dominates one of the front; the most accurate is resnet32, 5.0 points above "
        f"trial 1, the best of the front, at 2 times the latency and {ratio:.2g} times the size"
    )
    assert said(front, small, ("cannot", "resnet32", 0.99, math.nan, False)) == "", "what cannot run does not count"
    assert said(front, small, twin).startswith("twin dominates trial 1 of the front; the most accurate is twin, 2.0")


def test_networks_in_float_beside_a_front_of_8_bits_are_said_to_be_so() -> None:
    found = comparison(("trial 1", "resnet20", 0.9, 1.0, True), ("resnet32", "resnet32", 0.8, 1.0, False))
    at_8 = replace(found.contenders[0], architecture=reference("resnet20", bits=8))
    assert "--bits 8" in conclusion(standings(replace(found, contenders=(at_8, found.contenders[1]))))
    assert "--bits" not in conclusion(standings(found))


def test_the_recipe_is_the_same_for_all() -> None:
    """As the study's proxies: one cycle, and below 8 bits its last third quantized."""
    data, training = DataConfig(name="digits"), TrainingConfig(epochs=6)
    few = reference("resnet8", bits=4, **DIGITS)
    assert isinstance(few, ArchSpec)

    def trained_at(architecture: ArchSpec) -> Recipe:
        return trained_recipe(architecture, data, training, fingerprint="", seed=0)

    recipe = trained_at(few)
    assert [(type(step), step.epochs) for step in recipe.steps if isinstance(step, Train | Quantize)] == [
        (Train, 4),
        (Quantize, 2),
    ]
    assert [type(step) for step in trained_at(few.with_bits(32)).steps] == [Train]
    last = trained_at(few.with_bits(8)).steps[-1]
    assert isinstance(last, Quantize) and (last.bits, last.epochs) == ((8,), 0) and last.peak == pytest.approx(0.06)


@pytest.mark.slow
def test_on_real_images(resfront: Resfront, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESFRONT_DATA", str(tmp_path / "cache"))
    write_study(tmp_path / "drone", trials=20)
    options = ["--references", "resnet8,mobilenetv2@0.35", "--study", "drone", "--runs", tmp_path, "--top", 1]
    options += ["--epochs", 1, "--set", "images=128", "--set", "validation_images=100", "--bits", 8, "--workers", 2]
    done = resfront("compare", *options, "-o", tmp_path / "plot.html")
    assert done.code == 0, done.err
    table = done.out.partition("\n\n")[0].splitlines()
    assert len(table) == 1 + 3
    names = {line.split("  ")[0] for line in table[1:]}
    assert {"resnet8", "mobilenetv2@0.35"} < names and any(name.endswith("*") for name in names)
    assert (tmp_path / "plot.html").exists()
    again = resfront("compare", *options, "--json").json
    accuracies = {network["name"]: network["accuracy"] for network in again["networks"]}
    for line in table[1:]:
        assert f"{100 * accuracies[line.split('  ')[0].removesuffix(' *')]:.2f} %" in line
    alone = resfront("compare", "--references", "resnet8", "--epochs", 1)
    assert alone.code == 2 and "--data" in alone.err


@pytest.mark.slow
def test_a_study_draws_in_what_was_trained_alike(
    resfront: Resfront, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESFRONT_DATA", str(tmp_path / "cache"))
    small = TrainingConfig(images=128, validation_images=100, epochs=1)
    monkeypatch.setattr(synthetic, "study_config", lambda *args: replace(original(*args), training=small))
    write_study(tmp_path / "drone", trials=20)
    assert front_info(load_results(tmp_path / "drone")).references == () or all(
        math.isnan(one.y) for one in front_info(load_results(tmp_path / "drone")).references
    )
    options = ("--references", "resnet8", "--study", "drone", "--runs", tmp_path, "--as-study")
    done = resfront("compare", *options, "--json")
    assert done.code == 0, done.err
    (accuracy,) = [one["accuracy"] for one in done.json["networks"] if one["name"] == "resnet8"]
    results = load_results(tmp_path / "drone")
    (found,) = [one for one in front_info(results).references if one.y == one.y]
    assert (found.name, found.y) == ("resnet8", accuracy)
    (trace,) = [trace for trace in plot_front(results).data if trace.name == "published, trained alike"]
    assert list(trace.y) == [accuracy]
    front = {one["name"]: one["accuracy"] for one in done.json["networks"] if one["name"] != "resnet8"}
    assert set(front.values()) == set(results.front["accuracy"])
    assert resfront("compare", "--references", "resnet8", "--as-study").code == 2
