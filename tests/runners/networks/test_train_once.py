"""Trainings of several recipes at once, whose workers are killed."""

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from runners.config import DataConfig, TrainingConfig
from runners.datasets import load_dataset
from runners.networks.network_cache import Trained, trained_directory
from runners.networks.train_once import ATTEMPTS, train_all
from runners.recipes.recipe import Recipe, trained_recipe
from runners.recipes.run_state import CHECKPOINT
from search_space import reference
from search_space.errors import UserError


def recipe(seed: int) -> Recipe:
    data, training = DataConfig(name="digits"), TrainingConfig(epochs=30)
    network = reference("resnet8", resolution=8, num_classes=10, in_channels=1, bits=32)
    return trained_recipe(network, data, training, fingerprint=load_dataset("digits").fingerprint, seed=seed)


def kill_its_worker(recipe: Recipe, times: int) -> None:
    """Each time that its training has begun."""
    checkpoint = trained_directory(recipe) / CHECKPOINT
    for _ in range(times):
        seen = None if not checkpoint.exists() else checkpoint.stat().st_mtime_ns
        while not checkpoint.exists() or checkpoint.stat().st_mtime_ns == seen:
            time.sleep(0.01)
        for child in multiprocessing.active_children():
            os.kill(child.pid or 0, signal.SIGKILL)
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, ATTEMPTS])
def test_a_killed_worker_costs_an_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    monkeypatch.setenv("RESFRONT_DATA", str(tmp_path))
    recipes = [recipe(0), recipe(1)]
    told: list[tuple[int, Trained]] = []
    killer = threading.Thread(target=kill_its_worker, args=(recipes[0], times), daemon=True)
    killer.start()
    if times < ATTEMPTS:
        found = train_all(recipes, on_network=lambda position, trained: told.append((position, trained)))
        assert [one.directory for one in found] == [trained_directory(one) for one in recipes]
        assert sorted(told, key=lambda one: one[0]) == list(enumerate(found))
    else:
        with pytest.raises(UserError, match=r"the worker died \(exit code -9\), 2 times"):
            train_all(recipes)
    killer.join()
