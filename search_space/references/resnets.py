"""The ResNets of the papers, each a point of the search space.

A width multiplier scales stem and stages, to the nearest multiple of 8. Published counts (parameters / MACs):

| name | params | MACs | source |
|---|---|---|---|
| resnet18, 34, 50, 101 | 11.69, 21.80, 25.56, 44.55 M | 1.81, 3.66, 4.09, 7.80 G | torchvision, model table |
| resnet20, 32, 44, 56, 110 | 0.27, 0.46, 0.66, 0.85, 1.7 M | | He et al. 2015, table 6 |
| se_resnet50 | 28,088,024 | | timm, seresnet50 |
| ghost_resnet56 | 0.43 M | 63 M | Han et al. 2020 |
| resnet8 | 78 k | 12.5 M | MLPerf Tiny, image classification |

torchvision's ResNet-50 has the stride in the 3x3; the paper has it in the 1x1. Table 6 is for parameter-free
shortcuts; the 1x1 projections used here add 2,752 parameters.
"""

from functools import partial

from ..spec import ArchSpec, StageSpec
from .base import POINTS


def _scaled(width: int, width_multiplier: float) -> int:
    """The nearest multiple of 8, at least 8."""
    return max(8, int(width * width_multiplier / 8 + 0.5) * 8)


def _stages(
    block: str, num_blocks: tuple[int, ...], widths: tuple[int, ...], se: bool, width_multiplier: float
) -> tuple[StageSpec, ...]:
    """One stage for each width; all but the first halve the resolution."""
    return tuple(
        StageSpec(
            block=block,
            num_blocks=blocks,
            width=_scaled(width, width_multiplier),
            stride=1 if position == 0 else 2,
            se=se,
        )
        for position, (blocks, width) in enumerate(zip(num_blocks, widths, strict=True))
    )


def _imagenet(block: str, num_blocks: tuple[int, ...], width_multiplier: float, *, se: bool = False) -> ArchSpec:
    """Four stages after the 7x7 stem (He et al. 2015, table 1)."""
    widths = (256, 512, 1024, 2048) if block == "bottleneck" else (64, 128, 256, 512)
    return ArchSpec(
        stem="7x7",
        stem_width=_scaled(64, width_multiplier),
        stages=_stages(block, num_blocks, widths, se, width_multiplier),
        resolution=224,
        num_classes=1000,
    )


def _cifar(block: str, num_blocks: int, width_multiplier: float, *, se: bool = False) -> ArchSpec:
    """Three stages of n blocks after the 3x3 stem: 6n + 2 layers (He et al. 2015, sec. 4.2)."""
    stages = _stages(block, (num_blocks,) * 3, (16, 32, 64), se, width_multiplier)
    return ArchSpec(stem="3x3", stem_width=_scaled(16, width_multiplier), stages=stages)


POINTS.add("resnet18", partial(_imagenet, "basic", (2, 2, 2, 2)))
POINTS.add("resnet34", partial(_imagenet, "basic", (3, 4, 6, 3)))
POINTS.add("resnet50", partial(_imagenet, "bottleneck", (3, 4, 6, 3)))
POINTS.add("resnet101", partial(_imagenet, "bottleneck", (3, 4, 23, 3)))
POINTS.add("se_resnet50", partial(_imagenet, "bottleneck", (3, 4, 6, 3), se=True))

POINTS.add("resnet8", partial(_cifar, "basic", 1))
POINTS.add("resnet20", partial(_cifar, "basic", 3))
POINTS.add("resnet32", partial(_cifar, "basic", 5))
POINTS.add("resnet44", partial(_cifar, "basic", 7))
POINTS.add("resnet56", partial(_cifar, "basic", 9))
POINTS.add("resnet110", partial(_cifar, "basic", 18))
POINTS.add("se_resnet56", partial(_cifar, "basic", 9, se=True))
POINTS.add("ghost_resnet56", partial(_cifar, "ghost", 9))
