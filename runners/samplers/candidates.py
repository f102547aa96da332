"""Which candidates are looked at for a proposal? Random ones that stay, and neighbours of the best."""

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

Params = dict[str, Any]
Space = Mapping[str, BaseDistribution]

ALL = 2048
"""A space of no more points is looked at as a whole; of a larger one as many random points at most."""
FIRST, MORE = 256, 64
"""Random points at the first proposal, and new ones at each later one."""


class RandomCandidates:
    """Random points of a space, more of them with each proposal; the same for the same seed."""

    def __init__(self, space: Space, seed: int) -> None:
        self._space, self._seed = space, seed
        self.is_whole = size_of(space) <= ALL
        """Whether the points are the whole space."""
        self._batches: dict[int, list[Params]] = {}

    def at(self, proposal: int) -> list[Params]:
        """The points for the proposal of this number, 0 being the first."""
        if self.is_whole:
            values = itertools.product(*map(values_of, self._space.values()))
            return [dict(zip(self._space, point, strict=True)) for point in values]
        count = min(ALL, FIRST + MORE * proposal) // MORE
        return [params for number in range(count) for params in self._batch(number)]

    def _batch(self, number: int) -> list[Params]:
        if number not in self._batches:
            generator = np.random.default_rng((self._seed, number))
            self._batches[number] = [random_params(self._space, generator) for _ in range(MORE)]
        return self._batches[number]


def random_params(space: Space, generator: np.random.Generator) -> Params:
    """A uniform point of the space."""
    return {name: _random_value(dist, generator) for name, dist in space.items()}


def neighbours(space: Space, params: Params, generator: np.random.Generator) -> Iterator[Params]:
    """Points that differ in one parameter: any other choice, the next numbers, and one number anywhere."""
    for name, dist in space.items():
        for value in _other_values(dist, params[name], generator):
            yield {**params, name: value}


def size_of(space: Space) -> float:
    """How many points the space has; infinite where a parameter is continuous."""
    return math.prod(_count(dist) for dist in space.values())


def values_of(dist: BaseDistribution) -> list[Any]:
    """All values of a finite distribution."""
    if isinstance(dist, CategoricalDistribution):
        return list(dist.choices)
    if isinstance(dist, IntDistribution):
        return list(range(dist.low, dist.high + 1, dist.step))
    assert isinstance(dist, FloatDistribution) and dist.step is not None
    return [dist.low + dist.step * i for i in range(int(_count(dist)))]


def _count(dist: BaseDistribution) -> float:
    if isinstance(dist, CategoricalDistribution):
        return len(dist.choices)
    if isinstance(dist, IntDistribution):
        return (dist.high - dist.low) // dist.step + 1
    assert isinstance(dist, FloatDistribution)
    if dist.low == dist.high:
        return 1
    return math.inf if dist.step is None else round((dist.high - dist.low) / dist.step) + 1


def _random_value(dist: BaseDistribution, generator: np.random.Generator) -> Any:
    if isinstance(dist, FloatDistribution) and dist.step is None:
        if dist.log:
            return float(np.exp(generator.uniform(np.log(dist.low), np.log(dist.high))))
        return float(generator.uniform(dist.low, dist.high))
    if isinstance(dist, IntDistribution) and dist.log:
        exact = np.exp(generator.uniform(np.log(dist.low - 0.5), np.log(dist.high + 0.5)))
        return int(np.clip(round(float(exact)), dist.low, dist.high))
    values = values_of(dist)
    return values[generator.integers(len(values))]


def _other_values(dist: BaseDistribution, value: Any, generator: np.random.Generator) -> list[Any]:
    if isinstance(dist, CategoricalDistribution):
        return [choice for choice in dist.choices if choice != value]
    if isinstance(dist, FloatDistribution) and dist.step is None:
        spread = 0.1 * (math.log(dist.high / dist.low) if dist.log else dist.high - dist.low)
        moves = [spread * generator.standard_normal() for _ in range(2)]
        near = [value * math.exp(move) if dist.log else value + move for move in moves]
        return [float(np.clip(number, dist.low, dist.high)) for number in near] + [_random_value(dist, generator)]
    values = values_of(dist)
    if len(values) == 1:
        return []
    position = min(range(len(values)), key=lambda i: abs(values[i] - value))
    near = [values[i] for i in (position - 1, position + 1) if 0 <= i < len(values)]
    return near + [choice for choice in [_random_value(dist, generator)] if choice != value and choice not in near]
