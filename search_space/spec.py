"""What is an architecture? A frozen value that says what to build; equal specs are the same network.

A spec goes to JSON and back, has a canonical key, and compiles to a graph (`build_graph`).
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from .blocks import BLOCKS
from .errors import SpecError, shown, unknown_name
from .graph import BITS, Graph, GraphBuilder
from .graph.edge_bits import edge_bits
from .stems import STEMS

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Spec = TypeVar("Spec", bound="DataclassInstance")
SCHEMA = 1
MAX_BLOCKS = 1_000
"""Of a stage."""
MAX_WIDTH = 100_000
"""Channels; a little more than the widest stage of any search space."""
MAX_CLASSES = 100_000
MAX_RESOLUTION = 4_096
MAX_IN_CHANNELS = 1_024


@runtime_checkable
class Architecture(Protocol):
    """Anything that compiles to a graph: a point of the search space (`ArchSpec`) or a reference outside of it."""

    @property
    def in_channels(self) -> int:
        """Channels of the image: 1 (grey) or 3 (RGB)."""
        ...

    @property
    def resolution(self) -> int:
        """Height and width of the image, in pixels."""
        ...

    @property
    def num_classes(self) -> int:
        """Number of classes, which is the number of logits."""
        ...

    @property
    def depth(self) -> int:
        """Number of weighted layers on the main path, as the papers count depth."""
        ...

    @property
    def key(self) -> str:
        """12 hexadecimal digits that are the same for equal networks."""
        ...

    def with_bits(self, *bits: int) -> "Architecture":
        """Return the same network at other bit-widths.

        Parameters
        ----------
        *bits
            One bit-width for the whole network, or one for each stage.
        """
        ...

    def with_input(self, *, resolution: int | None = None, num_classes: int | None = None) -> "Architecture":
        """Return the same network for other images.

        Parameters
        ----------
        resolution
            Height and width of the image, in pixels; None keeps it.
        num_classes
            Number of classes; None keeps it.
        """
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return the network as plain values, ready for JSON."""
        ...

    def build_graph(self) -> Graph:
        """Return the graph of the network, from which everything else is computed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSpec:
    """One stage of a network: consecutive blocks of one kind, of which the first has the stride.

    Raises
    ------
    SpecError
        If a value is out of range or the block is unknown.
    """

    block: str
    """Name of the block: ``basic``, ``bottleneck``, ``depthwise``, ``ghost``, or one of a plug-in."""
    num_blocks: int
    """Number of blocks, from 1 on."""
    width: int
    """Number of output channels of every block."""
    stride: int
    """Stride of the first block, 1 or 2; the others have 1."""
    se: bool = False
    """Whether every block has Squeeze-and-Excitation (Hu et al. 2018)."""
    bits: int = 32
    """Bit-width of weights and activations: 2, 3, 4, 6, 8, or 32 for float."""

    def __post_init__(self) -> None:
        if not isinstance(self.block, str) or self.block not in BLOCKS:
            raise SpecError(f"block: {unknown_name('block', str(self.block), BLOCKS)}{BLOCKS.broken}")
        _require(isinstance(self.se, bool), "se", self.se, "true or false")
        require_whole("num_blocks", self.num_blocks, 1, MAX_BLOCKS)
        require_whole("width", self.width, 1, MAX_WIDTH)
        multiple = BLOCKS[self.block].width_multiple
        _require(self.width % multiple == 0, "width", self.width, f"a multiple of {multiple} for {self.block}")
        _require(_is_int(self.stride, 1) and self.stride <= 2, "stride", self.stride, "1 or 2")
        _require(_is_int(self.bits, 2) and self.bits in BITS, "bits", self.bits, f"one of {BITS}")

    @property
    def layers(self) -> int:
        """Number of weighted layers on the main path of the stage."""
        return BLOCKS[self.block].layers * self.num_blocks


@dataclass(frozen=True, kw_only=True)
class ArchSpec:
    """A residual network: a stem, three or four stages, global pooling and a linear classifier.

    Equal specs are the same network.

    Raises
    ------
    SpecError
        If a value is out of range; the message names the field, the value and what is allowed.
    """

    stem: str
    """``3x3`` (one convolution, for small images) or ``7x7`` (stride 2 and max-pool, for about 224 pixels)."""
    stem_width: int
    """Number of output channels of the stem."""
    stages: tuple[StageSpec, ...]
    """The three or four stages, in the order in which they run."""
    in_channels: int = 3
    """Channels of the image: 1 (grey) or 3 (RGB)."""
    resolution: int = 32
    """Height and width of the image, in pixels."""
    num_classes: int = 10
    """Number of classes, which is the number of logits."""

    def __post_init__(self) -> None:
        if not isinstance(self.stem, str) or self.stem not in STEMS:
            raise SpecError(f"stem: {unknown_name('stem', str(self.stem), STEMS)}")
        require_whole("stem_width", self.stem_width, 1, MAX_WIDTH)
        require_input(self.in_channels, self.resolution, self.num_classes)
        are_stages = isinstance(self.stages, tuple) and all(isinstance(stage, StageSpec) for stage in self.stages)
        _require(are_stages, "stages", self.stages, "a tuple of StageSpec")
        _require(len(self.stages) in (3, 4), "stages", len(self.stages), "3 or 4 stages")

    @property
    def depth(self) -> int:
        """Depth as the papers count it: weighted layers of stem, main paths and classifier; no projections, no SE."""
        return 2 + sum(stage.layers for stage in self.stages)

    @property
    def bits(self) -> tuple[int, ...]:
        """Bit-width of each stage."""
        return tuple(stage.bits for stage in self.stages)

    @cached_property
    def key(self) -> str:
        """First 12 hex digits of the sha256 of the canonical JSON; equal specs have equal keys."""
        return canonical_key(self.to_dict())

    def with_bits(self, *bits: int) -> "ArchSpec":
        """Return the same network at other bit-widths.

        Parameters
        ----------
        *bits
            One bit-width for all stages, or one for each stage.

        Returns
        -------
        ArchSpec
            The network at these bit-widths.

        Raises
        ------
        SpecError
            If the number of values is neither, or a value is none of 2, 3, 4, 6, 8 and 32.
        """
        per_stage = bits * len(self.stages) if len(bits) == 1 else bits
        _require(len(per_stage) == len(self.stages), "bits", bits, f"1 or {len(self.stages)} values")
        stages = (replace(stage, bits=b) for stage, b in zip(self.stages, per_stage, strict=True))
        return replace(self, stages=tuple(stages))

    def with_input(self, *, resolution: int | None = None, num_classes: int | None = None) -> "ArchSpec":
        """Return the same network for other images.

        Parameters
        ----------
        resolution
            Height and width of the image, in pixels; None keeps it.
        num_classes
            Number of classes; None keeps it.

        Returns
        -------
        ArchSpec
            The network for these images.

        Raises
        ------
        SpecError
            If a value is out of range.
        """
        return with_input(self, resolution, num_classes)

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as plain values, ready for JSON.

        Returns
        -------
        dict
            The fields by name, and the version of the schema under ``schema``.
        """
        return {"schema": SCHEMA, **_values_of(self), "stages": [_values_of(stage) for stage in self.stages]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "ArchSpec":
        """Return the spec that `to_dict` wrote.

        Parameters
        ----------
        data
            Plain values, as JSON has them.

        Returns
        -------
        ArchSpec
            The spec.

        Raises
        ------
        SpecError
            If a key is unknown or missing, or a value is out of range.
        """
        values = checked_keys("spec", data, cls, {"in_channels", "resolution", "num_classes"})
        if not isinstance(values["stages"], list | tuple):
            raise SpecError(f"stages: must be a list, not {shown(values['stages'])}")
        stages = []
        for number, stage in enumerate(values.pop("stages"), start=1):
            where = f"stages[{number}]"
            if not isinstance(stage, Mapping):
                raise SpecError(f"{where}: must be an object, not {shown(stage)}")
            try:
                stages.append(StageSpec(**checked_keys(where, stage, StageSpec, {"se", "bits"}, schema=False)))
            except SpecError as error:
                message = str(error)
                raise SpecError(message if message.startswith(where) else f"{where}.{message}") from None
        return cls(stages=tuple(stages), **values)

    def build_graph(self) -> Graph:
        """Return the graph of the network, whose stem and classifier have at least 8 bits.

        Returns
        -------
        Graph
            The nodes in the order in which they run.

        Raises
        ------
        SpecError
            If a shape does not fit, as in a network that is too deep for its resolution.
        """
        g = GraphBuilder(self.in_channels, self.resolution, edge_bits(self.stages[0].bits))
        g.enter("stem")
        x = STEMS[self.stem](g, g.input, self.stem_width)
        for number, stage in enumerate(self.stages, start=1):
            build = BLOCKS[stage.block].build
            g.bits = stage.bits
            for position in range(stage.num_blocks):
                if position > 1:
                    x = g.repeat_block(x, position + 1, number)
                    continue
                g.enter_block(position + 1, number)
                x = build(g, x, stage.width, stage.stride if position == 0 else 1, stage.se)
        g.bits = edge_bits(self.stages[-1].bits)
        g.enter("head")
        g.linear(g.global_pool(x), self.num_classes)
        return g.build()


def require_whole(field: str, value: object, least: int, most: int) -> None:
    """Raise SpecError unless `value` is a whole number from `least` to `most`."""
    _require(_is_int(value, least), field, value, f"a whole number from {least}")
    assert isinstance(value, int)
    if value > most:
        raise SpecError(f"{field}: is too large: must be at most {most:,}, not {shown(value)}")


def require_input(in_channels: object, resolution: object, num_classes: object) -> None:
    """Raise SpecError unless these are what an architecture may take and tell apart."""
    require_whole("in_channels", in_channels, 1, MAX_IN_CHANNELS)
    require_whole("resolution", resolution, 4, MAX_RESOLUTION)
    require_whole("num_classes", num_classes, 1, MAX_CLASSES)


def with_input(spec: Spec, resolution: int | None, num_classes: int | None) -> Spec:
    """Return `spec`, a dataclass, for other images; what is None stays."""
    given = {"resolution": resolution, "num_classes": num_classes}
    return replace(spec, **{name: value for name, value in given.items() if value is not None})


def canonical_key(data: Mapping[str, Any]) -> str:
    """First 12 hex digits of the sha256 of `data` as JSON with sorted keys and no spaces."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def checked_keys(
    where: str, data: Mapping[str, Any], cls: type, optional: Iterable[str], *, schema: bool = True
) -> dict[str, Any]:
    """`data` without its schema version, after checking that its keys are the fields of dataclass `cls`."""
    values = dict(data)
    if schema and (version := values.pop("schema", None)) != SCHEMA:
        raise SpecError(f"{where}: schema: must be {SCHEMA}, not {shown(version)}")
    names = {field.name for field in fields(cls)}
    for name in values:
        if name not in names:
            raise SpecError(f"{where}: {unknown_name('key', str(name), names)}")
    missing = sorted(names - set(values) - set(optional))
    if missing:
        raise SpecError(f"{where}: missing key '{missing[0]}'")
    return values


def _values_of(spec: ArchSpec | StageSpec) -> dict[str, Any]:
    """Field -> value; `asdict` copies what needs no copy, thousands of times in a search."""
    return {field.name: getattr(spec, field.name) for field in fields(spec)}


def _is_int(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _require(condition: bool, field: str, value: object, allowed: str) -> None:
    if not condition:
        raise SpecError(f"{field}: must be {allowed}, not {shown(value)}")
