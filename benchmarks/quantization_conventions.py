"""What do the conventions of the integer files cost in accuracy? Each beside what it replaced, on the same training.

Sigmoid: scale 1/256 against a calibrated one. Concatenation: one scale for all of its tensors against one for each.
Both after the same float training, 8 bits from ranges and 4 bits after an epoch of quantization-aware training. Image:
one mean and deviation for all channels against one for each channel, two trainings from one seed.

    python benchmarks/quantization_conventions.py --data cifar10 --data-dir PATH --save
"""

import statistics
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from record import arguments, report, table

from runners.config import DataConfig, TrainingConfig
from runners.quantization.dequantize import at_bits
from runners.quantization.simulation import QuantizedNetwork
from runners.recipes.steps import FINE_TUNE_PEAK
from runners.training.batches import DeviceImages
from runners.training.load_images import load_images
from runners.training.loop import linear_decay, measure_accuracy, one_cycle
from runners.training.phase import TrainingPhase
from runners.training.resizing import EpochImages
from search_space import ArchSpec, StageSpec, build_network
from search_space.backends.network_values import SIGMOID_SCALE, QuantizedTensor, quantized_tensors
from search_space.backends.torch_network import GraphNetwork
from search_space.graph import Concat, Graph

Tensors = dict[str, QuantizedTensor]
BLOCKS = {"basic": ("basic", False), "se": ("basic", True), "ghost": ("ghost", False), "se_ghost": ("ghost", True)}


def calibrated_sigmoids(graph: Graph) -> Tensors:
    """The sigmoids' scales from ranges, at the bits of their nodes."""
    bits = {node.name: node.bits for node in graph.nodes}
    image = graph.nodes[0].name
    return {
        name: t if name == image or not t.given else QuantizedTensor(bits.get(name, t.bits), name, False)
        for name, t in quantized_tensors(graph).items()
    }


def separate_scales(graph: Graph) -> Tensors:
    """A scale for each of the tensors that are concatenated, and one for the concatenation."""
    found: Tensors = {}
    tensors = quantized_tensors(graph)
    for node in graph.nodes[:-1]:
        if isinstance(node.op, Concat) and node.bits < 32:
            found[node.name] = QuantizedTensor(node.bits, node.name, False)
        found |= {n: t._replace(group=n) for n, t in tensors.items() if n == node.name or n.startswith(f"{node.name}_")}
    return found


def spec_of(block: str, resolution: int, channels: int) -> ArchSpec:
    kind, se = BLOCKS[block]
    stages = tuple(
        StageSpec(block=kind, num_blocks=3, width=16 * 2**i, stride=min(i + 1, 2), se=se, bits=32) for i in range(3)
    )
    return ArchSpec(stem="3x3", stem_width=16, stages=stages, resolution=resolution, in_channels=channels)


def trained(
    network: GraphNetwork, images: tuple[DeviceImages, DeviceImages], config: TrainingConfig, seed: int, **how: Any
) -> GraphNetwork:
    few = images[0], replace(images[1], images=images[1].images[:100], labels=images[1].labels[:100])
    for _ in TrainingPhase(
        network, EpochImages(few, few, config, seed=seed), config, precision=torch.float32, **how
    ).run():
        pass
    return network.eval()


def float_training(
    spec: ArchSpec, images: tuple[DeviceImages, DeviceImages], config: TrainingConfig, seed: int
) -> GraphNetwork:
    torch.manual_seed(seed)
    network = build_network(spec).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    how = {"epochs": range(config.epochs), "peak": config.learning_rate, "schedule": one_cycle}
    return trained(network, images, config, seed, **how)


def quantized_accuracy(
    network: GraphNetwork,
    spec: ArchSpec,
    bits: int,
    images: tuple[DeviceImages, DeviceImages],
    config: TrainingConfig,
    tensors: Callable[[Graph], Tensors],
) -> float:
    with patch("runners.quantization.simulation.quantized_tensors", tensors):
        quantized = QuantizedNetwork(at_bits(network, spec.with_bits(bits).build_graph()), keep_norms=bits < 8)
    whole = isinstance(images[0].mean, int)
    with (
        nullcontext()
        if whole
        else patch("runners.quantization.simulation.image_scale", lambda *normalisation: SIGMOID_SCALE)
    ):
        quantized.calibrate(images[0])  # where the image's scale is not given, calibration replaces any
    if bits < 8:
        how = {"epochs": range(1), "peak": config.learning_rate * FINE_TUNE_PEAK, "schedule": linear_decay}
        trained(quantized, images, config, 0, **how)
    quantized.finish()
    return measure_accuracy(quantized.eval(), images[1])


def by_channel(images: DeviceImages, of: DeviceImages) -> DeviceImages:
    """The images with a mean and a deviation for each channel, those of the training images `of`."""
    channels = of.images.float()
    mean, std = channels.mean((0, 2, 3), keepdim=True), channels.std((0, 2, 3), keepdim=True)
    return replace(images, mean=mean, std=std)  # type: ignore[arg-type]  # as it was before


def without_image(graph: Graph) -> Tensors:
    """The image's scale from ranges too."""
    return {name: t._replace(given=t.given and name != "input") for name, t in quantized_tensors(graph).items()}


def difference(pairs: list[tuple[float, float]]) -> list[str]:
    """Mean of each, and of the differences with their standard error, in points."""
    differences = [100 * (new - old) for old, new in pairs]
    error = statistics.stdev(differences) / len(differences) ** 0.5 if len(differences) > 1 else float("nan")
    means = [f"{100 * statistics.mean(values):.2f} %" for values in zip(*pairs, strict=True)]
    return [*means, f"{statistics.mean(differences):+.2f} ± {error:.2f}"]


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--image-seeds", type=int, default=6, help="seeds of the two trainings")
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--epochs", type=int, default=4)
    args = parser.parse_args()
    torch.set_num_threads(1)
    config = TrainingConfig(images=args.images, validation_images=5000, epochs=args.epochs, precision="float32")
    data = DataConfig(name=args.data, path=args.data_dir)
    size = 32 if args.data == "cifar10" else 28
    images = load_images(data, config, size, torch.device("cpu"))
    channels = images[0].images.shape[1]
    found: dict[tuple[str, str, str], list[tuple[float, float]]] = {}

    def note(what: str, block: str, bits: str, old: float, new: float) -> None:
        found.setdefault((what, block, bits), []).append((old, new))

    for seed in range(args.seeds):
        for block in ("se", "ghost", "se_ghost"):
            spec = spec_of(block, size, channels)
            network = float_training(spec, images, config, seed)
            for bits in (8, 4):
                new = quantized_accuracy(network, spec, bits, images, config, quantized_tensors)
                for what, tensors, applies in (
                    ("sigmoid at 1/256", calibrated_sigmoids, "se" in block),
                    ("one scale a concatenation", separate_scales, "ghost" in block),
                ):
                    if applies:
                        old = quantized_accuracy(network, spec, bits, images, config, tensors)
                        note(what, block, f"{bits} bits", old, new)
    for seed in range(args.image_seeds if channels > 1 else 0):
        spec = spec_of("basic", size, channels)
        before = by_channel(images[0], images[0]), by_channel(images[1], images[0])
        old_network, new_network = (float_training(spec, i, config, seed) for i in (before, images))
        note(
            "channels alike",
            "basic",
            "float",
            measure_accuracy(old_network, before[1]),
            measure_accuracy(new_network, images[1]),
        )
        note(
            "channels alike",
            "basic",
            "8 bits",
            quantized_accuracy(old_network, spec, 8, before, config, without_image),
            quantized_accuracy(new_network, spec, 8, images, config, quantized_tensors),
        )
        print(f"seed {seed} done", flush=True)
    rows = [[*key, *difference(pairs)] for key, pairs in sorted(found.items())]
    headers = ["convention", "block", "at", "before", "with it", "difference, points"]
    text = (
        f"{args.data}, {args.images:,} images, {args.epochs} epochs, 5,000 validation images, {args.seeds} seeds "
        f"(channels alike: {args.image_seeds}); mean of the paired differences ± standard error\n\n"
        f"{table(headers, rows)}"
    )
    command = f"python benchmarks/quantization_conventions.py --data {args.data} --save"
    report(f"quantization-conventions-{args.data}", command, text, save=args.save)


if __name__ == "__main__":
    main()
