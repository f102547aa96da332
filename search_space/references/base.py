"""What is a reference outside of the search space? A frozen value: the name of a network and its options."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from ..errors import SpecError, shown, unknown_name
from ..graph import BITS, FLOAT_BITS, Conv, Graph, GraphBuilder, Multiply, Operator, Weighted
from ..graph.edge_bits import edge_bits
from ..named_registry import Registry
from ..spec import SCHEMA, ArchSpec, canonical_key, checked_keys, require_input, with_input

MAX_WIDTH_MULTIPLIER = 10


@dataclass(frozen=True, kw_only=True)
class ReferenceSpec:
    """A published network that is no point of the search space."""

    name: str
    """Name of a network, one of those that `@network` registers."""
    width_multiplier: float = 1.0
    """Scales the channels, rounded as the network's paper does."""
    small_input: bool
    """Whether the first two stride-2 reductions are left out, for 32x32-like input."""
    in_channels: int = 3
    """Channels of the image: 1 (grey) or 3 (RGB)."""
    resolution: int = 224
    """Height and width of the image, in pixels."""
    num_classes: int = 1000
    """Number of classes."""
    bits: int = FLOAT_BITS
    """Bit-width of weights and activations; 32 means float. The first and the last layer have at least 8."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or self.name not in NETWORKS:
            raise SpecError(f"reference: {unknown_name('network', str(self.name), NETWORKS)}")
        check_width_multiplier(self.width_multiplier)
        if not isinstance(self.small_input, bool):
            raise SpecError(f"small_input: must be true or false, not {shown(self.small_input)}")
        require_input(self.in_channels, self.resolution, self.num_classes)
        if not _is_int(self.bits) or self.bits not in BITS:
            raise SpecError(f"bits: must be one of {BITS}, not {shown(self.bits)}")

    @property
    def edge_bits(self) -> int:
        """Bit-width of the first and of the last layer."""
        return edge_bits(self.bits)

    @cached_property
    def depth(self) -> int:
        """Weighted layers, counted as `ArchSpec.depth` does (see `layers_on_main_path`)."""
        return layers_on_main_path(self.build_graph())

    @cached_property
    def key(self) -> str:
        """First 12 hex digits of the sha256 of the canonical JSON; equal specs have equal keys."""
        return canonical_key(self.to_dict())

    def with_bits(self, *bits: int) -> "ReferenceSpec":
        """Return the same network at another bit-width.

        Parameters
        ----------
        *bits
            One bit-width; more raise SpecError, because the network has no stages.
        """
        if len(bits) != 1:
            raise SpecError(f"bits: this network has no stages; must be one number, not {bits!r}")
        return replace(self, bits=bits[0])

    def with_input(self, *, resolution: int | None = None, num_classes: int | None = None) -> "ReferenceSpec":
        """Return the same network, with the same stem, for other images.

        Parameters
        ----------
        resolution
            Height and width of the image, in pixels; None keeps it.
        num_classes
            Number of classes; None keeps it.
        """
        return with_input(self, resolution, num_classes)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON; the name stands under ``reference``, a key that no `ArchSpec` has."""
        values = asdict(self) | {"width_multiplier": float(self.width_multiplier)}
        return {"schema": SCHEMA, "reference": values.pop("name"), **values}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "ReferenceSpec":
        """Return the spec that `to_dict` wrote; raises SpecError for unknown or missing keys and values out of range.

        Parameters
        ----------
        data
            Plain values, as JSON has them.
        """
        if "name" in data:
            raise SpecError("reference: unknown key 'name'; did you mean 'reference'?")
        values = {"name" if key == "reference" else key: value for key, value in data.items()}
        optional = {"width_multiplier", "in_channels", "resolution", "num_classes", "bits"}
        return cls(**checked_keys("reference", values, cls, optional))

    def build_graph(self) -> Graph:
        """Return the graph of the network."""
        g = GraphBuilder(self.in_channels, self.resolution, self.edge_bits)
        NETWORKS[self.name](g, self)
        return g.build()


POINTS: Registry[Callable[[float], ArchSpec]] = Registry("reference", "search_space.references", plugins="references")
"""Points of the search space: name -> function from the width multiplier to the spec."""

WriteNetwork = Callable[[GraphBuilder, ReferenceSpec], None]
"""Function of a graph builder and a spec that writes the network, from the image to the logits."""
NETWORKS: Registry[WriteNetwork] = Registry("reference", "search_space.references", plugins="references")
"""The others: name -> function that writes the network on a graph."""


def network(name: str) -> Callable[[WriteNetwork], WriteNetwork]:
    """Register the decorated function as the writer of a reference network.

    Parameters
    ----------
    name
        Name of the network for `resfront.reference`.

    Returns
    -------
    Callable
        Decorator of a `WriteNetwork`.
    """

    def register(write: WriteNetwork) -> WriteNetwork:
        NETWORKS.add(name, write)
        return write

    return register


def check_width_multiplier(value: Any) -> None:
    """Raise SpecError unless `value` is a number in (0, 10]."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value <= MAX_WIDTH_MULTIPLIER:
        allowed = f"a number above 0 and up to {MAX_WIDTH_MULTIPLIER}"
        raise SpecError(f"width_multiplier: must be {allowed}, not {shown(value)}")


def layers_on_main_path(graph: Graph) -> int:
    """Depth as `ArchSpec.depth` has it, read off the graph: the most counted layers on a path to the logits.

    Counted are linear layers and convolutions, but no depthwise ones: a separable convolution is one layer, a
    Ghost module is one layer. Gates (SE) are not followed, and projections lie beside a longer path. So
    MobileNetV2 has 36 layers; it has 53 where each depthwise convolution is counted.
    """
    depths: list[int] = []
    for node in graph.nodes:
        sources = node.inputs[:1] if isinstance(node.op, Multiply) else node.inputs
        depths.append(max((depths[source] for source in sources), default=0) + _counts_as_layer(node.op))
    return depths[-1]


def _counts_as_layer(op: Operator) -> bool:
    return isinstance(op, Weighted) and not (isinstance(op, Conv) and op.groups > 1)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
