"""How does a network that was quantized go on training? Back in float, with batch-norms where they were folded."""

from typing import cast

import torch
from torch import Tensor, nn

from search_space.backends.torch_network import ConvLayer, GraphNetwork, LinearLayer, build_network
from search_space.graph import FLOAT_BITS, Graph

from ..training.batches import DeviceImages
from .simulation import QuantizedLayer, QuantizedNetwork


def at_bits(network: GraphNetwork, graph: Graph) -> GraphNetwork:
    """A copy of a float network on `graph`, which differs from its own in bit-widths alone."""
    copy = build_network(graph)
    copy.load_state_dict(network.state_dict())
    device = next(network.parameters()).device
    return copy.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


@torch.no_grad()
def refloated(network: QuantizedNetwork, images: DeviceImages, *, count: int = 512) -> GraphNetwork:
    """A float network that computes what the quantized one approximates, with batch-norms that can be trained.

    Each norm gets mean and variance of its layer's outputs on the first `count` training images, and scale and shift
    that undo them, so that nothing changes in evaluation and training goes on from there.
    """
    float_graph = Graph(tuple(node._replace(bits=FLOAT_BITS) for node in network.graph.nodes))
    result = build_network(float_graph).to(images.images.device).eval()
    norms: list[tuple[ConvLayer, Tensor]] = []
    for name, layer in result.layers.items():
        source = cast(QuantizedLayer, network.layers[name])
        weight = source.weight if source.quantizer is None else source.quantizer(source.weight)
        if isinstance(layer, LinearLayer):
            layer.linear.weight.copy_(weight)
            layer.linear.bias.copy_(source.bias)
            continue
        conv = cast(ConvLayer, layer)
        conv.conv.weight.copy_(weight)
        if conv.norm is None:
            cast(Tensor, conv.conv.bias).copy_(source.bias)
            continue
        norm = conv.norm
        norm.weight.copy_(torch.sqrt(cast(Tensor, norm.running_var) + norm.eps))  # for now it only adds the bias
        norm.bias.copy_(source.bias)
        norms.append((conv, source.bias))
    moments = _output_moments(result, [conv for conv, _ in norms], images, count)
    for (conv, bias), (mean, variance) in zip(norms, moments, strict=True):
        norm = cast(nn.BatchNorm2d, conv.norm)
        cast(Tensor, norm.running_mean).copy_(mean)
        cast(Tensor, norm.running_var).copy_(variance)
        norm.weight.copy_(torch.sqrt(variance + norm.eps))
        norm.bias.copy_(bias + mean)
    return result.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _output_moments(
    network: GraphNetwork, layers: list[ConvLayer], images: DeviceImages, count: int, batch_size: int = 128
) -> list[tuple[Tensor, Tensor]]:
    """Mean and variance of each convolution's output channels."""
    sums = [
        torch.zeros(3, layer.conv.out_channels, dtype=torch.float64, device=images.images.device) for layer in layers
    ]

    def watch(total: Tensor) -> object:
        def add(module: nn.Module, inputs: object, output: Tensor) -> None:
            values = output.double()
            total[0] += values.sum((0, 2, 3))
            total[1] += values.square().sum((0, 2, 3))
            total[2] += values.numel() / values.shape[1]

        return add

    hooks = [layer.conv.register_forward_hook(watch(total)) for layer, total in zip(layers, sums, strict=True)]  # type: ignore[arg-type]
    for start in range(0, min(count, len(images)), batch_size):
        network(images.normalised(slice(start, min(start + batch_size, count))))
    for hook in hooks:
        hook.remove()
    means = [(total[0] / total[2], total[1] / total[2]) for total in sums]
    return [(mean.float(), (square - mean.square()).clamp(min=1e-6).float()) for mean, square in means]
