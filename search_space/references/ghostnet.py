"""GhostNet (Han et al. 2020), as in the authors' ghostnet.py.

Published at 224x224, 1000 classes (table 7):

| width | params | MACs |
|---|---|---|
| 0.5 | 2.6 M | 42 M |
| 1.0 | 5.2 M | 141 M |
| 1.3 | 7.3 M | 226 M |
"""

from typing import NamedTuple

from ..blocks.ghost import ghost_module
from ..graph import GraphBuilder, Ref
from .base import ReferenceSpec, network
from .layers import body_strides, classifier, make_divisible, stem


class Row(NamedTuple):
    """A row of table 1."""

    kernel: int
    expanded: int
    width: int
    se: bool
    stride: int


ROWS = (
    Row(3, 16, 16, False, 1),
    Row(3, 48, 24, False, 2),
    Row(3, 72, 24, False, 1),
    Row(5, 72, 40, True, 2),
    Row(5, 120, 40, True, 1),
    Row(3, 240, 80, False, 2),
    Row(3, 200, 80, False, 1),
    Row(3, 184, 80, False, 1),
    Row(3, 184, 80, False, 1),
    Row(3, 480, 112, True, 1),
    Row(3, 672, 112, True, 1),
    Row(5, 672, 160, True, 2),
    Row(5, 960, 160, False, 1),
    Row(5, 960, 160, True, 1),
    Row(5, 960, 160, False, 1),
    Row(5, 960, 160, True, 1),
)


@network("ghostnet")
def ghostnet(g: GraphBuilder, spec: ReferenceSpec) -> None:
    """Table 1; channels in multiples of 4, the 1280 before the classifier at any width.

    Small input: the stem and the first bottleneck of 24 channels have stride 1, so 32x32 ends at 4x4; that
    bottleneck then has no depthwise convolution between its Ghost modules.
    """
    multiplier = spec.width_multiplier
    x = stem(g, spec, make_divisible(16 * multiplier, 4), "relu")
    strides = body_strides(spec, tuple(row.stride for row in ROWS))
    for number, (row, stride) in enumerate(zip(ROWS, strides, strict=True), start=1):
        g.enter_block(number)
        expanded = make_divisible(row.expanded * multiplier, 4)
        width = make_divisible(row.width * multiplier, 4)
        x = ghost_bottleneck(g, x, width, expanded=expanded, kernel=row.kernel, stride=stride, se=row.se)
    g.enter("head")
    x = g.global_pool(g.conv(x, make_divisible(ROWS[-1].expanded * multiplier, 4), kernel=1))
    classifier(g, spec, g.conv(x, 1280, kernel=1, norm=False))


def ghost_bottleneck(g: GraphBuilder, x: Ref, width: int, *, expanded: int, kernel: int, stride: int, se: bool) -> Ref:
    """Two Ghost modules, a strided depthwise convolution between them where the size is halved (fig. 3)."""
    y = ghost_module(g, x, expanded, kernel=1)
    if stride > 1:
        y = g.depthwise(y, kernel=kernel, stride=stride, act=None)
    if se:
        y = g.squeeze_excite(y, reduced=make_divisible(expanded / 4, 4), gate="hard_sigmoid")
    y = ghost_module(g, y, width, kernel=1, act=None)
    if stride > 1 or g.shape(x).channels != width:
        x = g.depthwise(x, kernel=kernel, stride=stride, act=None)
        x = g.conv(x, width, kernel=1, act=None, name="shortcut")
    return g.add(y, x)
