"""At which resolution should a proxy train, so that its accuracy is that of the network's own input?

Random networks of the preset cifar10's space, of moderate depth and MACs, float or at 8 bits, each at its resolution
of 24 or 32 pixels, are trained by the project's `evaluate` in several ways, and every way is compared with a longer
training at the full resolution (10 epochs for 6, other seeds) by Kendall's tau. Seconds are the processor's, on one
thread.

- half: trained, quantized and measured at half the resolution, so that the accuracy is not that of the full input;
- half, fed full images: the same network measured at the full resolution;
- half, norms: the same, with batch-norm statistics and activation ranges from full images;
- half, last epoch full; half, last third full: of the epochs.

The first networks are then trained at 4 bits on CIFAR-10, where the last third of the epochs is quantization-aware.

What has been trained stays in the CSV file, so that an interrupted run goes on and a complete one only reports.

    python benchmarks/proxy_resolution.py --cifar10 path/to/cifar10 --signs path/to/signs --save
"""

import argparse
import csv
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import torch
from numpy.typing import NDArray
from record import report, table
from scipy.stats import kendalltau

from objectives import known_costs
from runners.candidate import Candidate
from runners.config import DataConfig, TrainingConfig
from runners.evaluate import evaluate
from runners.network_weights import load_network
from runners.quantization.dequantize import at_bits
from runners.quantization.simulation import QuantizedNetwork
from runners.training.batches import DeviceImages
from runners.training.load_images import load_images
from runners.training.loop import measure_accuracy
from runners.training.weight_average import estimate_norm_statistics
from search_space.backends.torch_network import GraphNetwork
from search_space.spec import ArchSpec
from studies.study.config import load_config

FOUND = Path(__file__).parent / "tables" / "proxy-resolution.csv"
DEPTH, MOST_MACS = (18, 44), 6e6
PROXY = TrainingConfig(images=2000, validation_images=1000, epochs=6, batch_size=64)
LONGER = replace(PROXY, epochs=10)
FULL_PART = {
    "half, last epoch full": replace(PROXY, resolution_scale=0.5, full_resolution_fraction=0.0),
    "half, last third full": replace(PROXY, resolution_scale=0.5, full_resolution_fraction=0.34),
}
TODAY, FED, NORMS, LONG = "half", "half, fed full images", "half, norms", "longer"
WAYS = (TODAY, FED, NORMS, *FULL_PART, LONG)
FEW_BITS = "cifar10, 4 bits"
DRAWS = 2000
HEADER = ("data", "network", "key", "resolution", "bits", "macs", "way", "accuracy", "seconds")
Array = NDArray[np.float64]
Result = tuple[float, float]
"""Accuracy and seconds."""


def networks(count: int) -> list[ArchSpec]:
    """Random networks within the limit, float and at 8 bits in turn."""
    space = replace(load_config("cifar10", []).space, bits=(32,), depth=DEPTH)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found: dict[str, ArchSpec] = {}
    while len(found) < count:
        spec = space.sample(study.ask())
        if known_costs(spec.build_graph())["macs"] <= MOST_MACS:
            found.setdefault(spec.key, spec)
    return [spec.with_bits(32 if i % 2 else 8) for i, spec in enumerate(found.values())]


def train(spec: ArchSpec, data: DataConfig, training: TrainingConfig, seed: int) -> tuple[Result, bytes]:
    started = time.process_time()
    evaluation = evaluate(Candidate(spec=spec.to_dict(), seed=seed, data=data, training=training))
    return (evaluation.observation.accuracy, time.process_time() - started), evaluation.weights


def at_half(spec: ArchSpec, data: DataConfig, seed: int) -> dict[str, Result]:
    """The three ways that share a float training at half the resolution, before they quantize."""
    pixels = spec.resolution // 2
    (_, trained_s), weights = train(replace(spec.with_bits(32), resolution=pixels), data, PROXY, seed)
    half, full = (load_images(data, PROXY, size, torch.device("cpu")) for size in (pixels, spec.resolution))
    found = {}
    for name, seen, measured in ((TODAY, half, half), (FED, half, full), (NORMS, full, full)):
        started = time.process_time()
        network = load_network(spec.with_bits(32), weights)
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if name == NORMS:
            estimate_norm_statistics(network, full[0])
        accuracy = measure_accuracy(quantized(network, spec, seen[0]), measured[1])
        found[name] = accuracy, trained_s + time.process_time() - started
    return found


def quantized(network: GraphNetwork, spec: ArchSpec, training: DeviceImages) -> GraphNetwork:
    if spec.bits == (32,) * len(spec.bits):
        return network
    result = QuantizedNetwork(at_bits(network, spec.build_graph()))
    result.calibrate(training)
    result.finish()
    return result


def train_missing(name: str, data: DataConfig, classes: int, count: int) -> None:
    """Train what the file lacks for a data set, each network in every way before the next one."""
    done = {(row["data"], int(row["network"]), row["way"]) for row in read()}
    for number, spec in enumerate(networks(count)):
        spec, macs = replace(spec, num_classes=classes), int(known_costs(spec.build_graph())["macs"])
        for way in WAYS:
            if (name, number, way) in done or way in (FED, NORMS):
                continue
            if way == TODAY:
                found = at_half(spec, data, number)
            else:
                training = LONGER if way == LONG else FULL_PART[way]
                found = {way: train(spec, data, training, number + (1000 if way == LONG else 0))[0]}
            for each, (accuracy, seconds) in found.items():
                bits = min(spec.bits)
                append(
                    [name, number, spec.key, spec.resolution, bits, macs, each, round(accuracy, 4), round(seconds, 1)]
                )
                print(f"{name}, network {number}: {each}: {100 * accuracy:.1f} %, {seconds:.0f} s", flush=True)


def train_few_bits(data: DataConfig, count: int) -> None:
    """Train what the file lacks of the networks at 4 bits; the name of their data set ends with that."""
    done = {(row["data"], int(row["network"]), row["way"]) for row in read()}
    for number, spec in enumerate(networks(count)):
        spec, macs = spec.with_bits(4), int(known_costs(spec.build_graph())["macs"])
        half = replace(spec, resolution=spec.resolution // 2)
        ways = {TODAY: (half, PROXY)} | {way: (spec, training) for way, training in FULL_PART.items()}
        for way, (seen, training) in ways.items():
            if (FEW_BITS, number, way) not in done:
                accuracy, seconds = train(seen, data, training, number)[0]
                row = [FEW_BITS, number, spec.key, spec.resolution, 4, macs, way]
                append([*row, round(accuracy, 4), round(seconds, 1)])
                print(f"{FEW_BITS}, network {number}: {way}: {100 * accuracy:.1f} %, {seconds:.0f} s", flush=True)


def read() -> list[dict[str, str]]:
    if not FOUND.exists():
        return []
    with FOUND.open(newline="") as file:
        return list(csv.DictReader(file))


def append(row: Sequence[object]) -> None:
    is_new = not FOUND.exists()
    with FOUND.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if is_new:
            writer.writerow(HEADER)
        writer.writerow(row)


def taus(proxy: Array, longer: Array) -> Array:
    """Kendall's tau-b, then those of DRAWS samples with replacement, which are the same networks in every call."""
    samples = np.random.default_rng(0).integers(len(proxy), size=(DRAWS, len(proxy)))
    rows = [np.arange(len(proxy)), *samples]
    return np.array([kendalltau(proxy[chosen], longer[chosen]).statistic for chosen in rows])


def interval(values: Array, form: str) -> str:
    """The first value, and the 90 % interval of a percentile bootstrap from the others."""
    low, high = np.nanquantile(values[1:], (0.05, 0.95))
    return f"{values[0]:{form}} ({low:{form}} to {high:{form}})"


def summary(name: str) -> str:
    """One line a way, over the networks that were trained in all of them."""
    found: dict[str, dict[int, Result]] = {}
    for row in read():
        if row["data"] == name:
            found.setdefault(row["way"], {})[int(row["network"])] = float(row["accuracy"]), float(row["seconds"])
    ways = [way for way in WAYS if way in found]
    common = sorted(set.intersection(*(set(found[way]) for way in ways)))
    figures = {way: np.array([found[way][number] for number in common]) for way in ways}
    today, rows = figures[TODAY], []
    ranks = {way: taus(figures[way][:, 0], figures[LONG][:, 0]) for way in ways} if LONG in ways else {}
    for way in ways:
        accuracies, seconds = figures[way].T
        ratio = np.exp(np.mean(np.log(seconds / today[:, 1])))
        cells = [f"{100 * accuracies.mean():.1f} %", f"{seconds.mean():.1f} s", f"{ratio:.2f}"]
        if ranks:
            tau = interval(ranks[way], ".2f") if way != LONG else ""
            gain = interval(ranks[way] - ranks[TODAY], "+.2f") if way not in (LONG, TODAY) else ""
            cells = [tau, gain, *cells]
        rows.append([way, *cells])
    heads = ["tau with longer", "less half's"] if ranks else []
    heads = ["schedule", *heads, "mean accuracy", "a network", "seconds to half's"]
    return f"{name}, {len(common)} networks:\n\n{table(heads, rows)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifar10", type=Path, help="CIFAR-10's folder or archive")
    parser.add_argument("--signs", type=Path, help="a folder of 14 kinds of traffic signs with train/ and val/")
    parser.add_argument("--networks", type=int, default=25)
    parser.add_argument("--few-bits", type=int, default=5, help="networks that are also trained at 4 bits")
    parser.add_argument("--save", action="store_true", help="write the tables to benchmarks/results")
    args = parser.parse_args()
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sets = {
        "cifar10": (DataConfig(name="cifar10", path=args.cifar10), 10),
        "signs": (DataConfig(name="image-folder", path=args.signs, resolution=32), 14),
    }
    for count in range(1, args.networks + 1):  # both data sets in step, so that a part of a run has both
        for name, (data, classes) in sets.items():
            train_missing(name, data, classes, count)
    train_few_bits(sets["cifar10"][0], args.few_bits)
    text = "\n\n".join(summary(name) for name in (*sets, FEW_BITS))
    report("proxy-resolution", "python benchmarks/proxy_resolution.py --save", text, save=args.save)


if __name__ == "__main__":
    main()
