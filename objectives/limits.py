"""Which networks fit? Limits on objectives, checked before training wherever the figure is known by then."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Literal

from search_space.errors import UserError, cut

from .base import OBJECTIVES

_SUFFIXES: dict[str, dict[str, float]] = {
    "fraction": {"": 1.0, "%": 0.01},
    "ms": {"": 1.0, "ms": 1.0, "us": 1e-3, "s": 1e3},
}
_FACTORS = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
_PREFIXES = {prefix + unit: factor for prefix, factor in _FACTORS.items() for unit in ("", "B", "bytes")}
"""Of everything that is counted."""
_NUMBER = r"inf|nan|[+-]?(?:\d{1,3}(?:,\d{3})+|[\d_]*)(?:\.\d*)?(?:e[+-]?\d+)?"
_AMOUNT = re.compile(rf"(?P<number>{_NUMBER})\s*(?P<suffix>[%A-Za-z]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Upper or lower limit of an objective.

    ``str(limit)`` reads ``file_bytes <= 350,000``.

    Raises
    ------
    UserError
        If the objective is unknown, the value is not positive, or it is a fraction that is not below 1.
    """

    objective: str
    """Name of the objective."""
    kind: Literal["max", "min"]
    """``max`` for an upper limit, ``min`` for a lower one."""
    value: float
    """The limit itself, in the unit of the objective."""

    def __post_init__(self) -> None:
        where = f"--{self.kind} {self.objective}"
        object.__setattr__(self, "objective", OBJECTIVES[self.objective].name)
        is_share = OBJECTIVES[self.objective].unit == "fraction"
        may_be_negative = not self.known and not is_share
        if not isfinite(self.value) or (self.value <= 0 and not may_be_negative):
            raise UserError(f"{where}: must be a positive number, not {self.value:g}")
        if is_share and self.value >= 1:
            raise UserError(f"{where}: must be a fraction below 1, not {self.value:g}")

    @property
    def known(self) -> bool:
        """Whether it can be checked before training."""
        return OBJECTIVES[self.objective].known

    def excess(self, values: Mapping[str, float]) -> float:
        """Return the share of the limit by which it is exceeded.

        Parameters
        ----------
        values
            Objective -> value, with that of this limit among them.

        Returns
        -------
        float
            0 or less if the limit is kept.
        """
        value = values[self.objective]
        return (value - self.value if self.kind == "max" else self.value - value) / (abs(self.value) or 1.0)

    def __str__(self) -> str:
        return f"{self.objective} {'<=' if self.kind == 'max' else '>='} {_written(self.value)}"


def parse_limit(kind: Literal["max", "min"], text: str, *, option: str = "") -> Limit:
    """A limit from `objective=value`, as `--max`, `--min` or another `option` takes it; raises UserError."""
    option = option or f"--{kind}"
    name, separator, amount = text.partition("=")
    if not separator:
        raise UserError(f"{option} {cut(text)}: write objective=value, for example file_bytes=300k")
    objective = OBJECTIVES[name.strip()]
    try:
        value = parse_amount(amount, objective.unit)
    except ValueError:
        raise UserError(f"{option} {cut(text)}: {cut(amount)!r} is no amount; {_forms(objective.unit)}") from None
    return Limit(objective=name.strip(), kind=kind, value=value)


def check_limits(limits: Iterable[Limit]) -> None:
    """Raise UserError for limits that no network keeps, or that leave out the best: a maximum of the accuracy."""
    limits = tuple(limits)
    highest = {limit.objective: limit for limit in limits if limit.kind == "max"}
    for limit in limits:
        other = highest.get(limit.objective, limit)
        if limit.kind == "min" and limit.value > other.value:
            raise UserError(f"{limit} (--min) and {other} (--max) contradict each other")
    for limit in highest.values():
        if OBJECTIVES[limit.objective].maximize:
            raise UserError(
                f"--max {limit.objective}: would leave out the best networks, for the more of it the better; "
                f"a lower limit is --min {limit.objective}={_written(limit.value)}"
            )


def parse_amount(text: str, unit: str) -> float:
    """A number as people write it: `300k`, `1 MiB`, `1.5 ms`, `200 us`, `50 %`, `1,000`; raises ValueError.

    A decimal comma is refused: `0,2` might mean two things.
    """
    found = _AMOUNT.fullmatch(text.strip())
    suffixes = _SUFFIXES.get(unit, {**_PREFIXES, unit: 1.0})
    if found is None or found["suffix"] not in suffixes:
        raise ValueError(f"no amount of {unit}: {text!r}")
    return float(found["number"].replace("_", "").replace(",", "")) * suffixes[found["suffix"]]


def _forms(unit: str) -> str:
    """How an amount of this unit may be written."""
    if unit == "fraction":
        return "write a fraction, as 0.5, or 50%"
    if unit in _SUFFIXES:
        return f"write a number in {unit}, or with a unit: {', '.join(filter(None, _SUFFIXES[unit]))}"
    return "write a number, which may end in k, M, G, Ki, Mi or Gi, and then in B"


def violated(limits: Iterable[Limit], values: Mapping[str, float]) -> list[str]:
    """One phrase for each exceeded limit whose figure is in `values`; a NaN keeps no limit."""
    return [
        f"{limit} (is {_written(values[limit.objective])})"
        for limit in limits
        if limit.objective in values and not limit.excess(values) <= 0
    ]


def _written(value: float) -> str:
    """`0.25`, `5,000,000`: counts whole, and nothing as a power of ten."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"
