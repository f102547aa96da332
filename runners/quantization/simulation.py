"""What does a network lose at few bits? Batch-norm folded, weights and activations quantized in float arithmetic.

Weights: per output channel, symmetric, integers -(2^(b-1) - 1) .. 2^(b-1) - 1. Activations: per tensor, affine,
integers 0 .. 2^b - 1, which is what integer runtimes take (Jacob et al. 2018). `backends/network_values.py` says which
tensors have a scale and which share one. The image's scale follows from its normalisation: the integer is the pixel.
Post-training: weight scales from the largest weight, activation ranges from training images. Below 8 bits the steps
are learned with the weights (Esser et al. 2020, LSQ), and batch-norm stays until the end of that training: without it,
folded weights bear only a tenth of the learning rate.
"""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_space.backends.network_values import (
    SIGMOID_SCALE,
    Floats,
    LayerValues,
    TensorScale,
    input_scales,
    linear_name,
    quantized_layer,
    quantized_tensors,
    sigmoid_name,
)
from search_space.backends.torch_network import ConvLayer, GraphNetwork, LinearLayer
from search_space.graph import FLOAT_BITS, Conv, Graph, Linear, Node

from ..training.batches import DeviceImages


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


class QuantizedLayer(nn.Module):
    """Convolution or linear layer, in float where the node has 32 bits; batch-norm folded, or kept until `fold`."""

    def __init__(
        self, op: Conv | Linear, layer: ConvLayer | LinearLayer, bits: int, *, keep_norm: bool = False
    ) -> None:
        super().__init__()
        self.op = op
        self.norm = copy.deepcopy(layer.norm) if keep_norm and isinstance(layer, ConvLayer) else None
        weight, bias = folded(layer) if self.norm is None else unfolded(cast(ConvLayer, layer))
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(bias)
        self.quantizer = None if bits == FLOAT_BITS else WeightQuantizer(weight, bits)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H', W')."""
        weight = self.weight if self.quantizer is None else self.quantizer(self.weight)
        if isinstance(self.op, Linear):
            return F.linear(x.flatten(1), weight, self.bias)[:, :, None, None]
        op = self.op
        y = F.conv2d(x, weight, self.bias, op.stride, op.kernel // 2, groups=op.groups)
        return y if self.norm is None else cast(Tensor, self.norm(y))

    @torch.no_grad()
    def fold(self) -> None:
        """Fold a kept batch-norm. The integers stay the same, because every output channel has its own step."""
        if self.norm is None:
            return
        gain, shift = gain_and_shift(self.norm)
        self.weight.mul_(gain[:, None, None, None])
        self.bias.mul_(gain).add_(shift)
        if self.quantizer is not None:
            self.quantizer.step.mul_(gain.abs()[:, None, None, None])
        self.norm = None

    def values(self) -> LayerValues:
        """Weight, bias and steps as arrays; batch-norm must have been folded."""
        assert self.norm is None
        steps = None
        if self.quantizer is not None:
            steps = as_array(self.quantizer.step.abs().clamp(min=1e-8)).reshape(-1)
        return LayerValues(weight=as_array(self.weight), bias=as_array(self.bias), steps=steps)

    @torch.no_grad()
    def round_bias(self, input_step: float) -> None:
        """Bias (and, where it would not fit, the weights' step) as an int32 can hold it."""
        assert self.quantizer is not None
        _, steps, bias = quantized_layer(self.values(), self.quantizer.bits, input_step)
        rounded = bias.astype(np.float64) * steps.astype(np.float64) * input_step
        self.bias.copy_(torch.from_numpy(rounded.astype(np.float32)))
        steps = steps * np.float32(2 ** (8 - self.quantizer.bits))
        self.quantizer.step.copy_(torch.from_numpy(steps).reshape(self.quantizer.step.shape))


def as_array(tensor: Tensor) -> Floats:
    """A tensor's values as a numpy array of its shape."""
    array: Floats = tensor.detach().cpu().contiguous().numpy()
    return array


def gain_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """What a batch-norm multiplies each channel by and adds in evaluation mode (Jacob et al. 2018, eq. 14)."""
    gain = norm.weight.detach() / torch.sqrt(cast(Tensor, norm.running_var) + norm.eps)
    return gain, norm.bias.detach() - cast(Tensor, norm.running_mean) * gain


def folded(layer: ConvLayer | LinearLayer) -> tuple[Tensor, Tensor]:
    """Copies of weight and bias (out_channels,), with the batch-norm's statistics folded in."""
    if isinstance(layer, LinearLayer):
        return layer.linear.weight.detach().clone(), layer.linear.bias.detach().clone()
    weight, bias = unfolded(layer)
    if layer.norm is None:
        return weight, bias
    gain, shift = gain_and_shift(layer.norm)
    return (weight * gain[:, None, None, None]).contiguous(memory_format=torch.channels_last), bias * gain + shift


def unfolded(layer: ConvLayer) -> tuple[Tensor, Tensor]:
    """Copies of a convolution's weight and bias, zeros where it has none."""
    weight, bias = layer.conv.weight.detach().clone(), layer.conv.bias
    return weight, weight.new_zeros(len(weight)) if bias is None else bias.detach().clone()


class QuantizedNetwork(GraphNetwork):
    """A trained network with every tensor quantized at its node's bits; a module like any other.

    With `keep_norms` batch-norms are folded only by `finish`, after quantization-aware training.
    """

    def __init__(self, network: GraphNetwork, *, keep_norms: bool = False) -> None:
        super().__init__(network.graph)
        graph = network.graph
        bits = {node.name: node.bits for node in graph.nodes}
        ops = {node.name: cast(Conv | Linear, node.op) for node in graph.nodes}
        self.layers = nn.ModuleDict(
            {
                name: QuantizedLayer(ops[name], cast(Any, layer), bits[name], keep_norm=keep_norms)
                for name, layer in network.layers.items()
            }
        )
        tensors = quantized_tensors(graph)
        self._groups = {name: tensor.group for name, tensor in tensors.items()}
        self.tensors = nn.ModuleDict(
            {t.group: ActivationQuantizer(t.bits, given=t.given) for name, t in tensors.items() if name == t.group}
        )
        for quantizer in self.quantizers:
            if quantizer.given:
                quantizer.give(SIGMOID_SCALE)
        self.to(next(self.parameters()).device)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, in_channels, resolution, resolution), normalised -> logits (N, num_classes)."""
        return super().forward(self._quantized(self.graph.nodes[0].name, images))

    def run_node(self, node: Node, *inputs: Tensor | None) -> Tensor:
        """Output (N, C, H, W) of one node, quantized."""
        return self._quantized(node.name, super().run_node(node, *inputs))

    def run_operator(self, node: Node, *inputs: Tensor | None) -> Tensor:
        """Output (N, C, H, W) before the activation, quantized where that has a scale of its own."""
        return self._quantized(linear_name(node), super().run_operator(node, *inputs))

    def run_activation(self, node: Node, x: Tensor) -> Tensor:
        """Output (N, C, H, W) of the activation; a SiLU's sigmoid is quantized too."""
        if node.act == "silu":
            return x * self._quantized(sigmoid_name(node), torch.sigmoid(x))
        return super().run_activation(node, x)

    @property
    def quantizers(self) -> list[ActivationQuantizer]:
        """Those of the activations."""
        return [cast(ActivationQuantizer, module) for module in self.tensors.values()]

    def members(self, group: str) -> set[str]:
        """Names of the tensors that share the scale of a group."""
        return {name for name, found in self._groups.items() if found == group}

    def _quantized(self, name: str, x: Tensor) -> Tensor:
        group = self._groups.get(name, "")
        return cast(Tensor, self.tensors[group](x)) if group in self.tensors else x

    def calibrate(self, images: DeviceImages, *, count: int = 512, batch_size: int = 128) -> None:
        """Set the activations' scales from the first `count` training images, without augmentation."""
        image = self.graph.nodes[0].name
        if image in self.tensors:
            quantizer = cast(ActivationQuantizer, self.tensors[image])
            quantizer.give(image_scale(images.mean, images.std, quantizer.bits))
        quantizers = [quantizer for quantizer in self.quantizers if not quantizer.given]
        with _evaluating(self), torch.no_grad():
            for quantizer in quantizers:
                quantizer.start_calibration()
            for start in range(0, min(count, len(images)), batch_size):
                self(images.normalised(slice(start, min(start + batch_size, count))))
                for quantizer in quantizers:
                    quantizer.next_batch()
            for quantizer in quantizers:
                quantizer.end_calibration()

    @torch.no_grad()
    def finish(self) -> None:
        """Make it what an integer runtime computes, after calibration and training.

        Norms that were kept are folded, in evaluation mode without a change, and biases become whole multiples of
        weight step x input step: at 4 bits that rounding flips enough activations to show in the accuracy.
        """
        scales = input_scales(self.graph, self.scales())
        for name, layer in self.layers.items():
            layer = cast(QuantizedLayer, layer)
            layer.fold()
            scale = scales[name]
            if scale is not None and layer.quantizer is not None:
                layer.round_bias(scale.step)

    def scales(self) -> dict[str, TensorScale]:
        """Step and zero point of every quantized tensor, by name; none where the quantizers were taken away."""
        scales = {
            group: TensorScale(
                step=float(quantizer.step.detach().abs().clamp(min=1e-8)), zero_point=int(quantizer.zero_point)
            )
            for group, quantizer in zip(self.tensors, self.quantizers, strict=True)
        }
        return {name: scales[group] for name, group in self._groups.items() if group in scales}


def image_scale(mean: float, std: float, bits: int) -> TensorScale:
    """Return the scale at which the integer of a normalised pixel (`images.normalise`) is the pixel itself.

    `mean` (a whole number) and `std` are in grey levels. Below 8 bits, of which only graphs of one's own have images,
    the integers are that much coarser.
    """
    share = (2**bits - 1) / 255
    return TensorScale(step=1 / (std * share), zero_point=round(mean * share))


def lowest_bits(graph: Graph) -> int:
    """Smallest bit-width of any node; 32 for a float network."""
    return min(node.bits for node in graph.nodes)


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)
