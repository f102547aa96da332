"""The basic residual block."""

from ..graph import GraphBuilder, Ref
from . import block


@block("basic", layers=2)
def basic(g: GraphBuilder, x: Ref, width: int, stride: int, se: bool) -> Ref:
    """Two 3x3 convolutions (He et al. 2015, fig. 5, left)."""
    y = g.conv(x, width, kernel=3, stride=stride)
    y = g.conv(y, width, kernel=3, act=None)
    if se:
        y = g.squeeze_excite(y)
    return g.add(y, g.shortcut(x, width, stride), act="relu")
