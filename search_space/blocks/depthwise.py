"""The depthwise block: a basic block whose convolutions are depthwise-separable."""

from ..graph import GraphBuilder, Ref
from . import block


@block("depthwise", layers=2)
def depthwise(g: GraphBuilder, x: Ref, width: int, stride: int, se: bool) -> Ref:
    """Two depthwise-separable convolutions (Howard et al. 2017, fig. 3) with a residual."""
    y = g.depthwise(x, stride=stride)
    y = g.conv(y, width, kernel=1)
    y = g.depthwise(y)
    y = g.conv(y, width, kernel=1, act=None)
    if se:
        y = g.squeeze_excite(y)
    return g.add(y, g.shortcut(x, width, stride), act="relu")
