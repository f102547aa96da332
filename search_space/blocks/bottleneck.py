"""The bottleneck block; its width is that of its output, four times the inner one."""

from ..graph import GraphBuilder, Ref
from . import block


@block("bottleneck", layers=3, width_multiple=4)
def bottleneck(g: GraphBuilder, x: Ref, width: int, stride: int, se: bool) -> Ref:
    """1x1 reduce, 3x3 with the stride, 1x1 expand (He et al. 2015, fig. 5, right)."""
    y = g.conv(x, width // 4, kernel=1)
    y = g.conv(y, width // 4, kernel=3, stride=stride)
    y = g.conv(y, width, kernel=1, act=None)
    if se:
        y = g.squeeze_excite(y)
    return g.add(y, g.shortcut(x, width, stride), act="relu")
