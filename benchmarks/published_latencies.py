"""Published latencies of the built-in devices, batch 1, in milliseconds, that estimates are held against.

Every row of ROWS took part in setting the efficiencies, so agreement with them shows that few numbers explain many
rows, not how well a new network is predicted; HELD_OUT shows that.
"""

from collections.abc import Iterator
from typing import NamedTuple

NCNN = "github.com/Tencent/ncnn, benchmark/README.md"
TORCH2TRT = "github.com/NVIDIA-AI-IOT/torch2trt, docs/benchmarks"
CORAL = "coral.ai/docs/edgetpu/benchmarks"
MLPERF_TINY = "MLPerf Tiny v1.1, NUCLEO-H7A3ZI-Q: 18 to 21 inferences a second"


class Published(NamedTuple):
    """One published latency."""

    device: str
    threads: int
    bits: int
    network: str
    """Name of a reference."""
    resolution: int | None
    """None where it is the reference's own."""
    latency_ms: float
    source: str


def _rows(source: str, device: str, threads: int, bits: int, **latency_ms: float) -> Iterator[Published]:
    for network, value in latency_ms.items():
        yield Published(device, threads, bits, network, None, value, source)


ROWS: tuple[Published, ...] = (
    *_rows(NCNN, "rpi4", 1, 32, resnet18=191, resnet50=534, mobilenetv2=93.5),
    *_rows(NCNN, "rpi4", 4, 32, resnet18=123, resnet50=263, mobilenetv2=61.9),
    *_rows(NCNN, "rpi4", 1, 8, resnet18=158, resnet50=424),
    *_rows(NCNN, "rpi4", 4, 8, resnet18=84, resnet50=197),
    *_rows(NCNN, "snapdragon855", 1, 32, resnet18=22.1, resnet50=65.9, mobilenetv2=9.8),
    *_rows(NCNN, "snapdragon855", 4, 32, resnet18=10.4, resnet50=26.2, mobilenetv2=4.7),
    *_rows(NCNN, "snapdragon855", 1, 8, resnet18=26.2, resnet50=56.4),
    *_rows(NCNN, "snapdragon855", 4, 8, resnet18=9.4, resnet50=20.9),
    *_rows(NCNN, "jetson_nano_cpu", 4, 32, resnet18=83, resnet50=204, mobilenetv2=34),
    *_rows(NCNN, "jetson_nano_cpu", 4, 8, resnet18=61, resnet50=159),
    *_rows(TORCH2TRT, "jetson_nano_gpu", 1, 32, resnet18=11.4, resnet50=29.8),
    *_rows(TORCH2TRT, "jetson_xavier", 1, 32, resnet18=1.64, resnet50=3.37, mobilenetv2=1.67),
    *_rows(CORAL, "edgetpu", 1, 8, mobilenetv2=2.6),
    Published("edgetpu", 1, 8, "resnet50", 299, 49, CORAL),
    *_rows(MLPERF_TINY, "cortex_m7", 1, 8, resnet8=1000 / 19.5),
)

FURTHER_ROWS: tuple[Published, ...] = (
    *_rows(TORCH2TRT, "jetson_nano_gpu", 1, 32, resnet34=20.2, resnet101=51.1),
    *_rows(TORCH2TRT, "jetson_xavier", 1, 32, resnet34=2.79, resnet101=6.04, shufflenetv2=2.43),
)
"""Used to set TensorRT's efficiencies too."""

HELD_OUT: tuple[Published, ...] = (
    *_rows(NCNN, "snapdragon855", 1, 32, shufflenetv2=6.73, efficientnet_b0=23.4),
    *_rows(NCNN, "snapdragon855", 4, 32, shufflenetv2=3.52, efficientnet_b0=10.1),
    *_rows(NCNN, "rpi4", 4, 32, shufflenetv2=33.4),
)
"""Used for nothing; of an older ncnn, 8 % (Snapdragon) and 22 % (Raspberry Pi) slower on MobileNetV2 than in ROWS."""
