"""How is a recipe run so that nothing is lost? In the directory that it will fill, which holds the job until then."""

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from objectives.device_costs.latency_ms import LATENCY
from objectives.latency.measurement import measure_graphs
from objectives.latency.open_device import open_device
from runners.candidate import Epoch
from runners.config import MOST_THREADS
from runners.datasets import load_dataset
from runners.recipes.pipeline import Measure, Pipeline
from runners.recipes.recipe import Recipe
from runners.recipes.results import Final, StepResult
from runners.recipes.steps import Prune
from runners.storage.study_files import WEIGHTS, StorageError, write_atomically
from runners.training.batches import DeviceImages, to_device
from runners.training.loop import measure_accuracy
from search_space.errors import UserError
from search_space.texts.parsing import parse_json, read_text

JOB, START, CONTROL = "job.json", "start.safetensors", "control"


class NoSuchJob(UserError):
    """There is no job to go on with, or something stands where one is to begin."""

    exit_code = 3


@dataclass(frozen=True, kw_only=True)
class Job:
    """What runs in a directory."""

    name: str
    """Of the network at the start."""
    recipe: Recipe
    control: bool
    """Whether the same is done without the teacher, to know what the teacher was worth."""
    device: str = "cpu"
    threads: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            **{key: getattr(self, key) for key in ("name", "control", "device", "threads")},
            "recipe": self.recipe.to_dict(),
        }


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a job found."""

    final: Final
    test_accuracy: float
    """Of the final network on the test images, looked at once; NaN where the data has none."""
    test_images: int
    control: Final | None
    """The same without the teacher; None where none was asked for."""

    @property
    def gain(self) -> float:
        """Validation accuracy that the teacher was worth; NaN without a control."""
        return self.final.steps[-1].accuracy - self.control.steps[-1].accuracy if self.control else math.nan

    @property
    def accuracy_error(self) -> float:
        """Standard error of a validation accuracy, as of so many independent images."""
        accuracy = self.final.steps[-1].accuracy
        return math.sqrt(accuracy * (1 - accuracy) / len(self.final.validation))

    def missed(self, recipe: Recipe) -> list[str]:
        """What was to be pruned to and the final network does not keep: one timing differs from the next."""
        latency_ms = self.final.steps[-1].latency_ms
        asked = [step.at_most for step in recipe.steps if isinstance(step, Prune) and step.figure == LATENCY]
        if not asked or latency_ms is None or latency_ms <= min(asked):
            return []
        return [f"{LATENCY} <= {min(asked):.3g} was asked for; the network that ships took {latency_ms:.3g}"]


def check_new(directory: Path) -> None:
    """Raise NoSuchJob unless nothing is there, or an empty directory that can be replaced."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        if (directory / JOB).exists():
            raise NoSuchJob(
                f"{directory}: holds an unfinished job; go on with it: --resume {directory}, or choose a new directory"
            )
        raise NoSuchJob(f"{directory}: exists already; choose a new directory")
    if not directory.name or directory.is_mount() or directory.resolve() == Path.cwd():
        raise NoSuchJob(f"{directory}: cannot be replaced at the end; choose a new directory")


def create_job(directory: Path, job: Job, weights: bytes | None) -> None:
    """Begin a job in a new directory; raises NoSuchJob where something is there already, or none can be made."""
    check_new(directory)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NoSuchJob(f"{directory}: cannot be made: {error.strerror}") from None
    if weights is not None:
        write_atomically(directory / START, weights)
    write_atomically(directory / JOB, json.dumps(job.to_dict(), indent=2).encode())


def read_job(directory: Path, data_dir: Path | None = None) -> Job:
    """The job of a directory; raises NoSuchJob where there is none, UserError for a broken one.

    `data_dir` is where its images are now, if they have moved; that they are the same is seen when it runs.
    """
    path = directory / JOB
    try:
        found = parse_json(read_text(path))
        recipe = Recipe.from_dict(found.pop("recipe"), str(path))
        job = Job(recipe=recipe, **found)
        check_threads(job.threads)
    except (FileNotFoundError, NotADirectoryError):
        if not directory.exists():
            raise NoSuchJob(f"{directory}: no such directory") from None
        what = "is finished already" if (directory / WEIGHTS).exists() else "holds no unfinished job"
        raise NoSuchJob(f"{directory}: {what}") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path}: {error}") from None
    if data_dir is None:
        return job
    data = replace(recipe.data, path=data_dir.expanduser().resolve())
    return replace(job, recipe=replace(recipe, data=data))


def check_threads(threads: Any) -> None:
    """Raise ValueError unless this can be the number of threads of a training."""
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= MOST_THREADS:
        raise ValueError(f"threads must be a whole number from 1 to {MOST_THREADS}, not {threads!r}")


def run_job(
    directory: Path,
    job: Job,
    *,
    on_epoch: Callable[[str, Epoch], None] = lambda run, point: None,
    on_step: Callable[[str, StepResult], None] = lambda run, result: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Run a job, or go on with it; raises Interrupted, and StorageError where another process runs it.

    `on_epoch` and `on_step` are told of the run ("", or "control" for the one without the teacher) and its news.
    """
    torch.set_num_threads(job.threads)
    start = directory / START
    weights = start.read_bytes() if start.exists() else None
    with _owned(directory), measured_latency() as measure:

        def run(name: str, recipe: Recipe) -> Final:
            (directory / name).mkdir(exist_ok=True)
            return Pipeline(
                recipe,
                directory / name,
                device=job.device,
                weights=weights,
                measure=measure,
                on_epoch=lambda point: on_epoch(name, point),
                on_step=lambda result: on_step(name, result),
                should_stop=should_stop,
            ).run()

        control = run(CONTROL, job.recipe.without_teacher()) if job.control else None
        final = run("", job.recipe)
    images = test_images(job.recipe, torch.device(job.device))
    accuracy = math.nan if images is None else measure_accuracy(final.network, images)
    return Outcome(
        final=final, test_accuracy=accuracy, test_images=0 if images is None else len(images), control=control
    )


def test_images(recipe: Recipe, device: torch.device) -> DeviceImages | None:
    """The test images at the resolution of the network; None where the data has none."""
    data = recipe.data
    dataset = load_dataset(data.name, data.path, resolution=data.resolution)
    if dataset.test_images is None or dataset.test_labels is None:
        return None
    return to_device(
        dataset.test_images,
        dataset.test_labels,
        mean=dataset.mean,
        std=dataset.std,
        resolution=recipe.architecture.resolution,
        device=device,
    )


@contextmanager
def _owned(directory: Path) -> Iterator[None]:
    lock = FileLock(directory / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise StorageError(f"{directory}: another process is running this job") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def measured_latency() -> Iterator[Measure]:
    """On this host, one thread, one image at a time."""
    with open_device("cpu", 1) as device:
        yield lambda graph: measure_graphs([graph], device)[0].latency_ms
