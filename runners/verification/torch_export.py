"""How does a trained network leave torch? Its numbers as plain arrays for ONNX, and as a `torch.export` file."""

import copy
import io
import warnings
from typing import cast

import torch
from torch import nn

from search_space.backends.network_values import LayerValues, NetworkValues
from search_space.backends.torch_network import ConvLayer, GraphNetwork, LinearLayer

from ..quantization.folding import as_array, folded
from ..quantization.quantizers import ActivationQuantizer
from ..quantization.simulation import QuantizedLayer, QuantizedNetwork, lowest_bits


def network_values(network: GraphNetwork) -> NetworkValues:
    """Weights with batch-norm folded, and the scales of a quantized network, by node name."""
    tensors = network.scales() if isinstance(network, QuantizedNetwork) else {}
    layers = {name: _layer_values(layer) for name, layer in network.layers.items()}
    return NetworkValues(layers=layers, tensors=tensors)


def float_network(network: GraphNetwork) -> GraphNetwork:
    """Return a copy that computes in float, in evaluation mode: what the float32 file must compute.

    At 8 bits its weights are the float weights that were quantized. Below 8 bits they are the weights that the integers
    stand for: training at these bits leaves float weights that are of no use unless they are rounded.
    """
    network = copy.deepcopy(network).eval()
    if isinstance(network, QuantizedNetwork):
        network.tensors = nn.ModuleDict()
        few_bits = lowest_bits(network.graph) < 8
        for module in network.layers.values():
            layer = cast(QuantizedLayer, module)
            if few_bits:
                _round_weight(layer)
            layer.quantizer = None
    return network


@torch.no_grad()
def frozen_network(network: GraphNetwork) -> GraphNetwork:
    """Return a copy in evaluation mode that no longer learns: its weights are what their integers stand for."""
    network = copy.deepcopy(network).eval()
    if isinstance(network, QuantizedNetwork):
        for module in network.layers.values():
            layer = cast(QuantizedLayer, module)
            _round_weight(layer)
            layer.quantizer = None
        frozen = [_FrozenQuantizer(quantizer) for quantizer in network.quantizers]
        network.tensors = nn.ModuleDict(dict(zip(network.tensors, frozen, strict=True)))
    return network


@torch.no_grad()
def _round_weight(layer: QuantizedLayer) -> None:
    """Set a layer's weight to what its integers stand for; a float layer stays as it is."""
    if layer.quantizer is not None:
        layer.weight.copy_(layer.quantizer(layer.weight))


def export_program(network: GraphNetwork, resolution: int) -> bytes:
    """A .pt2 file (`torch.export`): images (N, C, resolution, resolution), normalised -> logits, for any N.

    `torch.export.load` runs it without this project. A quantized network computes in float what its integers stand for.
    """
    in_channels = network.graph.nodes[0].shape.channels
    example = torch.zeros(2, in_channels, resolution, resolution)
    batch = torch.export.Dim("batch", min=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own deprecations
        program = torch.export.export(frozen_network(network), (example,), dynamic_shapes=({0: batch},))
        buffer = io.BytesIO()
        torch.export.save(program, buffer)
    return buffer.getvalue()


class _FrozenQuantizer(nn.Module):
    """An `ActivationQuantizer` that no longer learns: a third of the operations, the same digits."""

    def __init__(self, quantizer: ActivationQuantizer) -> None:
        super().__init__()
        self.step = float(quantizer.step.detach().abs().clamp(min=1e-8))
        self.low = -float(quantizer.zero_point)
        self.high = self.low + quantizer.levels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x / self.step).clamp(self.low, self.high).round() * self.step


def _layer_values(layer: nn.Module) -> LayerValues:
    if isinstance(layer, QuantizedLayer):
        return layer.values()
    weight, bias = folded(cast(ConvLayer | LinearLayer, layer))
    return LayerValues(weight=as_array(weight), bias=as_array(bias))
