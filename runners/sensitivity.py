"""Which stage bears few bits? Accuracy with one stage quantized at a time, and the mix for a size budget."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

from objectives import known_costs
from search_space.errors import UserError
from search_space.graph import FLOAT_BITS
from search_space.network import GraphNetwork
from search_space.pruned import PrunedSpec
from search_space.spec import Architecture, ArchSpec

from .images import DeviceImages
from .quantization import QuantizedNetwork
from .refloat import at_bits
from .training import measure_accuracy

CHOICES = (8, 6, 4, 3, 2)


@dataclass(frozen=True, kw_only=True)
class StageAccuracy:
    """One stage at one bit-width, every other stage in float, from its ranges alone."""

    stage: int
    """1 is the first."""
    bits: int
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """How much each stage minds."""

    float_accuracy: float
    stages: int
    rows: tuple[StageAccuracy, ...]

    def loss(self, stage: int, bits: int) -> float:
        """Accuracy lost with that stage alone at those bits; 0 in float, and where it gained by chance."""
        if bits == FLOAT_BITS:
            return 0.0
        found = next(row.accuracy for row in self.rows if (row.stage, row.bits) == (stage, bits))
        return max(0.0, self.float_accuracy - found)


@dataclass(frozen=True, kw_only=True)
class Mix:
    """Bits of each stage."""

    bits: tuple[int, ...]
    packed_bytes: int
    expected_loss: float
    """The stages' losses, summed: they are nearly additive while they are small."""


def measure_sensitivity(
    network: GraphNetwork,
    architecture: Architecture,
    training: DeviceImages,
    validation: DeviceImages,
    *,
    choices: Sequence[int] = CHOICES,
    progress: Callable[[StageAccuracy], None] = lambda row: None,
) -> Sensitivity:
    """Quantize each stage of a float network by itself; raises UserError for a network without stages."""
    stages = count_stages(architecture)
    rows = []
    for stage, bits in product(range(1, stages + 1), choices):
        widths = [bits if number == stage else FLOAT_BITS for number in range(1, stages + 1)]
        graph = architecture.with_bits(*widths).build_graph()
        quantized = QuantizedNetwork(at_bits(network, graph))
        quantized.calibrate(training)
        quantized.finish()
        row = StageAccuracy(stage=stage, bits=bits, accuracy=measure_accuracy(quantized, validation))
        rows.append(row)
        progress(row)
    return Sensitivity(float_accuracy=measure_accuracy(network, validation), stages=stages, rows=tuple(rows))


def count_stages(architecture: Architecture) -> int:
    """How many stages can have bits of their own; raises UserError where the network has one bit-width."""
    designed = architecture.base if isinstance(architecture, PrunedSpec) else architecture
    if not isinstance(designed, ArchSpec):
        raise UserError("this network has one bit-width for all; only points of the search space have one a stage")
    return len(designed.stages)


def propose_mix(
    architecture: Architecture, found: Sensitivity, max_packed_bytes: float, *, choices: Sequence[int] = CHOICES
) -> Mix:
    """The mix within the size whose expected loss is least, of equal ones the smallest; raises UserError for none.

    Every mix is tried: the exact size of 5 choices for 4 stages takes a second.
    """
    mixes = [
        Mix(
            bits=bits,
            packed_bytes=int(known_costs(architecture.with_bits(*bits).build_graph())["packed_bytes"]),
            expected_loss=sum(found.loss(stage, width) for stage, width in enumerate(bits, start=1)),
        )
        for bits in product(choices, repeat=found.stages)
    ]
    fitting = [mix for mix in mixes if mix.packed_bytes <= max_packed_bytes]
    if not fitting:
        least = min(mix.packed_bytes for mix in mixes)
        raise UserError(f"no mix fits {max_packed_bytes:,.0f} bytes; the smallest network has {least:,}")
    return min(fitting, key=lambda mix: (mix.expected_loss, mix.packed_bytes))
