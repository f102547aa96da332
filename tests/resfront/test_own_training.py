"""A training of a user's own: the example, which tells angles instead of classes, in a study from beginning to end."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import resfront
from objectives.pareto import losses, pareto_mask
from resfront import Study, UserError
from runners.candidate import Candidate, TrainingDiverged
from runners.config import DataConfig, TrainingConfig
from runners.own_training import load_evaluator
from tests.studies.command import Resfront, run_main

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
TRAIN = "rotation:train"
QUICK = {
    "data.name": "digits",
    "space.depth": [8, 14],
    "space.resolution": [8],
    "space.bits": [32, 8],
    "training.epochs": 2,
    "training.images": 400,
    "training.validation_images": 150,
}
SPEC = resfront.reference("resnet20", resolution=8, num_classes=2, in_channels=1).with_bits(8).to_dict()


@pytest.fixture(autouse=True)
def in_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLES)


def search(runs: Path, **changes: object) -> Study:
    given: dict[str, object] = {
        "evaluator": TRAIN,
        "objectives": ["angle_error_deg", "macs"],
        "name": "angles",
        "trials": 5,
        "references": [],
        "settings": QUICK,
    }
    return resfront.search("quick", runs=runs, progress=False, **{**given, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(EXAMPLES)
        return search(tmp_path_factory.mktemp("runs"), settings={**QUICK, "search.confirm": 1})


@pytest.mark.slow
def test_a_study_of_angles_has_a_front_of_angles(study: Study) -> None:
    trials, front = study.trials(), study.front()
    assert study.ending == "done" and study.results.metric.name == "angle_error_deg"
    done = trials[trials["status"] == "completed"]
    assert len(done) == 5 and done["accuracy"].isna().all()
    assert done["angle_error_deg"].between(1, 100).all() and done["within_15_deg"].between(0, 1).all()
    objectives = study.results.objectives
    on_front = pareto_mask(losses(done[["angle_error_deg", "macs"]].to_numpy(), objectives))
    assert set(front["trial"]) == set(done["trial"][on_front])
    assert front["angle_error_deg"].is_monotonic_increasing and front["macs"].is_monotonic_decreasing
    assert study.best() == front["trial"].iloc[0]
    assert study.best(max={"macs": float(front["macs"].iloc[-1])}) == front["trial"].iloc[-1]
    assert study.results.worst[0] == 90 and study.results.best[0] == 1


@pytest.mark.slow
def test_the_best_is_trained_again_and_has_the_mean(study: Study) -> None:
    again = study.trials()[study.trials()["trainings"] > 1]
    trials = study.trials()
    first = trials["first_metric"].fillna(trials["angle_error_deg"])
    assert len(again) and first[again.index].min() == first.min()
    for _, row in again.iterrows():
        assert row["record"].observation.metrics["angle_error_deg"] == row["first_metric"] != row["angle_error_deg"]


@pytest.mark.slow
def test_a_study_of_more_trials_than_early_stopping_waits_for(tmp_path: Path) -> None:
    """Forecasts are of accuracies, so that none is made, and all is run to its end."""
    found = search(tmp_path, trials=10, settings={**QUICK, "training.images": 100, "search.confirm": 0})
    assert found.results.evaluated == 10 and set(found.trials()["status"]) <= {"completed", "duplicate"}


NATS = """
import time
import resfront

LOG_LIKELIHOOD = resfront.metric(
    "log_likelihood_nats", label="Log-likelihood (nats)", unit="nats", direction="maximize", worst=-90.0, best=0.0
)

@resfront.evaluator(LOG_LIKELIHOOD, resfront.OBJECTIVES["accuracy"])
def train(candidate, on_epoch):
    network = resfront.build_network(candidate.architecture.with_bits(32))
    network = resfront.quantize(network, candidate.architecture, resfront.candidate_images(candidate)[0])
    macs = sum(node.macs for node in candidate.architecture.build_graph().nodes)
    figures = {"log_likelihood_nats": -1e6 / macs, "accuracy": 0.5}
    return resfront.evaluation_of(candidate, network, metrics=figures, training_images=9, validation_images=9,
                                  started=time.perf_counter())
"""


@pytest.mark.slow
def test_a_metric_may_be_negative_and_the_accuracy_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "nats.py").write_text(NATS)
    found = search(
        tmp_path / "runs",
        evaluator="nats:train",
        objectives=["log_likelihood_nats", "macs"],
        min={"log_likelihood_nats": -80},
        trials=4,
    )
    front = found.front()
    assert (front["log_likelihood_nats"] >= -80).all() and (front["accuracy"] == 0.5).all()
    assert front["log_likelihood_nats"].is_monotonic_decreasing
    low = float(front["log_likelihood_nats"].iloc[0])
    assert found.best(min={"log_likelihood_nats": low}) == front["trial"].iloc[0]
    assert "log-likelihood" in found.recommend().trade and "%" not in found.recommend().trade.partition("log-")[0]
    found.report(tmp_path / "report.html")


@pytest.mark.slow
def test_the_same_candidate_has_the_same_digits(study: Study) -> None:
    record = study.record(int(study.front()["trial"].iloc[-1]))
    assert record.observation is not None and record.spec is not None
    config = study._record.config
    candidate = Candidate(
        spec=dict(record.spec), seed=record.observation.seed, data=config.data, training=config.training
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(record.observation.threads)
    try:
        again = load_evaluator(TRAIN).evaluate(candidate)
    finally:
        torch.set_num_threads(threads)
    assert again.observation.metrics == record.observation.metrics
    assert [point.metric for point in again.observation.curve] == [point.metric for point in record.curve]


@pytest.mark.slow
def test_an_exported_network_gives_its_outputs(study: Study, tmp_path: Path) -> None:
    from PIL import Image

    trial = next(int(n) for n in study.trials()["trial"] if min(study.record(n).spec["stages"][0]["bits"], 9) == 8)  # type: ignore[index]
    folder = study.export(trial, tmp_path / "net")
    card = (folder / "card.md").read_text()
    assert "Angle error of these weights" in card and "rotation:train measured the metrics" in card
    assert (
        "get torch's answer" not in card and "label_smoothing" not in card and "| file | bytes |\n|---|---|\n" in card
    )
    assert "%" not in card.partition("| MACs")[0].partition("Angle error")[2].partition("|")[2].partition("\n")[0]
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "one.png")
    code = [sys.executable, str(folder / "predict.py"), str(tmp_path / "one.png")]
    done = subprocess.run(code, capture_output=True, text=True, check=True, timeout=60, cwd=tmp_path)
    assert len([float(word) for word in done.stdout.split()]) == 2


@pytest.mark.slow
def test_it_is_read_and_shown_without_the_module(study: Study, tmp_path: Path) -> None:
    """Elsewhere, where rotation.py is not to be found: as in a dashboard on another machine."""
    for command in (
        ["pareto"],
        ["recommend", "--max", "angle_error_deg=95"],
        ["status", "--json"],
        ["report", "-o", str(tmp_path / "report.html")],
    ):
        args = [sys.executable, "-m", "studies.cli", command[0], study.name, *command[1:], "--runs"]
        done = subprocess.run(
            [*args, str(study.directory.parent)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert "accuracy" not in done.stdout.lower()
    page = (tmp_path / "report.html").read_text()
    assert "Angle error" in page and "degrees" in page


@pytest.mark.slow
def test_it_is_gone_on_with_under_a_limit_on_its_metric(study: Study) -> None:
    low = float(study.front()["angle_error_deg"].iloc[0])
    study.resume(trials=6, max={"angle_error_deg": 1.001 * low}, progress=False)
    assert study.results.evaluated == 6
    assert (study.front()["angle_error_deg"] <= 1.001 * low).all()


@pytest.mark.slow
def test_two_learned_objectives(tmp_path: Path) -> None:
    """A metric to be maximised is what the study is about, the other is what a budget allows."""
    objectives = ["angle_error_deg", "within_15_deg", "macs"]
    found = search(tmp_path, evaluator=load_evaluator(TRAIN), objectives=objectives, trials=4)
    assert found.results.metric.name == "within_15_deg" and len(found.front())


def test_a_metric_is_no_accuracy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"accuracy: is not measured by rotation:train, which measures angle_error_deg"):
        search(tmp_path, objectives=["accuracy", "macs"])
    with pytest.raises(UserError, match=r"angle_error_deg: is not measured by the built-in training"):
        search(tmp_path, evaluator=None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"evaluator": "rotation"}, r"training.evaluator rotation: write package.module:function"),
        (
            {"evaluator": "rotatoin:train"},
            "there is no module rotatoin, neither installed nor in the current directory",
        ),
        ({"evaluator": "rotation:trian"}, "unknown training 'trian'; did you mean 'train'"),
        ({"evaluator": "rotation:turned"}, r"decorate it with @resfront.evaluator"),
        ({"evaluator": "__main__:train"}, "put it into a module"),
        ({"like": ["earlier"]}, "earlier trainings of classifiers say nothing of what rotation:train measures"),
        ({"settings": {**QUICK, "search.rungs": [0.25]}}, "rotation:train is always run to its end"),
        ({"evaluator": "./rotation.py:train"}, "not a path"),
        ({"objectives": ["macs", "params"]}, "a metric of training.evaluator must be among them"),
        ({"max": {"angle_eror_deg": 4}}, "angle_eror_deg"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        search(tmp_path, **changes)
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Resfront:
    return lambda *args: run_main(capsys, monkeypatch, args)


def test_a_limit_on_the_command_line_knows_the_metric(command: Resfront, tmp_path: Path) -> None:
    args = ("search", "quick", "--evaluator", TRAIN, "--objectives", "angle_error_deg,macs", "--runs", tmp_path)
    done = command(*args, "--max", "angle_error_deg=many")
    assert done.code == 2 and "no amount" in done.err


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "Angle"}, "lower-case letters"),
        ({"direction": "down"}, "must be 'minimize' or 'maximize'"),
        ({"worst": 1.0, "best": 2.0}, "0 < best < worst"),
        ({"best": 0.0}, "0 < best < worst"),
        ({"direction": "maximize"}, "worst < best"),
        ({"worst": float("nan")}, "0 < best < worst"),
        ({"worst": None}, "worst and best must be numbers, not None and 1.0"),
        ({"unit": 3}, "name, label, unit and note must be texts"),
    ],
)
def test_a_metric_says_what_is_wrong(values: dict[str, object], message: str) -> None:
    facts = {"name": "loss_db", "label": "Loss (dB)", "unit": "dB", "direction": "minimize", "worst": 9.0, "best": 1.0}
    with pytest.raises(UserError, match=message):
        resfront.metric(**{**facts, **values})  # type: ignore[arg-type]


COLUMN = """
import resfront

@resfront.evaluator(resfront.metric("duration_s", label="Time", unit="s", direction="minimize", worst=9.0, best=1.0))
def train(candidate, on_epoch):
    pass
"""


def test_a_metric_cannot_take_the_name_of_a_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "column.py").write_text(COLUMN)
    with pytest.raises(UserError, match="its metric duration_s has the name of a column of the table of trials"):
        search(tmp_path / "runs", evaluator="column:train", objectives=["duration_s", "macs"])


@pytest.mark.slow
def test_a_module_that_measures_other_metrics_does_not_go_on(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    own = load_evaluator(TRAIN)
    fewer = replace(own, metrics=own.metrics[:1])
    monkeypatch.setattr("studies.launch.create.load_evaluator", lambda name: fewer)
    message = "metrics of rotation:train: angle_error_deg, within_15_deg -> angle_error_deg"
    with pytest.raises(UserError, match=message):
        study.resume(trials=9, progress=False)


def test_a_decorator_without_metrics_says_how_it_is_written() -> None:
    with pytest.raises(UserError, match=r"write @resfront.evaluator\(METRIC, ...\)"):
        resfront.evaluator(print)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="outputs must be a whole number from 1, not 0"):
        resfront.evaluator(resfront.OBJECTIVES["accuracy"], outputs=0)


def test_a_metric_means_one_thing_in_a_process() -> None:
    """Else a front would be read by another study's direction."""
    facts = {"label": "Odd", "unit": "u", "worst": 9.0, "best": 1.0}
    resfront.OBJECTIVES.accept(resfront.metric("odd_u", direction="minimize", **facts))  # type: ignore[arg-type]
    resfront.OBJECTIVES.accept(resfront.metric("odd_u", direction="minimize", **facts))  # type: ignore[arg-type]
    other = resfront.metric("odd_u", direction="maximize", **{**facts, "worst": 0.0})  # type: ignore[arg-type]
    with pytest.raises(UserError, match="its direction is 'minimize' in one place and 'maximize' in another"):
        resfront.OBJECTIVES.accept(other)


def test_a_metric_cannot_take_the_name_of_a_cost() -> None:
    macs = resfront.metric("macs", label="MACs", unit="MACs", direction="minimize", worst=9.0, best=1.0)
    with pytest.raises(UserError, match="is the name of a figure that resfront has"):
        resfront.OBJECTIVES.accept(macs)


def test_an_image_is_known_by_its_place_in_the_data_set() -> None:
    data = resfront.load_dataset("digits")
    for images in resfront.candidate_images(CANDIDATE):
        own = data.train_images[images.index.numpy()]
        assert np.array_equal(images.images.permute(0, 2, 3, 1).numpy(), own)
        assert np.array_equal(images.labels.numpy(), data.train_labels[images.index.numpy()])
    training, validation = (set(images.index.tolist()) for images in resfront.candidate_images(CANDIDATE))
    assert training and validation and not training & validation


CANDIDATE = Candidate(spec=SPEC, seed=0, data=DataConfig(name="digits"), training=TrainingConfig(evaluator=TRAIN))
MODULE = """
import time
import resfront
ERROR = resfront.metric("error_px", label="Error", unit="px", direction="minimize", worst=9.0, best=1.0)

@resfront.evaluator(ERROR, outputs=2)
def train(candidate, on_epoch):
    network = resfront.build_network(candidate.architecture.with_bits(32))
    network = resfront.quantize(network, candidate.architecture, resfront.candidate_images(candidate)[0])
    {body}
    return resfront.evaluation_of(candidate, network, metrics={metrics}, training_images=1, validation_images=1,
                                  started=time.perf_counter())
"""


@pytest.mark.parametrize(
    ("body", "metrics", "error", "message"),
    [
        ("pass", "{'error_px': 2.0}", None, ""),
        ("return 3", "{}", UserError, "must return an Evaluation .* not int"),
        ("pass", "{}", UserError, "promises error_px, and measured nothing"),
        ("pass", "{'error_px': 2.0, 'more': 1.0}", UserError, "promises error_px, and measured error_px, more"),
        ("pass", "{'error_px': float('nan')}", TrainingDiverged, "error_px is nan"),
        ("pass", "{'error_px': 0.0}", UserError, "is minimised, so that it must be positive, not 0"),
        ("pass", "{'error_px': __import__('torch').tensor(2.0)}", None, ""),
        ("pass", "{'error_px': 'two'}", UserError, "metric error_px must be a number, not 'two'"),
        (
            "network = __import__('torch').nn.Linear(1, 2)",
            "{'error_px': 2.0}",
            UserError,
            "is not the candidate's at its",
        ),
        ("raise SystemExit(3)", "{}", RuntimeError, r"called sys.exit\(3\)"),
        ("network = None", "{'error_px': 2.0}", UserError, "must return a trained network"),
        ("1 / 0", "{}", ZeroDivisionError, r"division by zero \(own_.*\.py, line 10\)"),
    ],
)
def test_what_comes_back_is_checked(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    body: str,
    metrics: str,
    error: type[Exception] | None,
    message: str,
) -> None:
    name = f"own_{tmp_path.name}"
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / f"{name}.py").write_text(MODULE.format(body=body, metrics=metrics))
    own = load_evaluator(f"{name}:train")
    if error is None:
        assert own.evaluate(CANDIDATE).observation.metrics == {"error_px": 2.0}
        return
    with pytest.raises(error, match=message):
        own.evaluate(CANDIDATE)


def test_a_module_that_needs_another_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "needs_more.py").write_text("import no_such_package")
    with pytest.raises(UserError, match="its module needs no_such_package, which is not installed"):
        load_evaluator("needs_more:train")


def test_what_is_turned_by_a_quarter_is_turned_by_a_quarter() -> None:
    """Of the example: torch's own rotation of the grid is the oracle."""
    rotation = load_evaluator(TRAIN).train.__globals__
    image = torch.rand(2, 1, 9, 9)
    disc = rotation["turned"](image, torch.zeros(2))
    quarter = rotation["turned"](image, torch.full((2,), torch.pi / 2))
    sides = [torch.allclose(quarter, disc.rot90(times, (2, 3)), atol=1e-5) for times in (1, 3)]
    assert sides.count(True) == 1


@pytest.mark.slow
def test_json_of_the_studies(study: Study, command: Resfront) -> None:
    done = command("studies", "--runs", study.directory.parent, "--json")
    (one,) = json.loads(done.out)["studies"]
    assert one["metric"] == "angle_error_deg" and one["best"] == study.front()["angle_error_deg"].iloc[0]
