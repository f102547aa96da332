"""What is the average of the weights along the way? An exponential moving average, which stands in for the network."""

import copy

import torch
from torch import Tensor, nn

from search_space.network import GraphNetwork


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


def _tensors(network: nn.Module) -> list[Tensor]:
    """Parameters and statistics; what is counted in whole numbers plays no part in evaluation."""
    found = [*network.parameters(), *network.buffers()]
    return [tensor.data for tensor in found if tensor.is_floating_point()]
