"""Do others count the same? A network's exact costs against fvcore, torch's own counter and torch's parameters."""

import warnings
from dataclasses import dataclass

import torch
from torch import nn

from objectives.base import known_costs
from search_space.backends.torch_network import build_network
from search_space.spec import Architecture


@dataclass(frozen=True, slots=True)
class Check:
    """One figure of ours beside another's."""

    figure: str
    ours: int
    theirs: int
    oracle: str

    @property
    def agrees(self) -> bool:
        return self.ours == self.theirs


def verify_counts(architecture: Architecture) -> list[Check]:
    """Parameters against `numel`, MACs against fvcore and half of torch's flop counter."""
    network = build_network(architecture).eval()
    costs = known_costs(network.graph)
    size = architecture.resolution
    images = torch.zeros(1, architecture.in_channels, size, size)
    numel = sum(parameter.numel() for parameter in network.parameters())
    return [
        Check("params", int(costs["params"]), numel, "torch numel"),
        Check("macs", int(costs["macs"]), fvcore_macs(network, images), "fvcore"),
        Check("macs", int(costs["macs"]), torch_macs(network, images), "torch flop counter / 2"),
    ]


def fvcore_macs(network: nn.Module, images: torch.Tensor) -> int:
    """fvcore's "flops" of convolutions and linear layers, for a batch of 1."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fvcore leans on torch.jit, which is deprecated, from its import on
        from fvcore.nn import FlopCountAnalysis

        analysis = FlopCountAnalysis(network, images)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        counts = analysis.by_operator()
    # Not by set_op_handle(name, None): fvcore keeps its own handler of an operator that has one.
    return int(counts.total() - counts["batch_norm"] - counts["adaptive_avg_pool2d"])


def torch_macs(network: nn.Module, images: torch.Tensor) -> int:
    """Half of what torch's flop counter gives, for a batch of 1."""
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(images)
    return int(counter.get_total_flops()) // 2
