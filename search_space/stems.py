"""How does a network begin? The two stems that the papers use."""

from collections.abc import Callable

from .graph import GraphBuilder, Ref


def stem_3x3(g: GraphBuilder, x: Ref, width: int) -> Ref:
    """One 3x3 convolution at full resolution (He et al. 2015, sec. 4.2, for CIFAR)."""
    return g.conv(x, width, kernel=3)


def stem_7x7(g: GraphBuilder, x: Ref, width: int) -> Ref:
    """7x7 convolution with stride 2, then max-pool: a quarter of the size (He et al. 2015, table 1)."""
    return g.max_pool(g.conv(x, width, kernel=7, stride=2))


STEMS: dict[str, Callable[[GraphBuilder, Ref, int], Ref]] = {"3x3": stem_3x3, "7x7": stem_7x7}
