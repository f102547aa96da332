"""The Ghost block: a basic block whose convolutions are Ghost modules."""

from ..graph import Act, GraphBuilder, Ref
from . import block


def ghost_module(g: GraphBuilder, x: Ref, width: int, *, kernel: int, stride: int = 1, act: Act | None = "relu") -> Ref:
    """Half of the channels by a convolution, half by a cheap 3x3 depthwise of those (Han et al. 2020, fig. 1b)."""
    primary = g.conv(x, width // 2, kernel=kernel, stride=stride, act=act)
    return g.concat(primary, g.depthwise(primary, act=act))


@block("ghost", layers=2, width_multiple=2)
def ghost(g: GraphBuilder, x: Ref, width: int, stride: int, se: bool) -> Ref:
    """Two Ghost modules with 3x3 primary convolutions, ratio 2 (Han et al. 2020, sec. 4.1, Ghost-ResNet-56)."""
    y = ghost_module(g, x, width, kernel=3, stride=stride)
    y = ghost_module(g, y, width, kernel=3, act=None)
    if se:
        y = g.squeeze_excite(y)
    return g.add(y, g.shortcut(x, width, stride), act="relu")
