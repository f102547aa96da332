"""How do a depth and a width become stages? Blocks per stage for a nominal depth, channels for a base width."""

import math
from functools import lru_cache

CHANNEL_STEP = 8

# Order in which stages get their blocks, and how many at most: the middle ones first, and with four stages all that is
# left goes to the third, which gives the networks of He et al. 2015, table 1: (2,2,2,2), (3,4,6,3), (3,4,23,3).
_GROWTH: dict[int, tuple[tuple[int, ...], tuple[float, ...]]] = {
    3: ((1, 2, 0), (math.inf, math.inf, math.inf)),
    4: ((2, 1, 3, 0), (3, 4, math.inf, 3)),
}


def stem_width(stem: str, first_block: str, first_width: int) -> int:
    """Channels of the stem: the first stage's width, or its inner width for bottlenecks behind a 7x7 stem.

    So ResNet-50 has 64 (He et al. 2015, table 1). A 3x3 stem keeps the whole width: a quarter of a narrow first stage
    would starve everything behind it.
    """
    if stem == "7x7" and first_block == "bottleneck":
        return max(CHANNEL_STEP, first_width // 4)
    return first_width


@lru_cache(maxsize=4096)
def blocks_per_stage(nominal_depth: int, layers: tuple[int, ...]) -> tuple[int, ...]:
    """The deepest network of at most `nominal_depth` layers: blocks per stage, given each stage's layers a block.

    Starting from one block a stage, stages take turns (second, third, first; or third, second, fourth, first) and take
    one more block while the depth allows; with four stages the first, second and fourth stop at 3, 4 and 3 blocks.
    The smallest network, one block a stage, may be deeper than asked for.
    """
    order, caps = _GROWTH[len(layers)]
    counts = [1] * len(layers)
    depth = 2 + sum(layers)
    grown = True
    while grown:
        grown = False
        for stage in order:
            if counts[stage] < caps[stage] and depth + layers[stage] <= nominal_depth:
                counts[stage] += 1
                depth += layers[stage]
                grown = True
    return tuple(counts)


@lru_cache(maxsize=4096)
def depths_in_range(layers: tuple[int, ...], low: int, high: int) -> tuple[int, ...]:
    """Depths within low..high that `blocks_per_stage` reaches exactly."""

    def depth(nominal: int) -> int:
        return 2 + sum(n * k for n, k in zip(blocks_per_stage(nominal, layers), layers, strict=True))

    return tuple(nominal for nominal in range(low, high + 1) if depth(nominal) == nominal)


def stage_width(base: int, stage: int, multiplier: float) -> int:
    """Width of stage 0, 1, ...: base x 2^stage x multiplier, rounded to a multiple of 8, at least 8."""
    return max(CHANNEL_STEP, round(base * (1 << stage) * multiplier / CHANNEL_STEP) * CHANNEL_STEP)
