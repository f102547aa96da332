"""Which candidates are looked at for a proposal? Random ones that stay, and neighbours of the best."""

import itertools
import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
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
    return [_value_at(dist, position) for position in range(int(_count(dist)))]


def _value_at(dist: BaseDistribution, position: int) -> Any:
    """Of a finite distribution, counted from 0."""
    if isinstance(dist, CategoricalDistribution):
        return dist.choices[position]
    if isinstance(dist, IntDistribution):
        return dist.low + dist.step * position
    assert isinstance(dist, FloatDistribution)
    if dist.step is None:
        return dist.low
    return float(Decimal(str(dist.low)) + position * Decimal(str(dist.step)))  # as Optuna reckons them


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
    if isinstance(dist, FloatDistribution) and dist.step is None and dist.low < dist.high:
        if dist.log:
            return float(np.exp(generator.uniform(np.log(dist.low), np.log(dist.high))))
        return float(generator.uniform(dist.low, dist.high))
    if isinstance(dist, IntDistribution) and dist.log:
        exact = np.exp(generator.uniform(np.log(dist.low - 0.5), np.log(dist.high + 0.5)))
        return int(np.clip(round(float(exact)), dist.low, dist.high))
    return _value_at(dist, int(generator.integers(int(_count(dist)))))


def _other_values(dist: BaseDistribution, value: Any, generator: np.random.Generator) -> list[Any]:
    if isinstance(dist, CategoricalDistribution):
        return [choice for choice in dist.choices if choice != value]
    if isinstance(dist, FloatDistribution) and dist.step is None and dist.low < dist.high:
        spread = 0.1 * (math.log(dist.high / dist.low) if dist.log else dist.high - dist.low)
        moves = [spread * generator.standard_normal() for _ in range(2)]
        near = [value * math.exp(move) if dist.log else value + move for move in moves]
        return [float(np.clip(number, dist.low, dist.high)) for number in near] + [_random_value(dist, generator)]
    if (count := int(_count(dist))) == 1:
        return []
    position = _position(dist, value)
    near = [_value_at(dist, i) for i in (position - 1, position + 1) if 0 <= i < count]
    return near + [choice for choice in [_random_value(dist, generator)] if choice != value and choice not in near]


def _position(dist: BaseDistribution, value: float) -> int:
    """Of the value that is nearest."""
    assert isinstance(dist, IntDistribution | FloatDistribution)
    return min(max(round((value - dist.low) / (dist.step or 1)), 0), int(_count(dist)) - 1)
