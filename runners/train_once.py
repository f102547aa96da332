"""How is a network trained only once? Into the cache, where a recipe that was interrupted goes on from its last epoch.

References and teachers are the same for every study.
"""

import json
import multiprocessing
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from filelock import FileLock

from search_space.errors import UserError

from .candidate import TrainingDiverged
from .evaluate import weights_of
from .local import device_of
from .network_cache import RESULT, Trained, trained, trained_directory
from .pipeline import CHECKPOINT, CurvePoint, Final, Pipeline
from .recipe import Recipe
from .storage import WEIGHTS, write_atomically
from .worker import start_worker, worker_context

OnEpoch = Callable[[CurvePoint], None]


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
    with _pool(workers, threads, device) as pool:
        futures = {
            pool.submit(_train_in_worker, recipes[position].to_dict(), device_of(device, slot % workers)): position
            for slot, position in enumerate(missing)
        }
        for future in as_completed(futures):
            position = futures[future]
            future.result()
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


@contextmanager
def _pool(workers: int, threads: int, device: str) -> Iterator[ProcessPoolExecutor]:
    """Processes that end at once, with what they are doing, where the caller is interrupted."""
    start = (threads, dict(os.environ))
    pool = ProcessPoolExecutor(workers, worker_context(device), initializer=start_worker, initargs=start)
    try:
        yield pool
    except BaseException:
        for process in multiprocessing.active_children():
            process.kill()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
