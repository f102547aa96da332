"""What is left of a network whose channels were pruned? The network that it was, and the channels it has now."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ..errors import SpecError, shown
from ..graph import Graph
from ..spec import SCHEMA, Architecture, canonical_key
from .channels import ChannelGroups, Mask, kept_channels, narrowed


@dataclass(frozen=True, kw_only=True)
class PrunedSpec:
    """A network with fewer channels than its `base`, layer by layer; an `Architecture` like any other."""

    base: Architecture
    """As it was designed; itself not pruned."""
    channels: Mapping[str, int] = field(default_factory=dict)
    """Convolution -> output channels, where they are fewer."""
    slices: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Slice -> its first channel and the one behind its last, where they have moved."""

    def __post_init__(self) -> None:
        if isinstance(self.base, PrunedSpec):
            raise SpecError("base: is itself pruned; give the network that it was")
        self.build_graph()

    @property
    def in_channels(self) -> int:
        return self.base.in_channels

    @property
    def resolution(self) -> int:
        return self.base.resolution

    @property
    def num_classes(self) -> int:
        return self.base.num_classes

    @property
    def depth(self) -> int:
        return self.base.depth

    @cached_property
    def key(self) -> str:
        """First 12 hex digits of the sha256 of the canonical JSON; equal specs have equal keys."""
        return canonical_key(self.to_dict())

    def with_bits(self, *bits: int) -> "PrunedSpec":
        """The same network at other bit-widths: one for all, or one per stage where the base has stages."""
        return replace(self, base=self.base.with_bits(*bits))

    def with_input(self, *, resolution: int | None = None, num_classes: int | None = None) -> "PrunedSpec":
        """The same network for other images."""
        return replace(self, base=self.base.with_input(resolution=resolution, num_classes=num_classes))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; the base stands under "pruned", a key that no other architecture has."""
        slices = {name: list(border) for name, border in sorted(self.slices.items())}
        channels = dict(sorted(self.channels.items()))
        return {"schema": SCHEMA, "pruned": self.base.to_dict(), "channels": channels, "slices": slices}

    def build_graph(self) -> Graph:
        """The base's graph with the channels that are left."""
        return narrowed(self.base.build_graph(), self.channels, self.slices)


def prune_architecture(architecture: Architecture, groups: ChannelGroups, keep: Mask) -> Architecture:
    """The architecture without the groups of channels that are not in `keep`; `groups` are those of its graph."""
    graph = architecture.build_graph()
    channels, slices = kept_channels(graph, groups, keep)
    if not channels:
        return architecture
    base = architecture.base if isinstance(architecture, PrunedSpec) else architecture
    before = architecture if isinstance(architecture, PrunedSpec) else PrunedSpec(base=base)
    return PrunedSpec(base=base, channels={**before.channels, **channels}, slices={**before.slices, **slices})


def pruned_from_dict(data: Mapping[str, Any], base: Architecture) -> PrunedSpec:
    """The inverse of `PrunedSpec.to_dict` for its `base`; raises SpecError for anything else."""
    if data.get("schema") != SCHEMA:
        raise SpecError(f"pruned: schema: must be {SCHEMA}, not {shown(data.get('schema'))}")
    for name in data:
        if name not in ("schema", "pruned", "channels", "slices"):
            raise SpecError(f"pruned: unknown key '{name}'")
    channels, slices = data.get("channels", {}), data.get("slices", {})
    if not isinstance(channels, Mapping) or not all(_is_count(n) for n in channels.values()):
        raise SpecError("channels: must map layers to whole numbers from 1")
    if not isinstance(slices, Mapping) or not all(_is_border(border) for border in slices.values()):
        raise SpecError("slices: must map layers to pairs of whole numbers")
    borders = {name: (int(border[0]), int(border[1])) for name, border in slices.items()}
    return PrunedSpec(base=base, channels=dict(channels), slices=borders)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_border(value: object) -> bool:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return False
    return all(isinstance(n, int) and not isinstance(n, bool) for n in value)
