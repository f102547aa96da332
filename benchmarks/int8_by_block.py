"""What does int8 gain on this processor, by block?

Three stages of one block repeated three times, 32x32 input; float32 and int8 timed in turn, three times, the fastest
counts. Last column: int8 activations with zero point 0 (TensorRT's layout), which x86 does not fuse.

python benchmarks/int8_by_block.py --save
"""

from record import arguments, report, table

from objectives.latency.host import HostDevice
from search_space.backends.network_values import random_values
from search_space.backends.onnx_model import build_onnx
from search_space.space import BLOCK_CHOICES
from search_space.spec import ArchSpec, StageSpec

ROUNDS = 3
LAYOUTS = {"float32": (32, False), "int8": (8, False), "int8 x int8": (8, True), "4 bits": (4, False)}


def spec_of(choice: str, width: int, bits: int) -> ArchSpec:
    block, se = BLOCK_CHOICES[choice]
    stages = tuple(
        StageSpec(block=block, num_blocks=3, width=width * 2**i, stride=min(i + 1, 2), se=se, bits=bits)
        for i in range(3)
    )
    return ArchSpec(stem="3x3", stem_width=width, stages=stages)


def model_of(choice: str, width: int, layout: str) -> bytes:
    bits, symmetric = LAYOUTS[layout]
    graph = spec_of(choice, width, bits).build_graph()
    model = build_onnx(graph, random_values(graph), int8=bits < 32, symmetric=symmetric)
    return bytes(model.SerializeToString())


def main() -> None:
    args = arguments(__doc__ or "").parse_args()
    device = HostDevice()
    rows = []
    for width in (16, 32):
        for choice in BLOCK_CHOICES:
            models = [model_of(choice, width, layout) for layout in LAYOUTS]
            rounds = [device.time(models) for _ in range(ROUNDS)]
            best = [min(timing.latency_ms for timing in column) for column in zip(*rounds, strict=True)]
            macs = sum(node.macs for node in spec_of(choice, width, 32).build_graph().nodes)
            ratios = [f"{best[0] / value:.2f} x" for value in best[1:]]
            cells = [f"{value:.3f} ({ratio})" for value, ratio in zip(best[1:], ratios, strict=True)]
            rows.append([choice, width, f"{macs / 1e6:.1f}", f"{best[0]:.3f}", *cells])
    heads = ["block", "width", "MACs (M)", "float32 ms", "int8 ms", "int8 x int8 ms", "4 bits, timed as int8, ms"]
    report("int8-by-block", "python benchmarks/int8_by_block.py --save", table(heads, rows), save=args.save)


if __name__ == "__main__":
    main()
