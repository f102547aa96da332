"""How is a network judged best before the dear part of its training is paid?

A random sample of the networks of search_table.py, in float, is judged after 3,000 to 18,000 images, and each judgement
is compared with the accuracy after 48,000 images, which the table holds:

- a complete schedule from random weights (a rung), on all pixels or on images of half the side, at a quarter of the
  arithmetic each;
- the same from the weights of the nearest other network of the block, where tensors of one name overlap;
- a constant rate after the warm-up, cooled down on a branch of 6,000 images; the trunk goes on from its checkpoint to
  48,000 images, the last 12,000 of them cooling down (Hägele et al. 2024);
- the first epochs of the 48,000 images themselves: the network as it is, or the average of its weights.

Every way begins with the random weights of the table's training.

    python benchmarks/rung_ways.py --data-dir path/to/cifar10 --workers 2 --save
"""

import argparse
import copy
import csv
import math
import random
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from record import report, table
from scipy.stats import kendalltau
from search_table import CURVES, FOLDER, RUNGS, networks
from torch import Tensor, nn

from objectives import known_costs
from runners.candidate import candidate_seed
from runners.config import DataConfig, TrainingConfig
from runners.training.batches import DeviceImages, ImageBatches
from runners.training.load_images import load_images
from runners.training.loop import Trainer, finite, measure_accuracy, one_cycle
from search_space.backends.torch_network import build_network
from search_space.spec import ArchSpec

State = dict[str, Tensor]
Array = NDArray[np.float64]
NETWORKS = 20
FOUND = FOLDER / "rung-ways.csv"
UNAVERAGED = FOLDER / "resnets-curves-unaveraged.csv"
"""The same trainings as in the table, each epoch judged by the network as it was."""
WAYS = {
    "3,000 images, complete schedule": "3,000",
    "12,000 images, complete schedule": "12,000",
    "48,000 images of half the side, complete schedule": "12,000",
    "12,000 images, complete schedule, warm start": "12,000",
    "12,000 images at a constant rate, cooled down": "18,000",
    "48,000 images at a constant rate, cooled down": "48,000",
}
"""What is trained here, with the images that it takes, or as many of the whole side as cost the same arithmetic."""
WARM_UP, TRUNK, COOLING = 0.25, 2, 2
"""Epochs of 6,000 images: a quarter to warm up, two until the branch, the last two of eight cooling down."""


class Data:
    """Images as one network sees them."""

    def __init__(self, spec: ArchSpec, data: DataConfig, config: TrainingConfig, shrink: int = 1) -> None:
        pixels = max(8, spec.resolution // 2 // shrink)  # the table's trainings have half of the resolution
        images = load_images(data, config, pixels, torch.device("cpu"))
        self.training: DeviceImages = images[0]
        self.validation: DeviceImages = images[1]

    def batches(self, config: TrainingConfig, seed: int) -> ImageBatches:
        return ImageBatches(
            self.training, batch_size=config.batch_size, crop=config.crop, flip=config.flip, cutout=0.0, seed=seed
        )


def seed_of(spec: ArchSpec) -> int:
    """Of the table's training, which is that of the 8-bit network."""
    return candidate_seed(0, spec.with_bits(8).key)


def fresh(spec: ArchSpec) -> nn.Module:
    torch.manual_seed(seed_of(spec))
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


def whole(network: nn.Module, spec: ArchSpec, data: DataConfig, config: TrainingConfig, shrink: int = 1) -> float:
    """One complete schedule on `network`, on images of 1 / `shrink` of the side; the accuracy after it."""
    seen = Data(spec, data, config, shrink)
    training = trainer(network, seen.batches(config, seed_of(spec)), config, config.epochs)
    for epoch in range(config.epochs):
        finite(training.run_epoch(), epoch)
    return measure_accuracy(network, seen.validation)


def inherit(network: nn.Module, donor: State) -> None:
    """Take over the part of the donor's tensors that overlaps tensors of the same name."""
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            other = donor.get(name)
            if other is not None and other.ndim == tensor.ndim and tensor.ndim:
                part = tuple(slice(0, min(a, b)) for a, b in zip(tensor.shape, other.shape, strict=True))
                tensor[part] = other[part]


def constant_rate(spec: ArchSpec, data: DataConfig, config: TrainingConfig) -> tuple[float, float]:
    """Accuracy of the cooled branch after TRUNK epochs, and of the trunk's own end."""
    seen, seed = Data(spec, data, config), seed_of(spec)
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


def rung(job: tuple[ArchSpec, DataConfig, int]) -> tuple[float, State]:
    """A complete schedule from random weights: the accuracy after it, and the weights."""
    spec, data, number = job
    torch.set_num_threads(1)
    network = fresh(spec)
    return whole(network, spec, data, RUNGS[number]), network.state_dict()


def dear(job: tuple[ArchSpec, DataConfig, State]) -> list[float]:
    """On small images, from the weights of another, and both accuracies at a constant rate."""
    spec, data, donor = job
    torch.set_num_threads(1)
    network = fresh(spec)
    inherit(network, donor)
    return [small(spec, data), whole(network, spec, data, RUNGS[1]), *constant_rate(spec, data, RUNGS[2])]


def small(spec: ArchSpec, data: DataConfig) -> float:
    """The whole schedule on images of half the side."""
    return whole(fresh(spec), spec, data, RUNGS[2], shrink=2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="CIFAR-10")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--save", action="store_true", help="write the table to benchmarks/results")
    args = parser.parse_args()
    data = DataConfig(name="cifar10", path=args.data_dir)
    unaveraged, _ = curves_of(UNAVERAGED)  # a part of the table
    specs = [spec for params, spec in networks() if params["bits"] == 32 and (spec.key, 1) in unaveraged]
    specs = random.Random(0).sample(specs, NETWORKS)
    if not FOUND.exists():
        measure(specs, data, args.workers)
    summarise(specs, save=args.save)


def measure(specs: list[ArchSpec], data: DataConfig, workers: int) -> None:
    with torch.multiprocessing.get_context("spawn").Pool(workers) as pool:
        shortest = [accuracy for accuracy, _ in pool.imap(rung, [(spec, data, 0) for spec in specs])]
        short = list(pool.imap(rung, [(spec, data, 1) for spec in specs]))
        print("the rungs are done", flush=True)
        donors = [short[nearest(specs, spec)][1] for spec in specs]
        rest = pool.imap(dear, [(spec, data, donor) for spec, donor in zip(specs, donors, strict=True)])
        with FOUND.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["key", *WAYS])
            for spec, first, (second, _), others in zip(specs, shortest, short, rest, strict=True):
                found = [f"{accuracy:.4f}" for accuracy in (first, second, *others)]
                writer.writerow([spec.key, *found])
                print(spec.key, *found, flush=True)


def nearest(specs: list[ArchSpec], spec: ArchSpec) -> int:
    """Position of the other network that is least unlike `spec`, of the same block where there is one."""

    def unlikeness(i: int) -> tuple[bool, float]:
        here, there = (s.stages[0] for s in (spec, specs[i]))
        return (here.block, here.se) != (there.block, there.se), _distance(specs[i], spec)

    return min((i for i in range(len(specs)) if specs[i] != spec), key=unlikeness)


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


def curves_of(path: Path) -> tuple[dict[tuple[str, int], float], dict[str, float]]:
    """(network, epoch) -> accuracy on the last rung; network -> accuracy in the end."""
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["rung"] == "2"]
    return (
        {(row["key"], int(row["epoch"])): float(row["accuracy"]) for row in rows},
        {row["key"]: float(row["final_accuracy"]) for row in rows},
    )


def summarise(specs: list[ArchSpec], *, save: bool) -> None:
    averaged, final = curves_of(CURVES)
    current, _ = curves_of(UNAVERAGED)
    with FOUND.open(newline="") as file:
        rows = {row["key"]: row for row in csv.DictReader(file)}
    keys = [spec.key for spec in specs]
    log_macs = [math.log10(known_costs(spec.build_graph())["macs"]) for spec in specs]
    ways = {f"{name}": ([float(rows[key][name]) for key in keys], images) for name, images in WAYS.items()}
    for epoch in (1, 2, 3):
        images = f"{6 * epoch},000"
        ways[f"{images} of the 48,000, as it is"] = [current[key, epoch] for key in keys], images
        ways[f"{images} of the 48,000, averaged weights"] = [averaged[key, epoch] for key in keys], images
    ways["MACs alone"] = log_macs, "0"
    truth = [final[key] for key in keys]
    found = []
    for name, (judged, images) in ways.items():
        tau, (low, high) = kendalltau(judged, truth).statistic, interval(judged, truth)
        error = 100 * left_out_error(np.column_stack([judged, log_macs]), np.array(truth))
        found.append([name, images, f"{tau:.2f} ({low:.2f} to {high:.2f})", f"{error:.1f}"])
    heads = ["judged by", "images", "Kendall's tau with the end (90 % interval)", "error of the forecast, points"]
    parts = [
        f"## {NETWORKS} networks, float\n\n{table(heads, found)}",
        f"## All networks, 8 bits\n\n{epoch_by_epoch()}",
    ]
    report("rung-ways", "python benchmarks/rung_ways.py --save", "\n\n".join(parts), save=save)


def epoch_by_epoch() -> str:
    """What each epoch of the 48,000 images says of the end; as it is, and averaged, of the same networks and of all."""
    (as_it_is, ends), (averaged, all_ends) = curves_of(UNAVERAGED), curves_of(CURVES)
    specs = {spec.key: spec for params, spec in networks() if params["bits"] == 8}
    some = [key for key in specs if key in ends]
    columns: dict[str, list[str]] = {}
    for name, keys, curves, final in (
        (f"as it is, {len(some)} networks", some, as_it_is, ends),
        (f"averaged, {len(some)}", some, averaged, all_ends),
        (f"averaged, {len(specs)}", list(specs), averaged, all_ends),
    ):
        truth = np.array([final[key] for key in keys])
        log_macs = np.array([math.log10(known_costs(specs[key].build_graph())["macs"]) for key in keys])
        judged = [log_macs, *(np.array([curves[key, epoch] for key in keys]) for epoch in range(1, 8))]
        columns[f"tau, {name}"] = [f"{kendalltau(seen, truth).statistic:.2f}" for seen in judged]
        columns[f"error of the forecast, points, {name}"] = [
            f"{100 * left_out_error(np.column_stack([seen, log_macs]), truth):.1f}" for seen in judged
        ]
    rows = [[epoch or "MACs alone", *(column[epoch] for column in columns.values())] for epoch in range(8)]
    return table(["after epoch", *columns], rows)


def left_out_error(x: Array, y: Array) -> float:
    """Root mean square, each network foretold by least squares from the others."""
    design = np.column_stack([np.ones(len(y)), x])
    hat = design @ np.linalg.pinv(design)
    return float(np.sqrt(np.mean(((y - hat @ y) / (1 - np.diag(hat))) ** 2)))


if __name__ == "__main__":
    main()
