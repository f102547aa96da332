"""The networks of prior_table.py and search_table.py as tables to search, and priors that do not know one of them."""

import csv
import json
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import search_table
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, IntDistribution
from search_tables import Table, resnets

from objectives.base import costs_of, objectives_named
from runners.prior.features import features_of
from runners.prior.model import Prior, Trainings
from runners.samplers.priced_networks import FEATURES
from search_space.blocks import BLOCKS
from search_space.graph import Graph
from search_space.spec import ArchSpec

TRAININGS = Path(__file__).parent / "tables" / "prior-trainings.csv"
OLDER = "cifar10, older trainings"
COSTS = ("macs", "file_bytes", "latency_ms@rpi4")
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Network:
    """One row of the table at one bit-width."""

    data: str
    key: str
    """Of the network in float, which both bit-widths share."""
    spec: ArchSpec
    graph: Graph
    accuracy: float
    images: int


@cache
def networks() -> tuple[Network, ...]:
    """Every training of prior_table.py at 8 bits and in float."""
    found = []
    with TRAININGS.open(newline="") as file:
        for row in csv.DictReader(file):
            spec = ArchSpec.from_dict(json.loads(row["spec"]))
            for bits, accuracy in ((8, row["accuracy"]), (32, row["float_accuracy"])):
                own = spec.with_bits(bits)
                key, images = spec.with_bits(32).key, int(row["validation_images"])
                found.append(Network(row["data"], key, own, own.build_graph(), float(accuracy), images))
    return tuple(found)


@cache
def older_networks() -> tuple[Network, ...]:
    """The networks of search_table.py, which were trained on CIFAR-10 by another schedule."""
    accuracies, images = resnets("macs").accuracy.tolist(), search_table.RUNGS[-1].validation_images
    return tuple(
        Network(OLDER, spec.with_bits(32).key, spec, spec.build_graph(), accuracy, images)
        for (_, spec), accuracy in zip(search_table.networks(), accuracies, strict=True)
    )


def data_sets() -> list[str]:
    """Those of which a prior is made."""
    return list(dict.fromkeys(network.data for network in networks()))


def trainings_of(data: str, without: Collection[str] = ()) -> Trainings:
    """What is in the table of a data set, but for networks with these keys."""
    rows = [network for network in of_data(data) if network.key not in without]
    return Trainings(
        name=data,
        features=np.array([features_of(network.graph) for network in rows]),
        accuracy=np.array([network.accuracy for network in rows]),
        images=rows[0].images,
    )


@cache
def prior_without(data: str, draw: int | None = None) -> Prior:
    """A prior from other images, and from no network that was trained on these.

    A draw is made from nine tenths of those networks, chosen at random.
    """
    without = {network.key for network in of_data(data)}
    if draw is not None:
        keys = list(dict.fromkeys(network.key for network in networks()))
        without |= set(random.Random(draw).sample(keys, len(keys) // 10))
    others = [other for other in data_sets() if other not in (data, "cifar10" if data == OLDER else "")]
    return Prior.fitted([trainings_of(other, without=without) for other in others])


def of_data(data: str) -> list[Network]:
    return [network for network in (*networks(), *older_networks()) if network.data == data]


@dataclass(frozen=True)
class Scatter(Table):
    """Networks that fill no grid: the only parameter is the network's place among them by MACs."""

    graphs: Array
    """What a prior sees of each network, (networks, features)."""

    @property
    def space(self) -> dict[str, BaseDistribution]:
        return {"place": IntDistribution(0, len(self.accuracy) - 1)}

    @cached_property
    def points(self) -> list[dict[str, Any]]:
        return [{"place": place} for place in range(len(self.accuracy))]

    def position(self, params: dict[str, Any]) -> int:
        return int(params["place"])


def scatter(data: str, costs: Sequence[str]) -> Scatter:
    """The table of one data set with these costs."""
    figures = objectives_named([*costs, *(name for name in FEATURES if name not in costs)])
    found = of_data(data)
    priced = [costs_of(network.graph, figures) for network in found]
    order = sorted(range(len(found)), key=lambda i: priced[i]["macs"])
    rows = [(found[i], priced[i]) for i in order]
    return Scatter(
        name=f"{data}, {', '.join(costs)}",
        choices={"place": tuple(range(len(rows)))},
        accuracy=np.array([network.accuracy for network, _ in rows]),
        costs=np.array([[price[cost] for cost in costs] for _, price in rows]),
        logs=np.array([[*described(network), *logs_of(network, price)] for network, price in rows]),
        graphs=np.array([features_of(network.graph) for network, _ in rows]),
    )


def logs_of(network: Network, price: Mapping[str, float]) -> list[float]:
    """What the sampler of a study knows besides parameters and objectives."""
    return [*(float(np.log10(price[name])) for name in FEATURES), float(np.log10(len(network.graph.nodes)))]


def described(network: Network) -> list[float]:
    """What the sampler of a study knows by its parameters: each stage's block, SE, width and depth; bits, pixels."""
    spec = network.spec
    numbers = [float(stage.block == block) for stage in spec.stages for block in BLOCKS]
    numbers += [float(stage.se) for stage in spec.stages]
    numbers += [float(np.log2(stage.width)) for stage in spec.stages]
    return [*numbers, float(np.log2(spec.depth)), float(np.log2(spec.resolution)), float(spec.stages[0].bits == 8)]
