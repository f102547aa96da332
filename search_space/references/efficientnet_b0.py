"""EfficientNet-B0 (Tan and Le 2019).

Published at 224x224, 1000 classes: 5.3 M parameters, 0.39 G MACs (table 2); torchvision counts 5,288,548.
"""

from typing import NamedTuple

from ..graph import GraphBuilder
from .base import ReferenceSpec, network
from .layers import SqueezeExcite, body_strides, classifier, inverted_residual, make_divisible, stem


class Stage(NamedTuple):
    """A row of table 1."""

    expansion: int
    kernel: int
    width: int
    num_blocks: int
    stride: int


STAGES = (
    Stage(1, 3, 16, 1, 1),
    Stage(6, 3, 24, 2, 2),
    Stage(6, 5, 40, 2, 2),
    Stage(6, 3, 80, 3, 2),
    Stage(6, 5, 112, 3, 1),
    Stage(6, 5, 192, 4, 2),
    Stage(6, 3, 320, 1, 1),
)


@network("efficientnet_b0")
def efficientnet_b0(g: GraphBuilder, spec: ReferenceSpec) -> None:
    """Table 1; all channels in multiples of 8, the number of blocks at any width that of B0.

    Small input: the stem and the stage of 24 channels have stride 1, so 32x32 ends at 4x4.
    """
    multiplier = spec.width_multiplier
    x = stem(g, spec, make_divisible(32 * multiplier, 8), "silu")
    strides = body_strides(spec, tuple(stage.stride for stage in STAGES))
    for number, (stage, stride) in enumerate(zip(STAGES, strides, strict=True), start=1):
        for position in range(stage.num_blocks):
            g.enter_block(position + 1, number)
            channels = g.shape(x).channels
            x = inverted_residual(
                g,
                x,
                make_divisible(stage.width * multiplier, 8),
                expanded=stage.expansion * channels,
                kernel=stage.kernel,
                stride=stride if position == 0 else 1,
                act="silu",
                # The ratio of 1/4 refers to the block's input, not to its expanded channels.
                se=SqueezeExcite(channels // 4, "silu", "sigmoid"),
            )
    g.enter("head")
    x = g.conv(x, make_divisible(1280 * multiplier, 8), kernel=1, act="silu")
    classifier(g, spec, g.global_pool(x))
