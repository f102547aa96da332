"""How is a network trained only once? Into the cache, where a recipe that was interrupted goes on from its last epoch.

References and teachers are the same for every study.
"""

import json
import platform
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from typing import Any

from filelock import FileLock

from search_space.errors import UserError

from ..candidate import Epoch, TrainingDiverged
from ..engines.processes.pool import WorkerDied, WorkerPool
from ..network_weights import weights_of
from ..recipes.pipeline import Pipeline
from ..recipes.recipe import Recipe
from ..recipes.results import Final
from ..recipes.run_state import CHECKPOINT
from ..storage.study_files import WEIGHTS, write_atomically
from .network_cache import RESULT, Trained, trained, trained_directory

ATTEMPTS = 2
"""How often a training is begun whose worker dies."""

OnEpoch = Callable[[Epoch], None]


def train_once(recipe: Recipe, *, device: str = "cpu", on_epoch: OnEpoch = lambda point: None) -> Trained:
    """The network of a recipe, trained unless it is there; one process at a time."""
    directory = trained_directory(recipe)
    directory.mkdir(parents=True, exist_ok=True)
    with FileLock(directory / "lock"):
        if found := trained(recipe):
            return found
        write_atomically(directory / "recipe.json", json.dumps(recipe.to_dict(), indent=2).encode())
        final = Pipeline(recipe, directory, device=device, on_epoch=on_epoch).run()
        write_atomically(directory / WEIGHTS, weights_of(final.network))
        write_atomically(directory / RESULT, json.dumps(_result(final), indent=2).encode())
        (directory / CHECKPOINT).unlink(missing_ok=True)
    kept = trained(recipe)
    assert kept is not None
    return kept


def _result(final: Final) -> dict[str, Any]:
    in_float = [step for step in final.steps if step.name != "quantize"][-1]
    return {
        "spec": final.architecture.to_dict(),
        "accuracy": final.steps[-1].accuracy,
        "float_accuracy": in_float.accuracy,
        "seconds": sum(step.seconds for step in final.steps),
        "epochs": len(final.curve),
        "curve": [asdict(point) for point in final.curve],
        "precision": final.precision,
        "validation_images": len(final.validation),
        "versions": {"python": platform.python_version(), **{p: version(p) for p in ("torch", "resfront")}},
    }


def train_all(
    recipes: Sequence[Recipe],
    *,
    workers: int = 1,
    threads: int = 1,
    device: str = "cpu",
    on_network: Callable[[int, Trained], None] = lambda position, found: None,
) -> list[Trained]:
    """Every recipe's network, in order; those that are not there are trained `workers` at a time.

    Raises UserError for one that cannot be trained. Ctrl-C ends the workers; what they have begun goes on from its last
    epoch the next time.
    """
    found = {position: kept for position, recipe in enumerate(recipes) if (kept := trained(recipe))}
    for position, kept in found.items():
        on_network(position, kept)
    missing = [position for position in range(len(recipes)) if position not in found]
    attempts = Counter[int]()
    with closing(WorkerPool[None](workers=workers, threads=threads, device=device)) as pool:
        while len(found) < len(recipes):
            while missing and pool.free:
                position = missing.pop(0)
                attempts[position] += 1
                pool.submit(position, partial(_train_in_worker, recipes[position].to_dict()))
            for ended in pool.collect(timeout_s=1.0):
                position, error = ended.ticket, ended.result
                if isinstance(error, WorkerDied):
                    if attempts[position] >= ATTEMPTS:
                        raise UserError(f"{recipes[position].spec}: {error}, {ATTEMPTS} times")
                    missing.insert(0, position)
                    continue
                if error is not None:
                    raise error
                kept = trained(recipes[position])
                assert kept is not None
                found[position] = kept
                on_network(position, kept)
    return [found[position] for position in range(len(recipes))]


def _train_in_worker(recipe: dict[str, Any], device: str) -> None:
    read = Recipe.from_dict(recipe, "recipe")
    try:
        train_once(read, device=device)
    except TrainingDiverged as error:
        raise UserError(f"{read.spec}: {error}") from None
