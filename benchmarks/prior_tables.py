"""The networks of prior_table.py as tables to search, and priors that know nothing of one of the data sets."""

import csv
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, IntDistribution
from search_tables import Table

from objectives.base import costs_of, objectives_named
from runners.prior.features import features_of
from runners.prior.model import Prior, Trainings
from runners.samplers.networks import FEATURES
from search_space.blocks import BLOCKS
from search_space.graph import Graph
from search_space.spec import ArchSpec

TRAININGS = Path(__file__).parent / "tables" / "prior-trainings.csv"
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
    """Every training at 8 bits and in float."""
    found = []
    with TRAININGS.open(newline="") as file:
        for row in csv.DictReader(file):
            spec = ArchSpec.from_dict(json.loads(row["spec"]))
            for bits, accuracy in ((8, row["accuracy"]), (32, row["float_accuracy"])):
                own = spec.with_bits(bits)
                key, images = spec.with_bits(32).key, int(row["validation_images"])
                found.append(Network(row["data"], key, own, own.build_graph(), float(accuracy), images))
    return tuple(found)


def data_sets() -> list[str]:
    return list(dict.fromkeys(network.data for network in networks()))


def trainings_of(data: str, without: Collection[str] = ()) -> Trainings:
    """What is in the table of a data set, but for networks with these keys."""
    rows = [network for network in networks() if network.data == data and network.key not in without]
    return Trainings(
        name=data,
        features=np.array([features_of(network.graph) for network in rows]),
        accuracy=np.array([network.accuracy for network in rows]),
        images=rows[0].images,
    )


@cache
def prior_without(data: str) -> Prior:
    """A prior from the other data sets, and from no network that was trained on this one."""
    known = {network.key for network in networks() if network.data == data}
    return Prior.fitted([trainings_of(other, without=known) for other in data_sets() if other != data])


@dataclass(frozen=True)
class Scatter(Table):
    """Networks that fill no grid: the only parameter is the network's place among them by MACs."""

    expected: Array
    """What the prior that does not know the data set expects of each, (networks,)."""

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
    found = [network for network in networks() if network.data == data]
    priced = [costs_of(network.graph, figures) for network in found]
    order = sorted(range(len(found)), key=lambda i: priced[i]["macs"])
    rows = [(found[i], priced[i]) for i in order]
    features = np.array([features_of(network.graph) for network, _ in rows])
    return Scatter(
        name=f"{data}, {', '.join(costs)}",
        choices={"place": tuple(range(len(rows)))},
        accuracy=np.array([network.accuracy for network, _ in rows]),
        costs=np.array([[price[cost] for cost in costs] for _, price in rows]),
        logs=np.array([[*described(network), *logs_of(network, price)] for network, price in rows]),
        expected=prior_without(data).expectations(features),
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
