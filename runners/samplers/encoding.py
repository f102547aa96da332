"""Which numbers does a surrogate see of a candidate? Its parameters, each in 0..1.

Numbers are scaled by their range, in logarithms where that spans a factor of 4 or the distribution says so; choices
that are all numbers are such too. Other choices get a column each, so that no order is invented.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

_LOG_FACTOR = 4.0
Column = Callable[[Any], float]


class Encoding:
    """Turns parameters of one space into numbers."""

    def __init__(self, space: Mapping[str, BaseDistribution]) -> None:
        self._columns = [(name, column) for name, dist in space.items() for column in _columns(dist)]

    def encode(self, params: Mapping[str, Any]) -> tuple[float, ...]:
        """A number a column."""
        return tuple(column(params[name]) for name, column in self._columns)


def _columns(dist: BaseDistribution) -> list[Column]:
    if isinstance(dist, IntDistribution | FloatDistribution):
        return [_scaled(dist.low, dist.high, log=dist.log)]
    assert isinstance(dist, CategoricalDistribution)
    if len(dist.choices) == 1:
        return []
    if all(isinstance(choice, int | float) and not isinstance(choice, bool) for choice in dist.choices):
        numbers = [float(choice) for choice in dist.choices]  # type: ignore[arg-type]
        return [_scaled(min(numbers), max(numbers))]
    if len(dist.choices) == 2:
        return [_is(dist.choices[1])]
    return [_is(choice) for choice in dist.choices]


def _scaled(low: float, high: float, *, log: bool = False) -> Column:
    if low == high:
        return lambda value: 0.0
    if log or (low > 0 and high >= _LOG_FACTOR * low):
        return lambda value: math.log(value / low) / math.log(high / low)
    return lambda value: (value - low) / (high - low)


def _is(choice: object) -> Column:
    return lambda value: float(value == choice)
