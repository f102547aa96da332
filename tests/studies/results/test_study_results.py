"""The tables of a study against Optuna's own view of it and against brute force."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch

from objectives import hypervolume
from objectives.pareto import losses
from runners.candidate import Candidate
from runners.config import DataConfig, LimitsConfig, SearchConfig, StudyConfig, TrainingConfig
from runners.datasets import DatasetError, load_dataset
from runners.engines.base import Failure
from runners.search.coordinator import Coordinator
from runners.search.pricing.latency_meter import LatencyMeter
from runners.storage.study_files import StorageError, open_study
from runners.training.load_images import load_images
from runners.training.proxy_images import proxy_images
from runners.trial_record import TrialRecord
from search_space import SearchSpace
from studies.launch.create import create_study
from studies.launch.resume import resume_study
from studies.results.reading import load_results
from studies.results.study_results import StudyResults
from studies.study.record import StudyNotFound, StudyRecord, open_study_record
from tests.runners.engines.fake_engine import Answer, FakeEngine, fake_evaluation

CONFIG = StudyConfig(
    objectives=("accuracy", "macs", "file_bytes"),
    limits=LimitsConfig(max={"macs": 4e6}, min={"accuracy": 0.8}),
    data=DataConfig(name="digits"),
    space=SearchSpace(
        depth=(18, 30), base_width=(8, 16), width_multipliers=(0.5, 1.0), resolution=(8, 16), bits=(32, 8)
    ),
    search=SearchConfig(
        trials=30, sampler="random", references=("resnet20",), stop_confidence=0.0, block_starts=False, confirm=0
    ),
)


def finished_study(directory: Path) -> StudyResults:
    seen: list[int] = []

    def answer(candidate: Candidate) -> Answer:
        seen.append(candidate.seed)
        return Failure(kind="diverged", reason="nan") if len(seen) == 7 else fake_evaluation(candidate)

    return run(create_study(directory, CONFIG), answer)


def run(record: StudyRecord, answer: Callable[[Candidate], Answer]) -> StudyResults:
    Coordinator(
        study=open_study(record.directory, CONFIG.optimised),
        directory=record.directory,
        config=record.config,
        box=record.box,
        commonest_share=record.commonest_share,
        engine=FakeEngine(slots=2, answer=answer),
        meter=LatencyMeter({}),
    ).run()
    return load_results(record.directory)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> StudyResults:
    return finished_study(tmp_path_factory.mktemp("runs") / "fake")


def test_rows_are_optunas_trials(results: StudyResults) -> None:
    study = optuna.load_study(study_name="resfront", storage=f"sqlite:///{results.directory / 'study.db'}")
    trials = study.get_trials()
    assert results.trials["trial"].tolist() == [trial.number for trial in trials]
    for trial, (_, row) in zip(trials, results.trials.iterrows(), strict=True):
        assert row["record"].params == trial.params
        if trial.values is not None:
            assert [row["accuracy"], row["macs"], row["file_bytes"]] == trial.values
        feasible = trial.values is not None and max(trial.constraints.values()) <= 0
        assert row["feasible"] == feasible
    assert results.count("completed") == 29 and results.count("failed") == 1
    assert results.count("rejected") > 0
    assert results.trials["label"].dropna().tolist() == ["resnet20"]


def test_the_front_is_optunas(results: StudyResults) -> None:
    """Optuna counts a network again each time it is proposed again, we once."""
    study = optuna.load_study(study_name="resfront", storage=f"sqlite:///{results.directory / 'study.db'}")
    keys = {TrialRecord.of(trial).key for trial in study.best_trials}
    assert set(results.front["key"]) == keys
    assert len(results.front) == len(keys)
    accuracies = results.front["accuracy"].tolist()
    assert accuracies == sorted(accuracies, reverse=True)


def test_hypervolume_over_time(results: StudyResults) -> None:
    """After each trial that of all that had finished by then; it never falls."""
    names = [objective.name for objective in results.objectives]
    box = losses((results.worst, results.best), results.objectives)
    ended = results.trials.sort_values("finished", kind="stable")
    for position in range(len(ended)):
        so_far = ended.iloc[: position + 1]
        counted = so_far[so_far["feasible"]][names].to_numpy(dtype=float)
        expected = hypervolume(losses(counted, results.objectives), box[0].tolist(), box[1].tolist())
        assert ended["hypervolume"].iloc[position] == pytest.approx(expected, abs=1e-12)
    assert np.all(np.diff(ended["hypervolume"]) >= 0)
    assert 0 < ended["hypervolume"].iloc[-1] < 1


def test_the_worst_corner_is_beyond_the_limit_and_at_the_commonest_class(results: StudyResults) -> None:
    assert results.worst[0] == results.commonest_share < 0.8
    assert results.worst[1] == pytest.approx(4e6 * (4e6 / results.best[1]) ** 0.3)
    assert all(results.front["macs"] <= 4e6) and all(results.front["accuracy"] >= 0.8)


def test_references_stand_at_the_studys_size(results: StudyResults) -> None:
    resnet20 = results.references.set_index("name").loc["resnet20"]
    # One grey channel of 16 x 16 instead of three of 32 x 32: a quarter of the MACs, less the stem's two channels.
    assert resnet20["macs"] == (40_813_184 - 640) // 4 + 640 - 2 * 9 * 16 * 16 * 16
    assert resnet20["params"] == 272_474 - 2 * 9 * 16


def test_the_record_holds_what_always_answering_the_commonest_class_gets(tmp_path: Path) -> None:
    config = replace(CONFIG, training=TrainingConfig(validation_images=100))
    notes = list[str]()
    record = create_study(tmp_path / "new", config, notes.append)
    counted = f"10 classes; {record.training_images:,} images to train on, 100 to validate"
    assert notes[0] == f"{counted} ({record.validation_source})" and "held out" in record.validation_source
    _, validation = load_images(config.data, config.training, 8, torch.device("cpu"))
    assert record.validation_images == len(validation) == 100
    assert record.commonest_share == validation.labels.bincount().max().item() / 100
    assert open_study_record(record.directory) == record
    with pytest.raises(DatasetError, match="cannot take 5 of"):
        create_study(tmp_path / "few", replace(CONFIG, training=TrainingConfig(validation_images=5)))
    assert not (tmp_path / "few").exists()


@pytest.mark.parametrize(
    ("images", "available", "epochs"),
    [(0, 500, 6), (500, 500, 6), (400, 500, 6), (1000, 500, 12), (10_000, 1320, 45), (10_000, 100, 120)],
)
def test_few_images_are_seen_in_more_epochs(images: int, available: int, epochs: int) -> None:
    asked = TrainingConfig(images=images, epochs=6)
    found = asked.for_images(available)
    assert found.epochs == epochs and found.images == min(images, available)
    assert found.for_images(available) == found, "a study that is resumed has no more of them"


def test_a_study_that_lacks_a_few_images_has_the_epochs_that_were_asked_for_and_says_nothing(tmp_path: Path) -> None:
    there = proxy_images(load_dataset("digits"), DataConfig(name="digits"))[0]
    notes = list[str]()
    training = TrainingConfig(images=len(there) + 9, epochs=6, validation_images=100)
    record = create_study(tmp_path / "few", replace(CONFIG, training=training), notes.append)
    assert record.config.training == replace(training, images=len(there))
    assert not [note for note in notes if "instead of" in note]


def test_a_study_of_few_images_says_that_it_takes_more_epochs_and_is_resumed(tmp_path: Path) -> None:
    notes = list[str]()
    asked = replace(CONFIG, training=TrainingConfig(images=50_000, epochs=3, validation_images=100))
    record = create_study(tmp_path / "few", asked, notes.append)
    training = record.config.training
    assert training.images == record.training_images < 2000
    assert training.epochs == min(60, round(3 * 50_000 / training.images))
    assert f"{training.epochs} epochs instead of 3" in notes[1]
    for config in (asked, record.config):
        assert resume_study(record.directory, config).config.training == training


def test_empty_missing_and_damaged_studies(tmp_path: Path) -> None:
    record = create_study(tmp_path / "new", replace(CONFIG, search=SearchConfig(trials=3)))
    empty = load_results(record.directory)
    assert empty.trials.empty and empty.front.empty and empty.knee_trial is None
    with pytest.raises(StudyNotFound, match="did you mean 'new'"):
        load_results(tmp_path / "now")
    (tmp_path / "new" / "study.db").write_bytes(b"no database" * 500)
    with pytest.raises(StorageError, match=r"study\.db: cannot be read"):
        load_results(tmp_path / "new")


def test_a_network_that_was_trained_again_has_the_mean_accuracy_and_the_front_goes_by_it(tmp_path: Path) -> None:
    """What is trained again is far worse then: it keeps the limits no more and leaves the front."""
    record = create_study(tmp_path / "study", replace(CONFIG, search=replace(CONFIG.search, confirm=1)))
    seeds = set[int]()

    def answer(candidate: Candidate) -> Answer:
        found = fake_evaluation(candidate)
        seeds.add(candidate.seed)
        if len(seeds) <= 30:
            return found
        return replace(found, observation=replace(found.observation, metrics={"accuracy": 0.1}))

    found = run(record, answer)
    again = found.trials[found.trials["trainings"] == 2]
    assert len(again) == 2
    assert again["accuracy"].tolist() == pytest.approx(((again["first_metric"] + 0.1) / 2).tolist())
    assert again["first_metric"].min() > 0.8 > again["accuracy"].max()
    assert not again["front"].any() and not again["feasible"].any()
    box = losses((found.worst, found.best), found.objectives)
    names = [objective.name for objective in found.objectives]
    now = hypervolume(losses(found.front[names].to_numpy(dtype=float), found.objectives), *box.tolist())
    assert found.trials.loc[found.trials["finished"].idxmax(), "hypervolume"] == pytest.approx(now)
    assert found.front["accuracy"].min() >= 0.8
    others = found.trials[(found.trials["status"] == "completed") & (found.trials["trainings"] != 2)]
    assert (others["trainings"] == 1).all() and others["first_metric"].isna().all()
