"""The networks that a study begins with: named references, and one of each block near its limits.

They come before the sampler's surrogate is trusted, and teach it what each kind of block is worth where it matters.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from functools import cache
from typing import Any

from objectives.limits import Limit
from search_space.errors import UserError
from search_space.graph import FLOAT_BITS
from search_space.references import reference
from search_space.space import BLOCK_CHOICES, FixedTrial, SearchSpace
from search_space.spec import ArchSpec

from ...config import SearchConfig
from ..pricing.cost_check import Price

BITS = 8
"""Bits that a network of the opening has where the space has them and the limits allow it."""
DEPTHS = (20, 26, 32, 44, 56, 80, 110)
"""Depths of the networks of each block, the shallowest first; a wide network learns sooner than a deep one."""
WIDTH = 16
"""Width of the first stage of ResNet-20, whose twins the networks of each block are where no cost has a limit."""
SHARES = (1.0, 0.5)
"""Shares of the limits that the networks of each block may use, in turn, so that costs vary too."""
NEAR = 0.5
"""Part of such a share from which on a network is near it."""
MUCH_LESS = 0.8
"""Share of a cost of a reference at 8 bits up to which the same in float is worth a trial too."""
PriceOf = Callable[[ArchSpec], Price]


@dataclass(frozen=True, slots=True)
class Start:
    """One network to begin with."""

    params: dict[str, Any]
    """The sampler's parameters."""
    label: str | None = None
    """Name of the reference that it is."""


def reference_spec(space: SearchSpace, name: str) -> ArchSpec:
    """The reference `name` as a point of the space, at its largest resolution.

    Raises UserError where it is unknown or no point of the space.
    """
    found = reference(
        name, num_classes=space.num_classes, in_channels=space.in_channels, resolution=max(space.resolution)
    )
    if not isinstance(found, ArchSpec):
        raise UserError(f"search.references: '{name}' is no point of the space: it is not made of stages")
    spec = found.with_bits(_bits_of(space)[0])
    try:
        space.params_of(spec)
    except UserError as error:
        message = f"search.references: '{name}' is no point of the space: {error}; --references '' leaves them out"
        raise UserError(message) from None
    return spec


def opening(space: SearchSpace, search: SearchConfig, limits: Sequence[Limit], price: PriceOf) -> list[Start]:
    """The networks that come first, references before the others.

    Of the references that keep the limits at most a third of the trials, of all at most half. A reference that keeps
    the limits at no bits is among them too, to be rejected by name.
    """
    starts, kinds = list[Start](), set[tuple[str, bool]]()
    places = max(1, search.trials // 3)
    for name in dict.fromkeys(search.references):
        for spec, fits in _at_fitting_bits(space, reference_spec(space, name), price):
            if fits and not places:
                continue
            places -= fits
            kinds |= {(stage.block, stage.se) for stage in spec.stages} if fits else set()
            starts.append(Start(space.params_of(spec), name))
    trained = max(1, search.trials // 3) - places
    blocks = _varied(space.blocks, kinds) if search.block_starts else []
    for number, block in enumerate(blocks[: max(0, search.trials // 2 - trained)]):
        params = _near_limits(space, block, limits, price, SHARES[number % len(SHARES)])
        starts += [Start(params)] if params else []
    return starts


def _varied(blocks: Sequence[str], known: Set[tuple[str, bool]]) -> list[str]:
    """The blocks that are not `known`, in an order in which each beginning has many kinds, with and without SE."""
    seen = Counter[str | bool](part for kind in known for part in kind)
    waiting = [block for block in blocks if BLOCK_CHOICES[block] not in known]
    found = list[str]()
    while waiting:
        block = min(waiting, key=lambda one: [seen[part] for part in BLOCK_CHOICES[one]])
        seen.update(BLOCK_CHOICES[block])
        found.append(block)
        waiting.remove(block)
    return found


def _bits_of(space: SearchSpace) -> list[int]:
    """The space's bits in the order in which they are tried: 8, float, then fewer."""
    return sorted(space.bits, key=lambda bits: (bits != BITS, -bits))


def _at_fitting_bits(space: SearchSpace, spec: ArchSpec, price: PriceOf) -> Iterator[tuple[ArchSpec, bool]]:
    """The network at the first bits that keep the limits, or at the first of all; and whether it keeps them.

    In float too where that keeps the limits and costs much less of something.
    """
    options = [spec.with_bits(bits) for bits in _bits_of(space)]
    prices = [price(option) for option in options]
    fitting = [place for place, found in enumerate(prices) if not found.broken]
    first = fitting[0] if fitting else 0
    yield options[first], bool(fitting)
    for place in fitting[1:]:
        if options[place].bits[0] == FLOAT_BITS and _is_cheaper_somewhere(prices[place], prices[first]):
            yield options[place], True


def _is_cheaper_somewhere(one: Price, other: Price) -> bool:
    return any(one.costs[name] < MUCH_LESS * other.costs[name] for name in one.costs.keys() & other.costs.keys())


def _near_limits(
    space: SearchSpace, block: str, limits: Sequence[Limit], price: PriceOf, share: float
) -> dict[str, Any] | None:
    """A network of one block near a share of the limits: the shallowest that comes near, else the one that uses most.

    None where no network of the block that was tried keeps them.
    """
    best: tuple[float, dict[str, Any]] | None = None
    depths = [depth for depth in DEPTHS if space.depth[0] <= depth <= space.depth[1]] or [space.depth[0]]
    for depth in depths:
        by_bits = [_widest_within(space, block, depth, bits, limits, price, share) for bits in _bits_of(space)]
        widest = max(filter(None, by_bits), key=lambda one: int(one[1]["base_width"]), default=None)
        if widest is None:
            break  # a deeper network would exceed the limits too
        best = max(filter(None, (best, widest)), key=lambda one: one[0])
        if best[0] >= NEAR * share:
            break
    return None if best is None else best[1]


def _widest_within(
    space: SearchSpace, block: str, depth: int, bits: int, limits: Sequence[Limit], price: PriceOf, share: float
) -> tuple[float, dict[str, Any]] | None:
    """The widest network within `share` of all limits: the largest share of a limit that it uses, and its parameters.

    Widths are halved, not gone through: each price may be a measurement. Without a limit on a cost no network is wider
    than ResNet-20.
    """
    choices = space.choices
    widths = sorted(choices["base_width"])
    if not any(limit.kind == "max" and limit.known for limit in limits):
        widths = [width for width in widths if width <= WIDTH] or widths[:1]
    params = {name: _usual(name, values) for name, values in choices.items()} | {"depth": depth}
    params |= {name: block for name in choices if name.startswith("block")}
    params |= {name: bits for name in choices if name.startswith("bits")}

    @cache
    def price_at(width: int) -> Price:
        return price(space.sample(FixedTrial({**params, "base_width": width})))

    def use_at(width: int) -> float:
        found = price_at(width)
        return max((found.costs[limit.objective] / limit.value for limit in _maxima(limits, found)), default=share)

    fitting = bisect_right(widths, share, key=use_at)
    if not fitting or price_at(widths[fitting - 1]).broken:
        return None
    width = widths[fitting - 1]
    return use_at(width), {**params, "base_width": width}


def _usual(name: str, values: Sequence[Any]) -> Any:
    """The value of a parameter that ResNet-20 would have: no change of widths, the largest resolution."""
    if name.startswith("width_multiplier"):
        return min(values, key=lambda value: abs(value - 1.0))
    return values[-1] if name != "resolution" else max(values)


def _maxima(limits: Sequence[Limit], price: Price) -> list[Limit]:
    return [limit for limit in limits if limit.kind == "max" and limit.objective in price.costs]
