"""Training of a network with SGD, an epoch at a time, with the images on the device; and its accuracy."""

import math
import platform
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_space.graph import Conv, Graph

from ..candidate import TrainingDiverged
from ..config import TrainingConfig
from .batches import DeviceImages, ImageBatches


@cache
def _cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 natively (AVX512-BF16, AMX or Arm's BF16), by the kernel's own list."""
    if platform.system() != "Linux":
        return False
    flags = set(Path("/proc/cpuinfo").read_text(errors="replace").split())
    return bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})


def resolve_precision(config: TrainingConfig, graph: Graph, device: torch.device) -> torch.dtype:
    """Arithmetic for training `graph`: a rule, not a timing, so that a seed means the same on every run.

    bfloat16 gains on dense convolutions; on depthwise ones it gains at 32 pixels and loses at 16, at which most epochs
    of a proxy train (benchmarks/proxy_training.py), so networks with more than 5 % of their MACs there stay in float32
    on a CPU.
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


Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Images (N, C, H, W), logits (N, classes) and labels (N,) -> the mean loss."""


def cross_entropy(label_smoothing: float) -> Loss:
    """The loss against the labels alone."""
    return lambda images, logits, labels: F.cross_entropy(logits, labels, label_smoothing=label_smoothing)


class Trainer:
    """Trains a network with SGD (Nesterov) over one complete schedule, an epoch at a time."""

    def __init__(
        self,
        network: nn.Module,
        batches: ImageBatches,
        config: TrainingConfig,
        *,
        epochs: int,
        peak: float,
        schedule: Callable[[float], float],
        precision: torch.dtype,
        loss: Loss | None = None,
        after_step: Callable[[], None] | None = None,
    ) -> None:
        self.network, self.batches = network, batches
        self._forward = cast(nn.Module, torch.compile(network)) if config.compile else network
        self.peak, self.schedule, self.precision = peak, schedule, precision
        self.loss = loss or cross_entropy(config.label_smoothing)
        self.after_step = after_step
        self.steps = epochs * len(batches)
        self.step = 0
        self.optimizer = torch.optim.SGD(
            _decay_groups(network, config.weight_decay), lr=peak, momentum=config.momentum, nesterov=True, fused=True
        )

    def run_epoch(self) -> float:
        """Train on every batch once; the mean loss, which may be no number."""
        device = self.batches.data.images.device
        self.network.train()
        total = torch.zeros((), device=device)
        for images, labels in self.batches:
            for group in self.optimizer.param_groups:
                group["lr"] = self.peak * self.schedule(self.step / self.steps)
            with torch.autocast(device.type, self.precision, enabled=self.precision != torch.float32):
                logits = self._forward(images)
            loss = self.loss(images, logits.float(), labels)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            if self.after_step is not None:
                self.after_step()
            total += loss.detach()
            self.step += 1
        return float(total) / len(self.batches)

    def state_dict(self) -> dict[str, Any]:
        """What it takes to go on as if nothing had happened, the network apart."""
        return {"step": self.step, "optimizer": self.optimizer.state_dict(), "batches": self.batches.state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step = state["step"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.batches.set_state(state["batches"])


def finite(train_loss: float, epoch: int) -> float:
    """Return the loss of `epoch` (0 is the first); raises TrainingDiverged when it is no number."""
    if not math.isfinite(train_loss):
        raise TrainingDiverged(f"the loss became {train_loss} in epoch {epoch + 1}")
    return train_loss


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
