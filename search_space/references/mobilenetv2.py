"""MobileNetV2 (Sandler et al. 2018).

Published at 224x224, 1000 classes, in the table of tensorflow/models (research/slim/nets/mobilenet), which
leaves batch-norm out of the parameters; torchvision's count of 1.0x has it: 3,504,872.

| width | MACs | params, no batch-norm |
|---|---|---|
| 0.35 | 59 M | 1.66 M |
| 0.5 | 97 M | 1.95 M |
| 0.75 | 209 M | 2.61 M |
| 1.0 | 300 M | 3.47 M |
| 1.4 | 582 M | 6.06 M |
"""

from typing import NamedTuple

from ..graph import GraphBuilder
from .base import ReferenceSpec, network
from .layers import body_strides, classifier, inverted_residual, make_divisible, stem


class Stage(NamedTuple):
    """A row of table 2."""

    expansion: int
    width: int
    num_blocks: int
    stride: int


STAGES = (
    Stage(1, 16, 1, 1),
    Stage(6, 24, 2, 2),
    Stage(6, 32, 3, 2),
    Stage(6, 64, 4, 2),
    Stage(6, 96, 3, 1),
    Stage(6, 160, 3, 2),
    Stage(6, 320, 1, 1),
)


@network("mobilenetv2")
def mobilenetv2(g: GraphBuilder, spec: ReferenceSpec) -> None:
    """Table 2; channels in multiples of 8, the last convolution never below 1280 (sec. 4).

    Small input: the stem and the stage of 24 channels have stride 1, so 32x32 ends at 4x4.
    """
    multiplier = spec.width_multiplier
    x = stem(g, spec, make_divisible(32 * multiplier, 8), "relu6")
    strides = body_strides(spec, tuple(stage.stride for stage in STAGES))
    for number, (stage, stride) in enumerate(zip(STAGES, strides, strict=True), start=1):
        for position in range(stage.num_blocks):
            g.enter_block(position + 1, number)
            x = inverted_residual(
                g,
                x,
                make_divisible(stage.width * multiplier, 8),
                expanded=stage.expansion * g.shape(x).channels,
                kernel=3,
                stride=stride if position == 0 else 1,
                act="relu6",
            )
    g.enter("head")
    x = g.conv(x, make_divisible(1280 * max(1.0, multiplier), 8), kernel=1, act="relu6")
    classifier(g, spec, g.global_pool(x))
