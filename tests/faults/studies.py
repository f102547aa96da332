"""Small studies for the fault matrix, and the command line on them, with an engine that answers at once."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runners.candidate import Candidate
from runners.config import DataConfig, SearchConfig, StudyConfig, TrainingConfig
from runners.storage.study_files import DATABASE
from search_space.space import SearchSpace
from studies.launch import run as search
from studies.launch.create import create_study
from studies.launch.run import run_search
from studies.study.record import StudyRecord
from tests.runners.engines.fake_engine import Answer, FakeEngine, fake_evaluation
from tests.studies.command import Resfront, run_main

CONFIG = StudyConfig(
    objectives=("accuracy", "macs"),
    data=DataConfig(name="digits"),
    space=SearchSpace(depth=(18, 30), base_width=(8, 16), resolution=(8,), bits=(32, 8)),
    training=TrainingConfig(images=200, epochs=1, batch_size=32),
    search=SearchConfig(trials=8, sampler="random", block_starts=False, confirm=0, stop_confidence=0.0),
)


def with_trials(config: StudyConfig, trials: int) -> StudyConfig:
    return replace(config, search=replace(config.search, trials=trials))


def answer_with(monkeypatch: pytest.MonkeyPatch, answer: Callable[[Candidate], Answer] = fake_evaluation) -> None:
    """Have `run_search`, and so the command line, evaluate candidates with `answer`."""
    monkeypatch.setattr(search, "make_engine", lambda config: FakeEngine(slots=config.workers, answer=answer))


def finished_study(directory: Path, config: StudyConfig = CONFIG) -> StudyRecord:
    """Run a study to its end; `answer_with` says how."""
    record = create_study(directory, config)
    assert run_search(record) == "done"
    with closing(sqlite3.connect(directory / DATABASE)) as connection:  # so that nobody does it later
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return record


def contents(directory: Path, pattern: str = "**/*") -> Mapping[str, bytes]:
    """What lies in a folder, by relative path, but for what a lock or a reader of the database leaves behind."""
    unimportant = ("lock", "heartbeat", "study.db-shm")
    files = [path for path in directory.glob(pattern) if path.is_file() and path.name not in unimportant]
    files = [path for path in files if not (path.name.endswith("-wal") and path.stat().st_size == 0)]
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def write_images(folder: Path, seed: int = 0, classes: Sequence[str] = ("cat", "dog")) -> Path:
    """A folder of small noisy pictures, brighter in each further class."""
    random = np.random.default_rng(seed)
    for position, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(24):
            pixels = random.integers(0, 120, (8, 8, 3)) + 100 * position
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number}.png")
    return folder


def folder_study(folder: Path) -> StudyConfig:
    """A study of the pictures in a folder, which is written as it is given."""
    data = DataConfig(name="image-folder", path=folder, resolution=8, validation_fraction=0.25)
    return replace(CONFIG, data=data, training=TrainingConfig(epochs=1, batch_size=8))


@pytest.fixture
def resfront(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Resfront:
    return lambda *args: run_main(capsys, monkeypatch, args)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    answer_with(monkeypatch)
