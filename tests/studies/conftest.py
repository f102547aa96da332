"""A made-up study of every kind of trial: real specs and costs, invented accuracies."""

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from objectives.base import known_costs, objectives_named
from objectives.pareto import hypervolume, losses, pareto_mask
from runners.candidate import QUANTIZE, Epoch, Observation
from runners.config import DataConfig, LimitsConfig, SearchConfig, StudyConfig, TrainingConfig
from runners.trial_record import Status, TrialRecord
from runners.verification.check_files import FileCheck
from search_space.references import reference, reference_names
from search_space.space import SearchSpace
from search_space.spec import ArchSpec
from studies.export import models
from studies.results.study_results import StudyResults
from studies.study.config import to_tables
from studies.texts.wording import describe_spec

from .command import Resfront, run_main

OBJECTIVES = objectives_named(["accuracy", "macs", "file_bytes"])
WORST, BEST = (0.1, 4e8, 2e6), (1.0, 1e6, 1e4)
SPACE = SearchSpace(depth=(18, 56), width_multipliers=(0.75, 1.0, 1.25), resolution=(24, 32), bits=(4, 8, 32))
CONFIG = StudyConfig(
    objectives=("accuracy", "macs", "file_bytes"),
    limits=LimitsConfig(max={"file_bytes": 1e6}, min={"accuracy": 0.68}),
    space=SPACE,
    data=DataConfig(name="cifar10"),
    training=TrainingConfig(images=10_000, epochs=8),
    search=SearchConfig(trials=24, seed=7, references=("resnet20", "resnet56")),
)


class RandomTrial:
    """Answers `SearchSpace.sample` at random and remembers."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.params: dict[str, Any] = {}

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1) -> int:
        self.params[name] = self.rng.randrange(low, high + 1, step)
        return self.params[name]

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        self.params[name] = self.rng.choice(list(choices))
        return self.params[name]


def plausible_accuracy(spec: ArchSpec, costs: dict[str, float], rng: random.Random) -> float:
    """Grows with the MACs and with the bits, levels off, with some noise."""
    decades = math.log10(costs["macs"] / 1e6) + 0.4 * math.log10(costs["params"] / 1e4)
    return 0.95 - 0.34 * math.exp(-decades) - (0.03 if min(spec.bits) < 8 else 0) + rng.gauss(0, 0.008)


def plausible_curve(accuracy: float, epochs: int, quantized: int, rng: random.Random) -> tuple[Epoch, ...]:
    """A curve that ends at `accuracy`, its last `quantized` epochs with quantization."""
    curve = list[Epoch]()
    for epoch in range(1, epochs + 1):
        share = 1 - math.exp(-3.2 * epoch / epochs) if epoch < epochs else 1.0
        noise = rng.gauss(0, 0.01) if epoch < epochs else 0.0
        curve.append(
            Epoch(
                step=QUANTIZE if epoch > epochs - quantized else "train",
                epoch=epoch,
                train_loss=2.3 - 1.9 * share,
                metric=0.15 + (accuracy - 0.15) * share + noise,
                seconds=3.1,
            )
        )
    return tuple(curve)


def plausible_observation(spec: ArchSpec, accuracy: float, rng: random.Random) -> Observation:
    return Observation(
        spec_key=spec.key,
        metrics={"accuracy": accuracy},
        float_metrics={"accuracy": accuracy + 0.004},
        curve=plausible_curve(accuracy, 8, 3 if min(spec.bits) < 8 else 0, rng),
        seed=0,
        dataset="cifar10",
        dataset_fingerprint="1f2e3d",
        training_images=10_000,
        validation_images=2_000,
        precision="float32",
        threads=1,
        device="x86_64",
        host="here",
        processor="Xeon",
        versions={"torch": "2.13.0"},
        duration_s=40.0,
        peak_rss_bytes=600_000_000,
    )


def make_trials(statuses: list[str], seed: int = 0) -> pd.DataFrame:
    """A row a trial; the first two completed ones are ResNet-20 and ResNet-56 at 8 bits."""
    rng = random.Random(seed)
    labels = ["resnet20", "resnet56"]
    rows: list[dict[str, Any]] = []
    for number, status in enumerate(statuses):
        label = labels.pop(0) if labels and status == "completed" else None
        trial = RandomTrial(rng)
        spec = SPACE.sample(trial)
        if label:
            named = reference(label, bits=8)
            assert isinstance(named, ArchSpec)
            spec, trial.params = named, SPACE.params_of(named)
        if status == "duplicate":
            first = next(row for row in rows if row["status"] == "completed")
            rows.append({**first, "trial": number, "status": status, "label": None, "duration_s": 0.0})
        else:
            rows.append(_row(number, status, label, spec, trial.params, rng))
    return _with_front(pd.DataFrame(rows))


def _row(
    number: int, status: str, label: str | None, spec: ArchSpec, sampled: dict[str, Any], rng: random.Random
) -> dict[str, Any]:
    costs = known_costs(spec.build_graph())
    completed, running = status == "completed", status == "running"
    accuracy = plausible_accuracy(spec, costs, rng) if completed else math.nan
    started = pd.Timestamp("2026-11-20 10:00:00", tz="UTC") + pd.Timedelta(minutes=number)
    reasons = {"rejected": f"file_bytes <= 1,000,000 (is {1_200_000 + number:g})", "failed": "loss is <NaN>"}
    record = TrialRecord(
        number=number,
        status=Status(status),
        params=sampled,
        label=label,
        key=spec.key,
        spec=spec.to_dict(),
        costs=costs,
        reason=reasons.get(status),
        observation=plausible_observation(spec, accuracy, rng) if completed else None,
    )
    return {
        "trial": number,
        "status": status,
        "reason": record.reason,
        "label": label,
        "key": spec.key,
        "network": describe_spec(spec.to_dict()),
        "accuracy": accuracy,
        **costs,
        "first_metric": math.nan,
        "trainings": int(completed),
        "float_accuracy": accuracy + 0.004,
        "feasible": completed
        and accuracy >= CONFIG.limits.min["accuracy"]
        and costs["file_bytes"] <= CONFIG.limits.max["file_bytes"],
        "started": started,
        "finished": pd.NaT if running else started + pd.Timedelta(seconds=40),
        "duration_s": math.nan if running else 40.0 if completed else 0.1,
        "images": 0,
        "record": record,
    }


def _with_front(trials: pd.DataFrame) -> pd.DataFrame:
    names = [objective.name for objective in OBJECTIVES]
    loss = losses(trials[names].to_numpy(float), OBJECTIVES)
    distinct = (trials["status"] == "completed") & trials["feasible"]
    trials["front"] = pareto_mask(loss, distinct.tolist())
    corners = losses([WORST, BEST], OBJECTIVES)
    volumes = [hypervolume(loss[: i + 1][distinct[: i + 1]], *corners) for i in range(len(trials))]
    trials["hypervolume"] = np.where(trials["status"] == "running", math.nan, volumes)
    return trials


def with_records(trials: pd.DataFrame, change: Callable[[TrialRecord], TrialRecord]) -> pd.DataFrame:
    """The table with every record changed."""
    return trials.assign(record=pd.Series([change(record) for record in trials["record"]], index=trials.index))


def make_results(trials: pd.DataFrame, name: str = "drone") -> StudyResults:
    """A study of these trials, with every named reference at 32 pixels and 10 classes."""
    references = pd.DataFrame(
        [
            {"name": name, "keys": ()}
            | known_costs(reference(name, resolution=32, num_classes=10, in_channels=3).build_graph())
            for name in reference_names()
        ]
    )
    return StudyResults(
        name=name,
        directory=Path("runs") / name,
        config=to_tables(CONFIG),
        objectives=OBJECTIVES,
        trials=trials,
        references=references,
        class_names=("a", "b"),
        metrics=(),
        training_images=CONFIG.training.images,
        validation_images=2_000,
        validation_source="20 % held out",
        commonest_share=0.1,
        worst=WORST,
        best=BEST,
    )


STATUSES = (["completed"] * 4 + ["rejected", "completed", "duplicate", "failed", "completed", "completed"]) * 3 + [
    "completed",
    "running",
]


@pytest.fixture(scope="session")
def drone() -> StudyResults:
    """32 trials of all statuses, three objectives."""
    return make_results(make_trials(STATUSES))


@pytest.fixture(scope="session")
def empty() -> StudyResults:
    """A study without a trial."""
    return make_results(make_trials(["running"]).iloc[:0])


@pytest.fixture(scope="session")
def study_of() -> Any:
    """Makes a study of trials with the given statuses."""
    return lambda *statuses: make_results(make_trials(list(statuses)))


@pytest.fixture
def resfront(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Resfront:
    return lambda *args: run_main(capsys, monkeypatch, args)


@pytest.fixture
def without_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests about anything but `model.pt2`, which takes longer than all else that is done to a small network."""
    monkeypatch.setattr(models, "export_program", lambda network, resolution: b"no program")
    unchecked = FileCheck(problem=None, accuracy=math.nan)
    monkeypatch.setattr(models, "check_program_file", lambda *args, **options: unchecked)
