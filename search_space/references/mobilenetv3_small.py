"""MobileNetV3-Small (Howard et al. 2019).

Published at 224x224, 1000 classes:

| width | params | MACs | source |
|---|---|---|---|
| 1.0 | 2,542,856 | 56.5 M | torchvision |
| 1.0 | 2.5 M | 56 M | paper, table 3 |
| 0.75 | 2.0 M | 44 M | paper, table 3 |
"""

from typing import NamedTuple

from ..graph import Act, GraphBuilder
from .base import ReferenceSpec, network
from .layers import SqueezeExcite, body_strides, classifier, inverted_residual, make_divisible, stem


class Row(NamedTuple):
    """A row of table 2; `expansion` is its expanded channels over its input channels."""

    kernel: int
    expansion: float
    width: int
    se: bool
    act: Act
    stride: int


ROWS = (
    Row(3, 1, 16, True, "relu", 2),
    Row(3, 72 / 16, 24, False, "relu", 2),
    Row(3, 88 / 24, 24, False, "relu", 1),
    Row(5, 4, 40, True, "hard_swish", 2),
    Row(5, 6, 40, True, "hard_swish", 1),
    Row(5, 6, 40, True, "hard_swish", 1),
    Row(5, 3, 48, True, "hard_swish", 1),
    Row(5, 3, 48, True, "hard_swish", 1),
    Row(5, 6, 96, True, "hard_swish", 2),
    Row(5, 6, 96, True, "hard_swish", 1),
    Row(5, 6, 96, True, "hard_swish", 1),
)


@network("mobilenetv3_small")
def mobilenetv3_small(g: GraphBuilder, spec: ReferenceSpec) -> None:
    """Table 2; channels in multiples of 8, the hidden layer of the classifier never below 1024.

    An expansion refers to the rounded input, as in the authors' code (tensorflow/models, mobilenet_v3.py);
    torchvision scales the expanded channels of 1.0x, which gives slightly other counts at other widths.

    Small input: the stem and the first block have stride 1, so 32x32 ends at 4x4.
    """
    multiplier = spec.width_multiplier
    x = stem(g, spec, make_divisible(16 * multiplier, 8), "hard_swish")
    strides = body_strides(spec, tuple(row.stride for row in ROWS))
    for number, (row, stride) in enumerate(zip(ROWS, strides, strict=True), start=1):
        g.enter_block(number)
        expanded = make_divisible(row.expansion * g.shape(x).channels, 8)
        # A quarter of the expanded channels in multiples of 8, as in torchvision and the authors' code.
        se = SqueezeExcite(make_divisible(expanded / 4, 8), "relu", "hard_sigmoid") if row.se else None
        width = make_divisible(row.width * multiplier, 8)
        x = inverted_residual(g, x, width, expanded=expanded, kernel=row.kernel, stride=stride, act=row.act, se=se)
    g.enter("head")
    x = g.conv(x, make_divisible(576 * multiplier, 8), kernel=1, act="hard_swish")
    x = g.linear(g.global_pool(x), make_divisible(1024 * max(1.0, multiplier), 8), act="hard_swish")
    classifier(g, spec, x)
