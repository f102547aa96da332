"""How good is a network after a short training? The proxy schedule, epoch by epoch, with the data on the device."""

import math
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_space.graph import Conv, Graph

from .config import TrainingConfig
from .images import DeviceImages, ImageBatches


class TrainingDiverged(RuntimeError):
    """The loss became NaN or infinite; the trial has failed."""


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One point of a learning curve."""

    epoch: int
    train_loss: float
    accuracy: float
    """On the validation images, as the network runs in this phase."""
    seconds: float
    quantized: bool


@cache
def _cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 natively (AVX512-BF16, AMX or Arm's BF16), by the kernel's own list."""
    if platform.system() != "Linux":
        return False
    flags = set(Path("/proc/cpuinfo").read_text(errors="replace").split())
    return bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})


def resolve_precision(config: TrainingConfig, graph: Graph, device: torch.device) -> torch.dtype:
    """Arithmetic for training `graph`: a rule, not a timing, so that a seed means the same on every run.

    bfloat16 gains on dense convolutions; on depthwise ones it gains at 32 pixels and loses at the 16 at which proxies
    train (benchmarks/proxy_training.py), so networks with more than 5 % of their MACs there stay in float32 on a CPU.
    """
    if config.precision != "auto":
        return torch.float32 if config.precision == "float32" else torch.bfloat16
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if not _cpu_has_bfloat16():
        return torch.float32
    total = sum(node.macs for node in graph.nodes)
    grouped = sum(node.macs for node in graph.nodes if isinstance(node.op, Conv) and node.op.groups > 1)
    return torch.bfloat16 if grouped <= 0.05 * total else torch.float32


def one_cycle(progress: float, *, warmup: float = 0.25) -> float:
    """Share of the peak learning rate at `progress` 0..1: linear up, then linear to 0 (Smith & Topin 2018, fig. 1)."""
    if progress < warmup:
        return 0.05 + 0.95 * progress / warmup
    return (1.0 - progress) / (1.0 - warmup)


def linear_decay(progress: float) -> float:
    """Share of the peak learning rate at `progress` 0..1."""
    return 1.0 - progress


def train_epochs(
    network: nn.Module,
    batches: ImageBatches,
    validation: DeviceImages,
    config: TrainingConfig,
    *,
    epochs: range,
    peak: float,
    schedule: Callable[[float], float],
    precision: torch.dtype,
    quantized: bool = False,
) -> Iterator[Epoch]:
    """Train with SGD (Nesterov) over `epochs` of one complete schedule, yielding after each epoch.

    Raises TrainingDiverged when the loss is no number.
    """
    device_type = validation.images.device.type
    optimizer = torch.optim.SGD(
        _decay_groups(network, config.weight_decay),
        lr=peak,
        momentum=config.momentum,
        nesterov=True,
        fused=True,
    )
    steps = len(epochs) * len(batches)
    step = 0
    for epoch in epochs:
        started = time.perf_counter()
        network.train()
        total = torch.zeros((), device=validation.images.device)
        for images, labels in batches:
            for group in optimizer.param_groups:
                group["lr"] = peak * schedule(step / steps)
            with torch.autocast(device_type, precision, enabled=precision != torch.float32):
                logits = network(images)
            loss = F.cross_entropy(logits.float(), labels, label_smoothing=config.label_smoothing)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            total += loss.detach()
            step += 1
        train_loss = float(total) / len(batches)
        if not math.isfinite(train_loss):
            raise TrainingDiverged(f"the loss became {train_loss} in epoch {epoch + 1}")
        accuracy = measure_accuracy(network, validation)
        seconds = time.perf_counter() - started
        yield Epoch(epoch=epoch + 1, train_loss=train_loss, accuracy=accuracy, seconds=seconds, quantized=quantized)


def measure_accuracy(network: nn.Module, images: DeviceImages, *, batch_size: int = 500) -> float:
    """Share of `images` that the network classifies right, in float32 arithmetic, without augmentation."""
    network.eval()
    right = 0
    with torch.inference_mode():
        for start in range(0, len(images), batch_size):
            batch = images.normalised(slice(start, start + batch_size))
            right += int((network(batch).argmax(1) == images.labels[start : start + batch_size]).sum())
    return right / len(images)


def _decay_groups(network: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Weight decay for weight tensors only; scales, shifts, biases and quantization steps are left alone."""
    params: list[Tensor] = [p for p in network.parameters() if p.requires_grad]
    return [
        {
            "params": [p for p in params if p.ndim > 1 and p.numel() > p.shape[0]],
            "weight_decay": weight_decay,
        },
        {"params": [p for p in params if p.ndim <= 1 or p.numel() <= p.shape[0]], "weight_decay": 0.0},
    ]
