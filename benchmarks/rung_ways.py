"""Three ways to give the promising more training: which judges networks best before the dear part is paid?

A random sample of the networks of search_table.py, in float, is judged after 12,000 to 18,000 images in three ways, and
each judgement is compared with the accuracy after 48,000 images from scratch, which the table holds:

- a complete schedule from random weights (a rung, as in the table);
- the same from the weights of the nearest other network of the block, where tensors of one name overlap;
- a constant rate after the warm-up, cooled down on a branch of 6,000 images; the trunk goes on from its checkpoint to
  48,000 images, the last 12,000 of them cooling down (Hägele et al. 2024).

    python benchmarks/rung_ways.py --data-dir path/to/cifar10 --save
"""

import argparse
import copy
import csv
import math
import random
from pathlib import Path

import numpy as np
import torch
from record import report, table
from scipy.stats import kendalltau
from search_table import CURVES, FOLDER, RUNGS, networks
from torch import nn

from runners.config import DataConfig, TrainingConfig
from runners.coordinator import candidate_seed
from runners.evaluate import load_images
from runners.images import DeviceImages, ImageBatches
from runners.training import Trainer, finite, measure_accuracy, one_cycle
from search_space.network import build_network
from search_space.spec import ArchSpec

NETWORKS = 20
FOUND = FOLDER / "rung-ways.csv"
WAYS = ("warm start", "constant rate, cooled down", "constant rate, to the end")
WARM_UP, TRUNK, COOLING = 0.25, 2, 2
"""Epochs of 6,000 images: a quarter to warm up, two until the branch, the last two of eight cooling down."""


class Data:
    """Images as one network sees them."""

    def __init__(self, spec: ArchSpec, data: DataConfig, config: TrainingConfig) -> None:
        images = load_images(data, config, spec.resolution, torch.device("cpu"))
        self.training: DeviceImages = images[0]
        self.validation: DeviceImages = images[1]

    def batches(self, config: TrainingConfig, seed: int) -> ImageBatches:
        return ImageBatches(
            self.training, batch_size=config.batch_size, crop=config.crop, flip=config.flip, cutout=0.0, seed=seed
        )


def fresh(spec: ArchSpec) -> nn.Module:
    torch.manual_seed(candidate_seed(0, spec.key))
    network: nn.Module = build_network(spec)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def trainer(
    network: nn.Module, batches: ImageBatches, config: TrainingConfig, epochs: int, schedule: object = one_cycle
) -> Trainer:
    return Trainer(
        network,
        batches,
        config,
        epochs=epochs,
        peak=config.learning_rate,
        schedule=schedule,  # type: ignore[arg-type]
        precision=torch.float32,
    )


def whole(network: nn.Module, spec: ArchSpec, data: DataConfig, config: TrainingConfig) -> float:
    """One complete schedule on `network`; the accuracy after it."""
    seen = Data(spec, data, config)
    training = trainer(network, seen.batches(config, candidate_seed(0, spec.key)), config, config.epochs)
    for epoch in range(config.epochs):
        finite(training.run_epoch(), epoch)
    return measure_accuracy(network, seen.validation)


def inherit(network: nn.Module, donor: nn.Module) -> None:
    """Take over the part of the donor's tensors that overlaps tensors of the same name."""
    theirs = donor.state_dict()
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            other = theirs.get(name)
            if other is not None and other.ndim == tensor.ndim and tensor.ndim:
                part = tuple(slice(0, min(a, b)) for a, b in zip(tensor.shape, other.shape, strict=True))
                tensor[part] = other[part]


def constant_rate(spec: ArchSpec, data: DataConfig, config: TrainingConfig) -> tuple[float, float]:
    """Accuracy of the cooled branch after TRUNK epochs, and of the trunk's own end."""
    seen, seed = Data(spec, data, config), candidate_seed(0, spec.key)
    network = fresh(spec)
    stable = config.epochs - COOLING

    def schedule(progress: float) -> float:
        epoch = progress * config.epochs
        if epoch < WARM_UP:
            return 0.05 + 0.95 * epoch / WARM_UP
        return 1.0 if epoch < stable else (config.epochs - epoch) / COOLING

    trunk = trainer(network, seen.batches(config, seed), config, config.epochs, schedule)
    judged = math.nan
    for epoch in range(config.epochs):
        if epoch == TRUNK:
            branch = copy.deepcopy(network)
            cooling = trainer(branch, seen.batches(config, seed + 1), config, 1, lambda progress: 1.0 - progress)
            cooling.optimizer.load_state_dict(copy.deepcopy(trunk.optimizer.state_dict()))
            finite(cooling.run_epoch(), epoch)
            judged = measure_accuracy(branch, seen.validation)
        finite(trunk.run_epoch(), epoch)
    return judged, measure_accuracy(network, seen.validation)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="CIFAR-10")
    parser.add_argument("--save", action="store_true", help="write the table to benchmarks/results")
    args = parser.parse_args()
    torch.set_num_threads(1)
    data = DataConfig(name="cifar10", path=args.data_dir)
    specs = [spec for params, spec in networks() if params["bits"] == 32]
    specs = random.Random(0).sample(specs, NETWORKS)
    rows = {}
    if FOUND.exists():
        with FOUND.open(newline="") as file:
            rows = {row["key"]: [float(row[way]) for way in WAYS] for row in csv.DictReader(file)}
    donors: dict[str, nn.Module] = {}
    for spec in specs:
        if spec.key in rows:
            continue
        others = [o for o in specs if o.stages[0].block == spec.stages[0].block and o.stages[0].se == spec.stages[0].se]
        nearest = min((o for o in others if o != spec), key=lambda o: _distance(o, spec))
        if nearest.key not in donors:
            donors[nearest.key] = fresh(nearest)
            whole(donors[nearest.key], nearest, data, RUNGS[1])
        network = fresh(spec)
        inherit(network, donors[nearest.key])
        rows[spec.key] = [whole(network, spec, data, RUNGS[1]), *constant_rate(spec, data, RUNGS[2])]
        print(spec.key, *(f"{accuracy:.4f}" for accuracy in rows[spec.key]), flush=True)
        with FOUND.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["key", *WAYS])
            writer.writerows([key, *(f"{accuracy:.4f}" for accuracy in found)] for key, found in rows.items())
    summarise(specs, rows, save=args.save)


def _distance(a: ArchSpec, b: ArchSpec) -> float:
    """How unlike two networks of one block are: factors in width, depth and resolution."""
    pairs = ((s.stages[0].width, s.depth, s.resolution) for s in (a, b))
    return sum(abs(math.log(x / y)) for x, y in zip(*pairs, strict=True))


def interval(a: list[float], b: list[float]) -> tuple[float, float]:
    """Of Kendall's tau, nine of ten bootstrap samples of the networks."""
    rng = np.random.default_rng(0)
    draws = (rng.integers(len(a), size=len(a)) for _ in range(1000))
    low, high = np.quantile([kendalltau(np.take(a, i), np.take(b, i)).statistic for i in draws], [0.05, 0.95])
    return float(low), float(high)


def summarise(specs: list[ArchSpec], rows: dict[str, list[float]], *, save: bool) -> None:
    with CURVES.open(newline="") as file:
        final = {(row["key"], int(row["rung"])): float(row["final_accuracy"]) for row in csv.DictReader(file)}
    keys = [spec.key for spec in specs]
    truth = [final[key, 2] for key in keys]
    ways = {
        "3,000 images, complete schedule": ([final[key, 0] for key in keys], "3,000"),
        "12,000 images, complete schedule": ([final[key, 1] for key in keys], "12,000"),
        "12,000 images, complete schedule, warm start": ([rows[key][0] for key in keys], "12,000"),
        "12,000 images at a constant rate, cooled down": ([rows[key][1] for key in keys], "18,000"),
        "48,000 images at a constant rate, cooled down": ([rows[key][2] for key in keys], "48,000"),
    }
    found = []
    for name, (accuracies, images) in ways.items():
        tau, (low, high) = kendalltau(accuracies, truth).statistic, interval(accuracies, truth)
        cells = [f"{100 * sum(accuracies) / len(keys):.1f} %", f"{tau:.2f} ({low:.2f} to {high:.2f})"]
        found.append([name, images, *cells])
    found.append(
        ["48,000 images, complete schedule: the truth", "48,000", f"{100 * sum(truth) / len(keys):.1f} %", "1.00"]
    )
    heads = ["judged after", "images", "mean accuracy", "Kendall's tau with the truth (90 % interval)"]
    report("rung-ways", "python benchmarks/rung_ways.py --save", table(heads, found), save=save)


if __name__ == "__main__":
    main()
