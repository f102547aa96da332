"""Fake quantization of tensors in float arithmetic: of weights, and of activations with observed ranges."""

import math

import torch
from torch import Tensor, nn

from search_space.backends.network_values import (
    TensorScale,
)


def quantize(x: Tensor, step: Tensor, offset: Tensor | float, low: int, high: int) -> Tensor:
    """Nearest value step x (n - offset) with an integer n in low..high.

    The offset comes after the rounding, as in ONNX: half-way values then go to the same neighbour. Gradients pass
    straight through the rounding to x and, as LSQ's eq. 3, to the step.
    """
    scaled = (x / step).clamp(low - offset, high - offset)  # type: ignore[arg-type]  # both bounds are of one kind
    return _straight_through(scaled.round(), scaled) * step


def _scale_gradient(x: Tensor, factor: float) -> Tensor:
    """x, with its gradient multiplied by `factor` (LSQ, sec. 2.2)."""
    return _straight_through(x, x * factor)


def _straight_through(value: Tensor, gradient: Tensor) -> Tensor:
    """`value`, exactly, with the gradient of `gradient`; `gradient + (value - gradient)` would round once more."""
    if not gradient.requires_grad:
        return value
    return value.detach() + (gradient - gradient.detach())


def closest_steps(weight: Tensor, high: int) -> Tensor:
    """Step of each row of `weight` (channels, n) with the least squared error, of 32 up to the one that clips nothing.

    At few bits a better start for learning than LSQ's, a multiple of the mean.
    """
    largest = weight.abs().amax(1, keepdim=True).clamp(min=1e-8) / high
    best, least = largest, torch.full_like(largest, torch.inf)
    for share in torch.linspace(0.225, 1.0, 32).tolist():
        step = share * largest
        error = (quantize(weight, step, 0.0, -high, high) - weight).square().sum(1, keepdim=True)
        best, least = torch.where(error < least, step, best), torch.minimum(error, least)
    return best.flatten()


class WeightQuantizer(nn.Module):
    """A step per output channel."""

    def __init__(self, weight: Tensor, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self.high = 2 ** (bits - 1) - 1
        self.gradient_scale = 1.0 / math.sqrt(weight[0].numel() * self.high)
        flat = weight.detach().flatten(1)
        steps = closest_steps(flat, self.high) if bits < 8 else flat.abs().amax(1) / self.high
        shape = (-1,) + (1,) * (weight.ndim - 1)
        self.step = nn.Parameter(steps.clamp(min=1e-8).reshape(shape))

    def forward(self, weight: Tensor) -> Tensor:
        """The weight as the integers represent it, same shape."""
        step = _scale_gradient(self.step.abs().clamp(min=1e-8), self.gradient_scale)
        return quantize(weight, step, 0.0, -self.high, self.high)


class ActivationQuantizer(nn.Module):
    """One step and zero point for the tensors that share them; while `calibrating` it only notes their range.

    A `given` scale (`give`) is neither calibrated nor trained.
    """

    step: Tensor
    zero_point: Tensor
    low: Tensor
    high: Tensor
    _lowest: Tensor
    _highest: Tensor

    def __init__(self, bits: int, *, given: bool = False) -> None:
        super().__init__()
        self.levels = 2**bits - 1
        self.bits = bits
        self.given = given
        if given:
            self.register_buffer("step", torch.ones(()))
        else:
            self.step = nn.Parameter(torch.ones(()))
        self.register_buffer("zero_point", torch.zeros(()))
        self.register_buffer("low", torch.zeros(()), persistent=False)
        self.register_buffer("high", torch.zeros(()), persistent=False)
        self.calibrating = False

    def forward(self, x: Tensor) -> Tensor:
        """The tensor as the integers represent it, same shape."""
        if self.calibrating:
            self._observe(x)
            return x
        step = _scale_gradient(self.step.abs().clamp(min=1e-8), 1.0 / math.sqrt(x[0].numel() * self.levels))
        return quantize(x, step, self.zero_point, 0, self.levels)

    def _observe(self, x: Tensor) -> None:
        """Average of the batches' ranges; below 8 bits without the rarest values, which would waste the levels."""
        tail = {8: 0.0, 6: 0.0002, 4: 0.001, 3: 0.004, 2: 0.01}[self.bits]
        low, high = x.amin(), x.amax()
        if tail:
            # An odd stride does not fall on the same columns of every image.
            sample = x.flatten()[:: x.numel() // 100_000 | 1].float()
            low, high = torch.quantile(sample, torch.tensor([tail, 1 - tail], device=x.device))
        self._lowest = torch.minimum(self._lowest, low)
        self._highest = torch.maximum(self._highest, high)

    def give(self, scale: TensorScale) -> None:
        """Set step and zero point."""
        self.step.data.fill_(scale.step)
        self.zero_point.fill_(scale.zero_point)

    def start_calibration(self) -> None:
        self.calibrating = True
        self._batches = 0
        self._start_batch()

    def _start_batch(self) -> None:
        # The range must hold 0 exactly: padding and relu put it there.
        self._lowest = torch.zeros_like(self.low)
        self._highest = torch.zeros_like(self.high)

    def next_batch(self) -> None:
        """Take the range of the batch that was seen, over all tensors, into the average."""
        self._batches += 1
        self.low += (self._lowest - self.low) / self._batches
        self.high += (self._highest - self.high) / self._batches
        self._start_batch()

    def end_calibration(self) -> None:
        """Set step and zero point to the range that was seen."""
        step = ((self.high - self.low) / self.levels).clamp(min=1e-8)
        self.step.data.copy_(step)
        self.zero_point.copy_((-self.low / step).round().clamp(0, self.levels))
        self.calibrating = False
