"""Which networks keep the limits? Random draws from a space, at thousands a second because costs need no training."""

import random
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from objectives.base import Unsupported
from objectives.limits import Limit, violated
from search_space.graph import Graph
from search_space.space import RandomTrial, SearchSpace
from search_space.spec import ArchSpec

from ..pricing.cost_check import NoFeasibleCandidate

DRAWS = 3000


def draw_feasible(
    space: SearchSpace,
    price: Callable[[Graph], Mapping[str, float]],
    limits: Sequence[Limit],
    generator: random.Random,
    is_known: Callable[[str], bool] = lambda key: False,
) -> ArchSpec | None:
    """A random network that keeps the limits and whose key is not known; None where every feasible draw is known.

    `price` says what a network costs, as far as that can be known at once, and may raise Unsupported; a limit on
    anything else is not checked. Raises NoFeasibleCandidate, with the nearest miss, when no draw keeps the limits.
    """
    nearest: tuple[float, str] | None = None
    never_kept = set(limits)
    some_feasible = False
    for _ in range(min(DRAWS, 20 * space.size)):
        spec = space.sample(RandomTrial(generator))
        try:
            costs = price(spec.build_graph())
        except Unsupported as error:
            nearest = nearest or (float("inf"), str(error))
            continue
        broken = violated(limits, costs)
        never_kept -= {limit for limit in never_kept if not violated([limit], costs)}
        if broken:
            excess = max(limit.excess(costs) for limit in limits if limit.objective in costs)
            if nearest is None or excess < nearest[0]:
                nearest = (excess, "; ".join(broken))
        elif not is_known(spec.key):
            return spec
        else:
            some_feasible = True
    if some_feasible or nearest is None:
        return None
    which = _which(limits, never_kept)
    raise NoFeasibleCandidate(f"no network of the space keeps {which}; the nearest of {DRAWS}: {nearest[1]}")


def _which(limits: Sequence[Limit], never_kept: AbstractSet[Limit]) -> str:
    """The limits that no draw keeps; all of them where it is only together that none keeps them."""
    if never_kept:
        return " or ".join(str(limit) for limit in limits if limit in never_kept)
    together = " and ".join(str(limit) for limit in limits if limit.known)
    return f"{together} together, though some keep each"
