"""Trains every network of a small space, for benchmarks of samplers and of early stopping.

The space: 7 blocks, depth 20 or 26, 8, 16 or 24 channels in the first stage, 16, 20, 24, 28 or 32 pixels, float or 8
bits; 420 networks. A rung is a complete schedule of the runner on CIFAR-10, trained and measured at half of that
resolution, each four times as long as the one before; the tables hold the last, 8 epochs of 6,000 images. 8 bits
is post-training quantization of the float network, so one training serves both. What is in the tables already is not
trained again; rows are written as they come.

    python benchmarks/search_table.py --data-dir path/to/cifar10 --workers 2
"""

import argparse
import csv
import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from objectives import known_costs
from objectives.base import costs_of, objectives_named
from runners.candidate import Candidate, Observation, candidate_seed
from runners.config import DataConfig, TrainingConfig, WorkersConfig
from runners.early_stopping.rungs import rung_trainings
from runners.engines.base import Failure
from runners.engines.local import LocalEngine
from search_space.space import FixedTrial, SearchSpace
from search_space.spec import ArchSpec

FOLDER = Path(__file__).parent / "tables"
NETWORKS, CURVES = (FOLDER / f"resnets-{name}.csv" for name in ("networks", "curves"))
CHOICES: dict[str, tuple[Any, ...]] = {
    "block": ("basic", "bottleneck", "depthwise", "ghost", "se", "se_bottleneck", "se_depthwise"),
    "depth": (20, 26),
    "base_width": (8, 16, 24),
    "resolution": (16, 20, 24, 28, 32),
    "bits": (32, 8),
}
RUNGS = rung_trainings(TrainingConfig(images=6000, epochs=8, validation_images=2500, batch_size=64), (1 / 16, 1 / 4))
"""3,000, 12,000 and 48,000 images in all."""
COSTS = ("macs", "params", "packed_bytes", "peak_memory_bytes", "bops", "latency_ms@rpi4")
SPACE = SearchSpace(
    depth=(20, 26), blocks=CHOICES["block"], base_width=(8, 24), resolution=CHOICES["resolution"], bits=CHOICES["bits"]
)


def networks() -> Iterator[tuple[dict[str, Any], ArchSpec]]:
    """Parameters and network, all of the space."""
    for values in itertools.product(*CHOICES.values()):
        params = dict(zip(CHOICES, values, strict=True))
        yield params, SPACE.sample(FixedTrial({"width_multiplier2": 1.0, "width_multiplier3": 1.0, **params}))


def write_costs() -> None:
    figures = objectives_named(tuple(name for name in COSTS if "@" in name))
    with NETWORKS.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["key", *CHOICES, *COSTS])
        for params, spec in networks():
            graph = spec.build_graph()
            costs = known_costs(graph) | costs_of(graph, figures)
            writer.writerow([spec.key, *params.values(), *(f"{costs[name]:.6g}" for name in COSTS)])


def train(data: DataConfig, rungs: list[int], workers: int) -> None:
    known = set()
    if CURVES.exists():
        with CURVES.open(newline="") as file:
            known = {(row["key"], int(row["rung"])) for row in csv.DictReader(file)}
    else:
        CURVES.write_text("key,rung,epoch,accuracy,train_loss,seconds,final_accuracy\n")
    waiting = []
    for rung in rungs:
        for params, spec in networks():
            if params["bits"] == 8 and (spec.key, rung) not in known:  # float comes with 8 bits
                waiting.append((rung, spec))
    print(f"{len(waiting)} trainings")
    engine = LocalEngine(WorkersConfig(workers=workers, threads=1))
    running: dict[int, tuple[int, ArchSpec]] = {}
    try:
        tickets = itertools.count()
        while waiting or running:
            while waiting and len(running) < engine.slots:
                rung, spec = waiting.pop(0)
                running[ticket := next(tickets)] = rung, spec
                seed = candidate_seed(0, spec.key)
                small = replace(spec, resolution=spec.resolution // 2).to_dict()
                engine.submit(ticket, Candidate(spec=small, seed=seed, data=data, training=RUNGS[rung]))
            for result in engine.collect(timeout_s=1.0):
                rung, spec = running.pop(result.ticket)
                if isinstance(result.outcome, Failure):
                    raise RuntimeError(f"{spec.key}: {result.outcome.reason}")
                write_curve(spec, rung, result.outcome.observation)
                print(
                    f"rung {rung}, {spec.key}: {result.outcome.observation.accuracy:.4f}; {len(waiting)} left",
                    flush=True,
                )
    finally:
        engine.close()


def write_curve(spec: ArchSpec, rung: int, seen: Observation) -> None:
    """A row an epoch, and the same epochs for the float network, which was what was trained."""
    found = [(spec.key, seen.accuracy), (spec.with_bits(32).key, seen.float_accuracy)]
    with CURVES.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for key, accuracy in found:
            for point in seen.curve:
                figures = (point.metric, point.train_loss, point.seconds, accuracy)
                writer.writerow([key, rung, point.epoch, *(f"{figure:.4f}" for figure in figures)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, help="CIFAR-10")
    parser.add_argument("--rungs", default="2")
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    write_costs()
    data = DataConfig(name="cifar10", path=args.data_dir)
    train(data, [int(number) for number in args.rungs.split(",")], args.workers)


if __name__ == "__main__":
    main()
