"""Is a network that was pruned to any number of channels as fast as its MACs promise?

ResNet-20 and the depthwise ResNet-20, 32x32 input, pruned by the magnitude of random weights to 60 % of the MACs, with
channels left one at a time and in multiples of 4, 8 and 16; their float32 and int8 files timed in turn, the fastest of
three rounds counts.

    python benchmarks/channel_multiples.py --save
"""

from dataclasses import replace

import torch
from record import arguments, report, table

from objectives import known_costs
from objectives.latency.host import HostDevice
from runners.recipes.pruning import prune
from runners.training.batches import DeviceImages
from search_space import ArchSpec, build_network, reference
from search_space.backends.network_values import random_values
from search_space.backends.onnx_model import build_onnx
from search_space.spec import Architecture

ROUNDS = 3
SHARE = 0.6
NO_IMAGES = DeviceImages(torch.zeros(0, 3, 32, 32), torch.zeros(0), torch.zeros(1), torch.ones(1))
"""Magnitudes ask no images."""


def macs_of(architecture: Architecture) -> float:
    return float(known_costs(architecture.build_graph())["macs"])


def pruned(spec: ArchSpec, multiple: int) -> Architecture:
    torch.manual_seed(0)
    target = SHARE * macs_of(spec)
    return prune(
        build_network(spec),
        spec,
        NO_IMAGES,
        lambda architecture: macs_of(architecture) <= target,
        importance="magnitude",
        multiple=multiple,
    ).architecture


def model_of(architecture: Architecture, bits: int) -> bytes:
    graph = architecture.with_bits(bits).build_graph()
    return bytes(build_onnx(graph, random_values(graph), int8=bits < 32).SerializeToString())


def main() -> None:
    args = arguments(__doc__ or "").parse_args()
    device = HostDevice()
    resnet20 = reference("resnet20")
    assert isinstance(resnet20, ArchSpec)
    depthwise = replace(resnet20, stages=tuple(replace(stage, block="depthwise") for stage in resnet20.stages))
    rows = []
    for name, spec in (("ResNet-20", resnet20), ("the same of depthwise blocks", depthwise)):
        networks: dict[str, Architecture] = {"whole": spec} | {f"of {n}": pruned(spec, n) for n in (1, 4, 8, 16)}
        files = [model_of(architecture, bits) for architecture in networks.values() for bits in (32, 8)]
        rounds = [device.time(files) for _ in range(ROUNDS)]
        best = [min(timing.latency_ms for timing in column) for column in zip(*rounds, strict=True)]
        for (kind, architecture), float_ms, int8_ms in zip(networks.items(), best[::2], best[1::2], strict=True):
            rows.append([name, kind, f"{macs_of(architecture) / 1e6:.1f}", f"{float_ms:.3f}", f"{int8_ms:.3f}"])
    heads = ["network", "channels in multiples", "MACs (M)", "float32 ms", "int8 ms"]
    report("channel-multiples", "python benchmarks/channel_multiples.py --save", table(heads, rows), save=args.save)


if __name__ == "__main__":
    main()
