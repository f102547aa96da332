"""How is a quantized network quantized further? Fewer bits in some layers; what keeps its bits keeps its scales."""

from typing import cast

import torch

from search_space.backends.torch_network import build_network
from search_space.graph import Graph

from ..training.batches import DeviceImages
from .quantizers import ActivationQuantizer, WeightQuantizer
from .simulation import QuantizedLayer, QuantizedNetwork


@torch.no_grad()
def requantized(network: QuantizedNetwork, graph: Graph, images: DeviceImages) -> QuantizedNetwork:
    """Return a finished copy of `network` on `graph`, which differs from its own in bit-widths alone.

    A layer whose bits change starts from the weights that its integers stand for. New activation ranges come from the
    training images. Learned steps of layers and tensors that keep their bits are taken over, so that with the
    network's own bits the copy computes what the network does.
    """
    result = QuantizedNetwork(build_network(graph)).to(images.images.device)
    for name, module in result.layers.items():
        _take_layer(cast(QuantizedLayer, module), cast(QuantizedLayer, network.layers[name]))
    kept = [quantizer for quantizer in _take_scales(result, network) if not quantizer.given]
    for quantizer in kept:
        quantizer.given = True  # calibration leaves it as it is
    result.calibrate(images)
    for quantizer in kept:
        quantizer.given = False
    result.finish()
    return result.eval()


def _take_layer(layer: QuantizedLayer, source: QuantizedLayer) -> None:
    layer.bias.copy_(source.bias)
    if layer.quantizer is None or source.quantizer is None or layer.quantizer.bits != source.quantizer.bits:
        weight = source.weight if source.quantizer is None else source.quantizer(source.weight)
        layer.weight.copy_(weight)
        if layer.quantizer is not None:
            layer.quantizer = WeightQuantizer(weight, layer.quantizer.bits).to(weight.device)
        return
    layer.load_state_dict(source.state_dict())


def _take_scales(result: QuantizedNetwork, network: QuantizedNetwork) -> list[ActivationQuantizer]:
    """Copy the scales of the tensors that have the same bits, and share them with the same others, in both networks."""
    taken = []
    for group, module in result.tensors.items():
        if group not in network.tensors or result.members(group) != network.members(group):
            continue
        quantizer = cast(ActivationQuantizer, module)
        source = cast(ActivationQuantizer, network.tensors[group])
        if quantizer.bits == source.bits:
            quantizer.load_state_dict(source.state_dict())
            taken.append(quantizer)
    return taken
