"""ShuffleNetV2 (Ma et al. 2018).

Published at 224x224, 1000 classes (parameters: torchvision; MACs: the paper's table 8, which are about 1 %
above those of the convolutions and the linear layer):

| width | params | MACs |
|---|---|---|
| 0.5 | 1,366,792 | 41 M |
| 1.0 | 2,278,604 | 146 M |
| 1.5 | 3,503,624 | 299 M |
| 2.0 | 7,393,996 | 591 M |
"""

from ..graph import GraphBuilder, Ref
from .base import ReferenceSpec, network
from .layers import classifier, make_divisible, stem

FIRST_WIDTHS = {0.5: 48, 1.0: 116, 1.5: 176, 2.0: 244}
"""Width multiplier -> channels of the first stage (table 5), which is doubled in each of the next two."""

NUM_BLOCKS = (4, 8, 4)


@network("shufflenetv2")
def shufflenetv2(g: GraphBuilder, spec: ReferenceSpec) -> None:
    """Table 5. Between its four widths, which follow no formula, 116 channels are scaled, to an even number.

    Small input: the stem has stride 1 and the max-pool is left out, so 32x32 ends at 4x4.
    """
    multiplier = spec.width_multiplier
    x = stem(g, spec, 24, "relu")
    if not spec.small_input:
        x = g.max_pool(x)
    first_width = FIRST_WIDTHS.get(multiplier) or make_divisible(116 * multiplier, 2)
    for number, num_blocks in enumerate(NUM_BLOCKS, start=1):
        width = first_width * 2 ** (number - 1)
        for position in range(num_blocks):
            g.enter_block(position + 1, number)
            x = downsampling_unit(g, x, width) if position == 0 else basic_unit(g, x)
    g.enter("head")
    x = g.conv(x, 1024 if multiplier <= 1.5 else 2048, kernel=1)
    classifier(g, spec, g.global_pool(x))


def basic_unit(g: GraphBuilder, x: Ref) -> Ref:
    """Half of the channels pass unchanged, half through the branch (fig. 3c)."""
    width = g.shape(x).channels
    half = width // 2
    return g.channel_shuffle(g.concat(g.slice(x, 0, half), branch(g, g.slice(x, half, width), half, 1)), 2)


def downsampling_unit(g: GraphBuilder, x: Ref, width: int) -> Ref:
    """All channels through both branches, each with stride 2 (fig. 3d)."""
    left = g.conv(g.depthwise(x, stride=2, act=None), width // 2, kernel=1)
    return g.channel_shuffle(g.concat(left, branch(g, x, width // 2, 2)), 2)


def branch(g: GraphBuilder, x: Ref, width: int, stride: int) -> Ref:
    """1x1, 3x3 depthwise without activation, 1x1."""
    y = g.conv(x, width, kernel=1)
    return g.conv(g.depthwise(y, stride=stride, act=None), width, kernel=1)
