"""Provenance of an evaluation: what was found, with all that it takes to repeat it."""

import os
import platform
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version

import torch

from objectives.latency.timing import processor
from search_space.backends.torch_network import GraphNetwork

from .candidate import Candidate, Epoch, Evaluation, Observation
from .network_weights import weights_of
from .training.load_images import fingerprint_of

_KERNEL_SETTINGS = ("ONEDNN_MAX_CPU_ISA", "ONEDNN_DEFAULT_FPMATH_MODE", "MKL_CBWR")
"""Environment variables that make the libraries beneath torch take other kernels."""


def evaluation_of(
    candidate: Candidate,
    network: GraphNetwork | None,
    *,
    metrics: Mapping[str, float],
    training_images: int,
    validation_images: int,
    started: float,
    curve: Sequence[Epoch] = (),
    float_metrics: Mapping[str, float] | None = None,
    precision: str = "float32",
) -> Evaluation:
    """Put together what a training has found: its metrics, the weights, and what it takes to repeat it.

    Parameters
    ----------
    candidate
        What was trained.
    network
        The trained network, at the candidate's bits; None where the training was stopped.
    metrics
        Metric -> its value on the validation images. A study needs those that are its objectives or have limits.
    training_images, validation_images
        Numbers of images.
    started
        `time.perf_counter()` when the training began.
    curve
        The epochs, in order.
    float_metrics
        The metrics before quantization, where the network runs at fewer bits and they are known.
    precision
        Arithmetic of the training.

    Returns
    -------
    Evaluation
        The observation and the weights.
    """
    device = torch.device(candidate.device)
    observation = Observation(
        spec_key=candidate.architecture.key,
        metrics=dict(metrics),
        float_metrics=dict(float_metrics or {}),
        curve=tuple(curve),
        seed=candidate.seed,
        dataset=candidate.data.name,
        dataset_fingerprint=fingerprint_of(candidate.data),
        training_images=training_images,
        validation_images=validation_images,
        precision=precision,
        threads=torch.get_num_threads(),
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        host=platform.node(),
        processor=processor_kind(),
        versions={"python": platform.python_version(), **{p: version(p) for p in ("torch", "resfront")}},
        duration_s=time.perf_counter() - started,
        peak_rss_bytes=_peak_rss_bytes(),
        stopped=network is None,
    )
    return Evaluation(observation, b"" if network is None else weights_of(network))


def processor_kind() -> str:
    """Return the processor and the kernels that torch picks on it: where this is the same, digits are the same."""
    settings = [f"{name}={os.environ[name]}" for name in _KERNEL_SETTINGS if name in os.environ]
    return ", ".join([processor(), torch.backends.cpu.get_cpu_capability(), *settings])


def _peak_rss_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
