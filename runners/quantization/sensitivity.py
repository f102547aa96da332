"""Which stage bears few bits? Accuracy with one stage quantized at a time, and the mix for a size budget.

The baseline is the network as it is, at its own bits. A stage is quantized to fewer bits than it has, from the weights
that its integers stand for, and the other stages stay as they are: weights that were trained at few bits are of no use
in float.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

from objectives import known_costs
from search_space.backends.torch_network import GraphNetwork
from search_space.errors import UserError
from search_space.graph import FLOAT_BITS, Graph
from search_space.pruning.pruned import PrunedSpec
from search_space.spec import Architecture, ArchSpec

from ..training.batches import DeviceImages
from ..training.loop import measure_accuracy
from .dequantize import at_bits
from .requantize import requantized
from .simulation import QuantizedNetwork

CHOICES = (8, 6, 4, 3, 2)


@dataclass(frozen=True, kw_only=True)
class StageAccuracy:
    """One stage at one bit-width, every other stage as the network has it, without training."""

    stage: int
    """1 is the first."""
    bits: int
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """How much each stage minds."""

    accuracy: float
    """Accuracy of the network as it is, at its own bits: the baseline."""
    own_bits: tuple[int, ...]
    """Bits of each stage of the network as it is; 32 is float."""
    rows: tuple[StageAccuracy, ...]
    """Each stage at each choice below its own bits."""

    @property
    def stages(self) -> int:
        """Number of stages."""
        return len(self.own_bits)

    def loss(self, stage: int, bits: int) -> float:
        """Accuracy lost with that stage alone at those bits; 0 at its own bits, and where it gained by chance."""
        if bits == self.own_bits[stage - 1]:
            return 0.0
        found = next(row.accuracy for row in self.rows if (row.stage, row.bits) == (stage, bits))
        return max(0.0, self.accuracy - found)


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
    """Quantize each stage of a network by itself, to fewer bits than it has.

    Raises UserError for a network without stages.
    """
    own = stage_bits(architecture)
    rows = []
    for stage, bits in product(range(1, len(own) + 1), choices):
        if bits >= own[stage - 1]:
            continue
        widths = [bits if number == stage else width for number, width in enumerate(own, start=1)]
        quantized = _at_fewer_bits(network, architecture.with_bits(*widths).build_graph(), training)
        row = StageAccuracy(stage=stage, bits=bits, accuracy=measure_accuracy(quantized, validation))
        rows.append(row)
        progress(row)
    return Sensitivity(accuracy=measure_accuracy(network, validation), own_bits=own, rows=tuple(rows))


def _at_fewer_bits(network: GraphNetwork, graph: Graph, training: DeviceImages) -> QuantizedNetwork:
    if isinstance(network, QuantizedNetwork):
        return requantized(network, graph, training)
    quantized = QuantizedNetwork(at_bits(network, graph))
    quantized.calibrate(training)
    quantized.finish()
    return quantized


def stage_bits(architecture: Architecture) -> tuple[int, ...]:
    """Bits of each stage; raises UserError where the network has one bit-width for all."""
    designed = architecture.base if isinstance(architecture, PrunedSpec) else architecture
    if not isinstance(designed, ArchSpec):
        raise UserError("this network has one bit-width for all; only points of the search space have one a stage")
    return tuple(stage.bits for stage in designed.stages)


def propose_mix(
    architecture: Architecture, found: Sensitivity, max_packed_bytes: float, *, choices: Sequence[int] = CHOICES
) -> Mix:
    """The mix within the size whose expected loss is least, of equal ones the smallest; raises UserError for none.

    No stage gets more bits than it has, because nothing is gained by that before training.
    Every mix is tried: the exact size of 5 choices for 4 stages takes a second.
    """
    mixes = [
        Mix(
            bits=bits,
            packed_bytes=int(known_costs(architecture.with_bits(*bits).build_graph())["packed_bytes"]),
            expected_loss=sum(found.loss(stage, width) for stage, width in enumerate(bits, start=1)),
        )
        for bits in product(*(_choices_within(own, choices) for own in found.own_bits))
    ]
    fitting = [mix for mix in mixes if mix.packed_bytes <= max_packed_bytes]
    if not fitting:
        least = min(mix.packed_bytes for mix in mixes)
        raise UserError(f"no mix fits {max_packed_bytes:,.0f} bytes; the smallest network has {least:,}")
    return min(fitting, key=lambda mix: (mix.expected_loss, mix.packed_bytes))


def _choices_within(own: int, choices: Sequence[int]) -> list[int]:
    """Bits that a stage with `own` bits can get: its own, unless those are float, and the choices below."""
    return [*([] if own == FLOAT_BITS else [own]), *(bits for bits in choices if bits < own)]
