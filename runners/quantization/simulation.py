"""What does a network lose at few bits? Batch-norm folded, weights and activations quantized in float arithmetic.

Weights: per output channel, symmetric, integers -(2^(b-1) - 1) .. 2^(b-1) - 1. Activations: per tensor, affine,
integers 0 .. 2^b - 1, which is what integer runtimes take (Jacob et al. 2018). `backends/network_values.py` says which
tensors have a scale and which share one. The image's scale follows from its normalisation: the integer is the pixel.
Post-training: weight scales from the largest weight, activation ranges from training images. Below 8 bits the steps
are learned with the weights (Esser et al. 2020, LSQ), and batch-norm stays until the end of that training: without it,
folded weights bear only a tenth of the learning rate.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from search_space.backends.network_values import (
    SIGMOID_SCALE,
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
from .folding import as_array, folded, gain_and_shift, unfolded
from .quantizers import ActivationQuantizer, WeightQuantizer


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
