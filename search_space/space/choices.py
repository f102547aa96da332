"""Which networks can a study propose? The choices, and the bridge between specs and a sampler's parameters."""

import itertools
import math
from functools import cached_property
from typing import Any, Literal

from ..blocks import BLOCKS
from ..errors import SpecError, shown, unknown_name
from ..graph import BITS
from ..settings import settings
from ..spec import MAX_CLASSES, MAX_IN_CHANNELS, ArchSpec, StageSpec
from ..stems import STEMS
from .block_choices import BLOCK_CHOICES, DEFAULT_BLOCKS
from .layout import CHANNEL_STEP, blocks_per_stage, depths_in_range, stage_width, stem_width
from .trials import FixedTrial, RecordingTrial, Trial

MIN_DEPTH, MAX_DEPTH = 8, 110
MAX_CHOICES = 100
"""Of one key: `size` and the samplers go through combinations of them."""
USUAL_DEPTH = (18, 110)
"""Depths of a study that names none; those below live on microcontrollers."""


@settings
class SearchSpace:
    """The networks that a study can propose, as choices for each parameter.

    Every trial has the same parameters, whatever their values.

    Raises
    ------
    UserError
        If a choice is unknown, out of range or given twice, or no network of a block has a depth in the range.
    """

    stem: str = "3x3"
    """``3x3`` (one convolution, for small images) or ``7x7`` (stride 2 and max-pool, for about 224 pixels)."""
    num_stages: int = 3
    """Number of stages, 3 or 4; each stage after the first halves the resolution."""
    depth: tuple[int, int] = USUAL_DEPTH
    """Least and largest depth in weighted layers, counted as in the papers."""
    blocks: tuple[str, ...] = DEFAULT_BLOCKS
    """Names of blocks. ``se_NAME`` is a block with Squeeze-and-Excitation, and ``se`` is ``basic`` with it."""
    block_scope: Literal["net", "stage"] = "net"
    """One block for the whole network, or one for each stage."""
    base_width: tuple[int, int] = (8, 32)
    """Least and largest width of the first stage, in channels, in steps of 8."""
    width_multipliers: tuple[float, ...] = (1.0,)
    """Stage i has base_width x 2^(i-1) x its multiplier, rounded to 8 channels; the first stage has 1."""
    resolution: tuple[int, ...] = (32,)
    """Sizes of the input, in pixels."""
    bits: tuple[int, ...] = (32,)
    """Bit-widths of weights and activations; 32 means float."""
    bits_scope: Literal["net", "stage"] = "net"
    """One bit-width for the whole network, or one for each stage."""
    in_channels: int = 3
    """Channels of the image: 1 (grey) or 3 (RGB)."""
    num_classes: int = 10
    """Number of classes."""

    def __post_init__(self) -> None:
        if self.stem not in STEMS:
            raise SpecError(f"stem: {unknown_name('stem', self.stem, STEMS)}")
        if self.num_stages not in (3, 4):
            raise SpecError(f"num_stages: must be 3 or 4, not {self.num_stages}")
        self._check_range("depth", self.depth, MIN_DEPTH, MAX_DEPTH, 1)
        self._check_range("base_width", self.base_width, CHANNEL_STEP, 1024, CHANNEL_STEP)
        for name in ("blocks", "width_multipliers", "resolution", "bits"):
            self._check_choices(name, getattr(self, name))
        for block in self.blocks:
            if block not in BLOCK_CHOICES:
                raise SpecError(f"blocks: {unknown_name('block', block, BLOCK_CHOICES)}{BLOCKS.broken}")
        for name in ("block_scope", "bits_scope"):
            if getattr(self, name) not in ("net", "stage"):
                raise SpecError(f"{name}: must be 'net' or 'stage', not {getattr(self, name)!r}")
        self._check_reachable()
        for value in self.bits:
            if value not in BITS:
                raise SpecError(f"bits: must be among {BITS}, not {value}")
        for multiplier in self.width_multipliers:
            if not 0.1 <= multiplier <= 10:
                raise SpecError(f"width_multipliers: must be from 0.1 to 10, not {multiplier}")
        for pixels in self.resolution:
            if not 8 <= pixels <= 1024:
                raise SpecError(f"resolution: must be from 8 to 1024 pixels, not {pixels}")
        for name, least, most in (("in_channels", 1, MAX_IN_CHANNELS), ("num_classes", 1, MAX_CLASSES)):
            if getattr(self, name) < least:
                raise SpecError(f"{name}: must be at least {least}, not {getattr(self, name)}")
            if getattr(self, name) > most:
                raise SpecError(f"{name}: is too large: must be at most {most:,}, not {getattr(self, name)}")

    def _check_reachable(self) -> None:
        """Every combination of blocks that `sample` may meet must have a depth in the range."""
        first_with = {_layers(block): block for block in reversed(self.blocks)}
        for layers in self._scoped_values(tuple(first_with), self.block_scope):
            if not self._nominal_depths(layers):
                blocks = [first_with[n] for n in layers] if self.block_scope == "stage" else [first_with[layers[0]]]
                raise SpecError(f"depth: no network of {', '.join(blocks)} blocks has a depth in {list(self.depth)}")

    @staticmethod
    def _check_range(name: str, value: tuple[int, int], least: int, most: int, step: int) -> None:
        low, high = value
        if not least <= low <= high <= most or low % step or high % step:
            steps = f" in steps of {step}" if step > 1 else ""
            raise SpecError(f"{name}: must be [low, high] within {least} to {most}{steps}, not {list(value)}")

    @staticmethod
    def _check_choices(name: str, values: tuple[Any, ...]) -> None:
        if not values:
            raise SpecError(f"{name}: needs at least one choice")
        if len(set(values)) != len(values):
            raise SpecError(f"{name}: a choice is given twice in {shown(list(values))}")
        if len(values) > MAX_CHOICES:
            raise SpecError(f"{name}: too many choices: at most {MAX_CHOICES}, not {len(values)}")

    def sample(self, trial: Trial) -> ArchSpec:
        """Return the network that the parameters of a trial stand for.

        Parameters
        ----------
        trial
            Trial of Optuna, or anything else with `suggest_int` and `suggest_categorical`.

        Returns
        -------
        ArchSpec
            The network.
        """
        stages = range(1, self.num_stages + 1)
        nominal = trial.suggest_int("depth", *self.depth)
        blocks = self._suggest_scoped(trial, "block", self.block_scope, self.blocks)
        width = trial.suggest_int("base_width", *self.base_width, step=CHANNEL_STEP)
        multipliers = [1.0] + [
            trial.suggest_categorical(f"width_multiplier{i}", self.width_multipliers) for i in stages[1:]
        ]
        resolution = trial.suggest_categorical("resolution", self.resolution)
        bits = self._suggest_scoped(trial, "bits", self.bits_scope, self.bits)
        widths = tuple(stage_width(width, i, m) for i, m in enumerate(multipliers))
        return self._spec(nominal, tuple(blocks), widths, resolution, tuple(bits))

    def params_of(self, spec: ArchSpec) -> dict[str, Any]:
        """Return the parameters for which `sample` gives a network.

        Parameters
        ----------
        spec
            The network.

        Returns
        -------
        dict
            Parameter -> value, for example for ``optuna.Study.enqueue_trial``.

        Raises
        ------
        SpecError
            If the network is not in this space.
        """
        blocks = [BLOCK_CHOICES.name_of(stage.block, stage.se) for stage in spec.stages]
        params: dict[str, Any] = {"depth": spec.depth, "base_width": spec.stages[0].width}
        params |= self._scoped_params("block", self.block_scope, blocks)
        for number, stage in enumerate(spec.stages[1:], start=2):
            params[f"width_multiplier{number}"] = self._multiplier_of(number, stage.width, params["base_width"])
        params["resolution"] = spec.resolution
        params |= self._scoped_params("bits", self.bits_scope, list(spec.bits))
        self._check_params(params)
        if self.sample(FixedTrial(params)) != spec:
            raise SpecError(f"spec {spec.key} is no point of this space: stem, classes or block counts differ")
        return params

    @property
    def choices(self) -> dict[str, tuple[Any, ...]]:
        """Parameter name -> its values, in the order in which `sample` asks for them."""
        recorder = RecordingTrial()
        self.sample(recorder)
        return {name: tuple(values) for name, values in recorder.questions.items()}

    @cached_property
    def size(self) -> int:
        """Number of distinct networks that `sample` can give."""
        per_stage = self.num_stages
        layouts = 0
        for blocks in self._scoped_values(self.blocks, self.block_scope):
            layers = tuple(_layers(block) for block in blocks)
            layouts += len({blocks_per_stage(depth, layers) for depth in self._nominal_depths(layers)})
        widths = 0
        for base in range(self.base_width[0], self.base_width[1] + 1, CHANNEL_STEP):
            widths += math.prod(
                len({stage_width(base, i, m) for m in self.width_multipliers}) for i in range(1, per_stage)
            )
        bits: int = len(self.bits) ** (per_stage if self.bits_scope == "stage" else 1)
        return layouts * widths * len(self.resolution) * bits

    def _spec(
        self,
        nominal: int,
        blocks: tuple[str, ...],
        widths: tuple[int, ...],
        resolution: int,
        bits: tuple[int, ...],
    ) -> ArchSpec:
        kinds = [BLOCK_CHOICES[block] for block in blocks]
        counts = self._layout(nominal, tuple(_layers(block) for block in blocks))
        stages = tuple(
            StageSpec(
                block=kinds[i][0],
                num_blocks=counts[i],
                width=widths[i],
                stride=1 if i == 0 else 2,
                se=kinds[i][1],
                bits=bits[i],
            )
            for i in range(self.num_stages)
        )
        return ArchSpec(
            stem=self.stem,
            stem_width=stem_width(self.stem, kinds[0][0], widths[0]),
            stages=stages,
            in_channels=self.in_channels,
            resolution=resolution,
            num_classes=self.num_classes,
        )

    def _layout(self, nominal: int, layers: tuple[int, ...]) -> tuple[int, ...]:
        """Blocks per stage of the nearest depth in range, at most `nominal` where there is one."""
        depths = self._nominal_depths(layers)
        return blocks_per_stage(max((d for d in depths if d <= nominal), default=depths[0]), layers)

    def _nominal_depths(self, layers: tuple[int, ...]) -> tuple[int, ...]:
        return depths_in_range(layers, *self.depth)

    def _suggest_scoped(self, trial: Trial, name: str, scope: str, choices: tuple[Any, ...]) -> list[Any]:
        if scope == "net":
            return [trial.suggest_categorical(name, choices)] * self.num_stages
        return [trial.suggest_categorical(f"{name}{i + 1}", choices) for i in range(self.num_stages)]

    def _scoped_values(self, choices: tuple[Any, ...], scope: str) -> list[tuple[Any, ...]]:
        if scope == "net":
            return [(choice,) * self.num_stages for choice in choices]
        return list(itertools.product(choices, repeat=self.num_stages))

    def _scoped_params(self, name: str, scope: str, values: list[Any]) -> dict[str, Any]:
        if scope == "stage":
            return {f"{name}{i}": value for i, value in enumerate(values, start=1)}
        if len(set(values)) > 1:
            raise SpecError(f"{name}: differs between stages ({values}), and this space has one for the net")
        return {name: values[0]}

    def _multiplier_of(self, number: int, width: int, base: int) -> float:
        for multiplier in self.width_multipliers:
            if stage_width(base, number - 1, multiplier) == width:
                return multiplier
        raise SpecError(f"stage {number}: width {width} is no point of this space")

    def _check_params(self, params: dict[str, Any]) -> None:
        for name, allowed in self.choices.items():
            if params.get(name) not in allowed:
                raise SpecError(f"{name}: {params.get(name)!r} is not in this space ({_brief(allowed)})")


def _layers(choice: str) -> int:
    """Weighted layers of one block."""
    return BLOCKS[BLOCK_CHOICES[choice][0]].layers


def _brief(values: tuple[Any, ...]) -> str:
    shown = [str(value) for value in values]
    return ", ".join(shown) if len(shown) <= 8 else f"{shown[0]}, {shown[1]} ... {shown[-1]}"
