"""Provenance of an evaluation: what was found, with all that it takes to repeat it."""

import os
import platform
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import SupportsFloat

import torch

from objectives.latency.timing import processor
from search_space.backends.torch_network import GraphNetwork
from search_space.errors import UserError, shown

from .candidate import Candidate, Epoch, Evaluation, Observation
from .network_weights import weights_of
from .training.load_images import fingerprint_of

_KERNEL_SETTINGS = ("ONEDNN_MAX_CPU_ISA", "ONEDNN_DEFAULT_FPMATH_MODE", "MKL_CBWR")
"""Environment variables that make the libraries beneath torch take other kernels."""


def evaluation_of(
    candidate: Candidate,
    network: GraphNetwork | None,
    *,
    metrics: Mapping[str, SupportsFloat],
    training_images: int,
    validation_images: int,
    started: float,
    curve: Sequence[Epoch] = (),
    float_metrics: Mapping[str, SupportsFloat] | None = None,
    precision: str = "float32",
) -> Evaluation:
    """Put together what a training has found: its metrics, the weights, and what it takes to repeat it.

    Parameters
    ----------
    candidate
        What was trained.
    network
        The trained network of the candidate, at its bits; None where the built-in training was stopped.
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

    Raises
    ------
    UserError
        If the network is not the candidate's, or a metric is no number.
    """
    if network is not None and getattr(network, "graph", None) != candidate.architecture.build_graph():
        raise UserError(
            "evaluation_of: the network is not the candidate's at its bits; build_network(candidate.architecture"
            ".with_bits(32)) makes it, and quantize takes it to its bits after the training"
        )
    device = torch.device(candidate.device)
    observation = Observation(
        spec_key=candidate.architecture.key,
        metrics={name: _number(name, value) for name, value in metrics.items()},
        float_metrics={name: _number(name, value) for name, value in (float_metrics or {}).items()},
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


def _number(name: str, value: SupportsFloat) -> float:
    """Return a metric as a Python number, from a tensor of one too."""
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        raise UserError(f"evaluation_of: metric {name} must be a number, not {shown(value)}") from None


def processor_kind() -> str:
    """Return the processor and the kernels that torch picks on it: where this is the same, digits are the same."""
    settings = [f"{name}={os.environ[name]}" for name in _KERNEL_SETTINGS if name in os.environ]
    return ", ".join([processor(), torch.backends.cpu.get_cpu_capability(), *settings])


def _peak_rss_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
