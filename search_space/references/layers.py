"""What do the mobile networks share? Channel rounding, the stem, the inverted residual and the classifier."""

from typing import NamedTuple

from ..graph import Act, GraphBuilder, Ref
from .base import ReferenceSpec


def make_divisible(value: float, divisor: int) -> int:
    """The nearest multiple of `divisor`, at least one, and never less than 90 % of `value`.

    Source: `_make_divisible` in tensorflow/models, research/slim/nets/mobilenet; the authors of
    EfficientNet and GhostNet round so too.
    """
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def stem(g: GraphBuilder, spec: ReferenceSpec, width: int, act: Act) -> Ref:
    """3x3 convolution with stride 2 (1 for small input); the layers after it have `spec.bits`."""
    g.enter("stem")
    x = g.conv(g.input, width, kernel=3, stride=1 if spec.small_input else 2, act=act)
    g.bits = spec.bits
    return x


def body_strides(spec: ReferenceSpec, strides: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of the stages after the stem; for small input the first 2 becomes 1."""
    if not spec.small_input:
        return strides
    first = strides.index(2)
    return (*strides[:first], 1, *strides[first + 1 :])


class SqueezeExcite(NamedTuple):
    """How an inverted residual gates its expanded channels."""

    reduced: int
    act: Act
    gate: Act


def inverted_residual(
    g: GraphBuilder,
    x: Ref,
    width: int,
    *,
    expanded: int,
    kernel: int,
    stride: int,
    act: Act,
    se: SqueezeExcite | None = None,
) -> Ref:
    """Expansion (none by a factor of 1), depthwise, SE, linear 1x1 (Sandler et al. 2018, fig. 4d)."""
    channels = g.shape(x).channels
    y = x if expanded == channels else g.conv(x, expanded, kernel=1, act=act)
    y = g.depthwise(y, kernel=kernel, stride=stride, act=act)
    if se is not None:
        y = g.squeeze_excite(y, reduced=se.reduced, act=se.act, gate=se.gate)
    y = g.conv(y, width, kernel=1, act=None)
    return g.add(y, x) if stride == 1 and channels == width else y


def classifier(g: GraphBuilder, spec: ReferenceSpec, x: Ref) -> None:
    """The last linear layer, on a tensor of height and width 1, with at least 8 bits."""
    g.bits = spec.edge_bits
    g.linear(x, spec.num_classes)
