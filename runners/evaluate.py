"""Evaluation of one candidate: train it as the proxy schedule says, quantize it, measure its accuracy."""

import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from importlib.metadata import version

import torch

from objectives.latency.timing import processor
from search_space.architectures import architecture_from_dict

from .candidate import Candidate, Epoch, Evaluation, Observation
from .network_weights import weights_of
from .recipes.pipeline import Interrupted, Pipeline
from .recipes.recipe import trained_recipe
from .training.load_images import fingerprint_of

_KERNEL_SETTINGS = ("ONEDNN_MAX_CPU_ISA", "ONEDNN_DEFAULT_FPMATH_MODE", "MKL_CBWR")
"""Environment variables that make the libraries beneath torch take other kernels."""


def evaluate(candidate: Candidate, on_epoch: Callable[[Epoch], None] = lambda point: None) -> Evaluation:
    """Train and measure one candidate; `on_epoch` is told of each epoch when it is over.

    Raises TrainingDiverged, and UserError (DatasetError) where the data cannot be had. The same candidate gives the
    same digits on one thread of one kind of processor (`Observation.processor`, `threads`, `versions`); elsewhere sums
    are added in another order, and its accuracy is another draw of the same training.
    """
    started = time.perf_counter()
    architecture = architecture_from_dict(candidate.spec)
    fingerprint = fingerprint_of(candidate.data)
    recipe = trained_recipe(
        architecture,
        candidate.data,
        candidate.training,
        fingerprint=fingerprint,
        seed=candidate.seed,
        average=0.0,
    )
    curve = list[Epoch]()

    def note(point: Epoch) -> None:
        curve.append(point)
        on_epoch(point)

    def is_below_floor() -> bool:
        return len(curve) <= len(candidate.floors) and curve[-1].accuracy < candidate.floors[len(curve) - 1]

    pipeline = Pipeline(recipe, device=candidate.device, on_epoch=note, should_stop=is_below_floor)
    try:
        final = pipeline.run()
    except Interrupted:
        final = None
    observation = Observation(
        spec_key=architecture.key,
        accuracy=curve[-1].accuracy if final is None else final.steps[-1].accuracy,
        float_accuracy=[point for point in curve if not point.quantized][-1].accuracy,
        curve=tuple(curve),
        seed=candidate.seed,
        dataset=candidate.data.name,
        dataset_fingerprint=fingerprint,
        training_images=len(pipeline.training_images),
        validation_images=len(pipeline.validation),
        precision=str(pipeline.precision).removeprefix("torch."),
        threads=torch.get_num_threads(),
        device=_device_name(pipeline.device),
        host=platform.node(),
        processor=processor_kind(),
        versions={"python": platform.python_version(), **{p: version(p) for p in ("torch", "resfront")}},
        duration_s=time.perf_counter() - started,
        peak_rss_bytes=_peak_rss_bytes(),
        stopped=final is None,
    )
    return Evaluation(observation, b"" if final is None else weights_of(final.network))


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()


def processor_kind() -> str:
    """Return the processor and the kernels that torch picks on it: where this is the same, digits are the same."""
    settings = [f"{name}={os.environ[name]}" for name in _KERNEL_SETTINGS if name in os.environ]
    return ", ".join([processor(), torch.backends.cpu.get_cpu_capability(), *settings])


def _peak_rss_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
