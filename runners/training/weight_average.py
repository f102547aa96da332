"""What is the average of the weights along the way? An exponential moving average, which stands in for the network."""

import copy
import math

import torch
from torch import Tensor, nn

from search_space.backends.torch_network import GraphNetwork

from .batches import DeviceImages


class WeightAverage:
    """Follows a network in training; `network` is the averaged one."""

    def __init__(self, network: GraphNetwork, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._pairs = _tensors(self.network), _tensors(network)

    @torch.no_grad()
    def update(self) -> None:
        """Move towards the network, at first in larger steps, so that little of its random start remains."""
        self.updates += 1
        decay = min(self.decay, self.updates / (self.updates + 9))
        averages, currents = self._pairs
        torch._foreach_lerp_(averages, currents, 1 - decay)


@torch.no_grad()
def estimate_norm_statistics(network: nn.Module, images: DeviceImages) -> None:
    """Give each batch-norm of `network` the mean and variance of what it sees on some of the training images.

    An average of weights has activations of its own, which the average of the statistics misses (Izmailov et al. 2018,
    algorithm 1). A sixth of the images, 64 to 1,000 of them, once forward: about a twentieth of an epoch's arithmetic.
    """
    count = min(len(images), max(64, min(1000, len(images) // 6)))
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # all batches count alike
    network.train()
    for batch in torch.arange(count).tensor_split(math.ceil(count / 250)):
        network(images.normalised(batch.to(images.labels.device)))
    network.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def _tensors(network: nn.Module) -> list[Tensor]:
    """Parameters and statistics; what is counted in whole numbers plays no part in evaluation."""
    found = [*network.parameters(), *network.buffers()]
    return [tensor.data for tensor in found if tensor.is_floating_point()]
