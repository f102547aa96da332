"""What can be set about training, data, search and workers? Plain frozen values, checked when they are made.

No torch here: the command line reads these before it knows whether it needs any.
"""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Literal

from objectives.base import OBJECTIVES, Objective, objectives_named
from objectives.limits import Limit, check_limits
from objectives.machine import usable_cores
from search_space.errors import UserError, cut
from search_space.space import SearchSpace

CONVENTIONS = 3
"""Version of how images are normalised, tensors quantized and accuracies measured: of what an accuracy depends on
besides a configuration.

To be raised when that changes. Weights, recipes and studies of another version are refused, not mixed.
"""
CONFIRMED, TRIALS_TO_CONFIRM = 2, 16
"""Networks that are trained once more at the end of a study, and the trials from which on."""
MOST_REPEATED = 20
"""How many times as many epochs a data set has that holds fewer images than a candidate is to see."""
MOST_EPOCHS, MOST_THREADS = 10_000, 1024
MOST_IMAGES, MOST_TRIALS, MOST_SECONDS = 10**9, 10**6, 10**9
SHIPPED, NO_STUDY = "shipped", "none"
"""Stand for the trainings that the project ships, and for leaving them out, among names of studies."""
LEARNING_SAMPLER = "front"
"""The one that knows from earlier studies what to expect."""
_DEVICE = re.compile(r"cpu|cuda(:[0-9]{1,4})?")
_FORBID_UNKNOWN_KEYS = {"extra": "forbid"}


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The proxy schedule: how many images, epochs and pixels, and the recipe."""

    __pydantic_config__: ClassVar[dict[str, str]] = _FORBID_UNKNOWN_KEYS

    images: int = 0
    """Training images a candidate sees, a stratified subset; 0 means all. Of fewer all are seen, in more epochs
    (`for_images`)."""
    validation_images: int = 2000
    """Held-out images that measure the accuracy, a stratified subset; 0 means all that are held out."""
    epochs: int = 6
    resolution_scale: float = 1.0
    """The first epochs train at this share of a candidate's own resolution, in pixels a side (progressive resizing)."""
    full_resolution_fraction: float = 0.34
    """Share of the epochs, the last ones and at least one, that train at a candidate's own resolution, at which its
    accuracy is measured (benchmarks/proxy_resolution.py); without effect where `resolution_scale` is 1."""
    batch_size: int = 128
    learning_rate: float = 0.2
    """Peak of the one-cycle schedule."""
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    crop: bool = True
    """Random crops of the image padded by an eighth of its size."""
    flip: bool = True
    """Random horizontal flips."""
    cutout: float = 0.0
    """Side of a random square set to the mean, as a share of the image's; 0 means none."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of training: auto takes bfloat16 where the hardware has it and the network gains from it."""
    compile: bool = False
    """Whether torch.compile makes the training step (a C++ compiler is wanted, on a GPU Triton too). It takes half a
    minute or more to begin with, so it is for long trainings (benchmarks/full_training.py)."""
    qat_fraction: float = 0.34
    """Share of the epochs, the last ones, that train with quantization where bits are below 8."""

    def __post_init__(self) -> None:
        _check_at_least(self, "images", 0, MOST_IMAGES)
        _check_at_least(self, "validation_images", 0, MOST_IMAGES)
        _check_range(self, "epochs", 1, MOST_EPOCHS)
        _check_range(self, "resolution_scale", 0.1, 1.0)
        _check_range(self, "full_resolution_fraction", 0.0, 1.0)
        _check_range(self, "batch_size", 2, 65_536)
        _check_range(self, "learning_rate", 1e-6, 10.0)
        _check_range(self, "momentum", 0.0, 0.999)
        _check_range(self, "weight_decay", 0.0, 1.0)
        _check_range(self, "label_smoothing", 0.0, 0.9)
        _check_range(self, "cutout", 0.0, 1.0)
        _check_range(self, "qat_fraction", 0.0, 1.0)

    def for_images(self, available: int) -> "TrainingConfig":
        """Return the schedule for a data set of so many training images.

        Where `images` asks for more than there are, it has more epochs, so that a candidate sees as many images in all,
        at most MOST_REPEATED times as many epochs: a few images in a few epochs are too few steps to learn anything.
        """
        if not available < self.images:
            return self
        factor = min(self.images / available, MOST_REPEATED)
        return replace(self, images=available, epochs=min(MOST_EPOCHS, round(self.epochs * factor)))

    def reduced_resolution(self, resolution: int) -> int:
        """Return the pixels at which the first epochs of a candidate of this resolution train."""
        return max(8, round(resolution * self.resolution_scale))

    @property
    def reduced_epochs(self) -> int:
        """Number of epochs, the first ones, at `resolution_scale` of the resolution; never the last epoch."""
        if self.resolution_scale == 1.0:
            return 0
        return self.epochs - max(1, round(self.epochs * self.full_resolution_fraction))

    @property
    def qat_epochs(self) -> int:
        """Epochs of quantization-aware training for a candidate below 8 bits; one epoch at least stays float."""
        return min(max(1, round(self.epochs * self.qat_fraction)), self.epochs - 1)


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where the images come from."""

    __pydantic_config__: ClassVar[dict[str, str]] = _FORBID_UNKNOWN_KEYS

    name: str = "fashion-mini"
    path: Path | None = None
    """The data set's folder or archive; by default where the data set usually is."""
    resolution: int | None = None
    """Pixels to which an image folder is decoded; the built-in data sets have their own."""
    validation_fraction: float = 0.1
    """Share of the training images held out, stratified; unused where the data brings its own validation split."""
    seed: int = 0
    """Of the validation split and of every reduced subset."""

    def __post_init__(self) -> None:
        _check_range(self, "validation_fraction", 0.01, 0.9)
        _check_range(self, "seed", 0, 2**31 - 1)
        if self.resolution is not None:
            _check_range(self, "resolution", 8, 1024)


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """How candidates are proposed, and when the study ends."""

    __pydantic_config__: ClassVar[dict[str, str]] = _FORBID_UNKNOWN_KEYS

    sampler: str = "front"
    trials: int = 50
    """Evaluated candidates in all, earlier runs of the study included; rejected ones and duplicates cost nothing."""
    timeout_s: float | None = None
    """No new candidate is started after this many seconds of one run."""
    rungs: tuple[float, ...] = ()
    """Shares of the training that come before all of it, each a complete schedule of its own: 0.0625, 0.25 for example.

    Whoever cannot reach the front any more goes no further.
    """
    stop_confidence: float = 0.95
    """How sure it must be that a trial cannot reach the front before it is stopped; 0 stops none.

    It holds for a trial's whole training: each of the points at which it may stop has a share of the doubt.
    """
    seed: int = 0
    references: tuple[str, ...] = ()
    """Networks of the space that are evaluated first, by name: those that keep the limits, at 8 bits where these do."""
    block_starts: bool = True
    """Whether one network of each block near the limits comes next, before the sampler proposes any.

    Without effect where earlier studies say what each block is worth (`like`).
    """
    like: tuple[str, ...] = ()
    """Earlier studies that tell the sampler `front` what to expect, beside what the project ships.

    With NO_STUDY among them, these alone.
    """
    confirm: int | None = None
    """Best networks within the limits that are trained once more at the end, with another seed; 0 is off.

    It goes on until the best by the mean is one of them, with twice as many trainings at most. By default CONFIRMED
    with TRIALS_TO_CONFIRM trials or more, else none.
    """

    def __post_init__(self) -> None:
        _check_at_least(self, "trials", 1, MOST_TRIALS)
        if self.confirm is not None:
            _check_range(self, "confirm", 0, 100)
        _check_range(self, "seed", 0, 2**31 - 1)
        if self.stop_confidence and not 0.5 <= self.stop_confidence <= 0.999:
            raise UserError(
                f"stop_confidence: must be 0 (nobody stops) or from 0.5 to 0.999, not {self.stop_confidence:g}"
            )
        if list(self.rungs) != sorted(set(self.rungs)) or not all(0.001 <= share < 1 for share in self.rungs):
            raise UserError(
                f"rungs: must be rising shares of the training from 0.001 to below 1, not {list(self.rungs)}"
            )
        if self.rungs and not self.stop_confidence:
            raise UserError("rungs: need a stop_confidence, 0.95 by default; without it nobody stops on them")
        if self.timeout_s is not None:
            _check_at_least(self, "timeout_s", 0.0, MOST_SECONDS)
        if self.sampler != LEARNING_SAMPLER and set(self.like) - {NO_STUDY}:
            raise UserError(
                f"like: the sampler {self.sampler} learns nothing from earlier studies; only {LEARNING_SAMPLER} does"
            )

    @property
    def earlier_studies(self) -> tuple[str, ...]:
        """Names of the earlier studies that tell what to expect, SHIPPED for what the project ships."""
        if self.sampler != LEARNING_SAMPLER:
            return ()
        usual = () if NO_STUDY in self.like else (SHIPPED,)
        return (*usual, *(name for name in dict.fromkeys(self.like) if name not in (NO_STUDY, *usual)))

    @property
    def confirmations(self) -> int:
        """Networks that are trained once more."""
        if self.confirm is not None:
            return self.confirm
        return CONFIRMED if self.trials >= TRIALS_TO_CONFIRM else 0


@dataclass(frozen=True, kw_only=True)
class WorkersConfig:
    """Where candidates are trained."""

    __pydantic_config__: ClassVar[dict[str, str]] = _FORBID_UNKNOWN_KEYS

    workers: int = 1
    """Processes that train side by side."""
    threads: int = 0
    """Threads of each worker; 0 shares the machine's cores out.

    Only 1 thread gives the same digits every time, and that on one kind of processor.
    """
    device: str = "cpu"
    """'cpu', 'cuda' (workers share out the GPUs) or 'cuda:N'."""
    trial_timeout_s: float = 7200.0
    """A trial that takes longer, or hangs, is ended as failed."""

    def __post_init__(self) -> None:
        _check_range(self, "workers", 1, 1024)
        _check_range(self, "threads", 0, MOST_THREADS)
        _check_at_least(self, "trial_timeout_s", 0.01, MOST_SECONDS)
        if not _DEVICE.fullmatch(self.device):
            raise UserError(f"device: must be cpu, cuda or cuda:N, not '{cut(self.device)}'")

    @property
    def threads_per_worker(self) -> int:
        """Threads of each worker, shared out where the number is left open."""
        return self.threads or max(1, usable_cores() // self.workers)


@dataclass(frozen=True, kw_only=True)
class LatencyConfig:
    """How latencies are measured, where an objective or a limit asks for one."""

    __pydantic_config__: ClassVar[dict[str, str]] = _FORBID_UNKNOWN_KEYS

    threads: int = 1
    """Of the runtime; batch 1."""

    def __post_init__(self) -> None:
        _check_range(self, "threads", 1, MOST_THREADS)


def _check_range(config: object, name: str, low: float, high: float) -> None:
    value = getattr(config, name)
    if not low <= value <= high:
        raise UserError(f"{name}: must be from {low:g} to {high:g}, not {value}")


def _check_at_least(config: object, name: str, low: float, most: int) -> None:
    """Like `_check_range`, for what has an upper bound only because nothing holds more."""
    value = getattr(config, name)
    if value > most:
        raise UserError(f"{name}: is too large: must be at most {most:,}, not {value}")
    if not low <= value:
        raise UserError(f"{name}: must be at least {low:g}, not {value}")


@dataclass(frozen=True, kw_only=True)
class LimitsConfig:
    """Limits on any known objective: over-budget candidates are rejected before training.

    Raises UserError for an unknown objective, and for a minimum above the maximum of the same one.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = _FORBID_UNKNOWN_KEYS

    max: dict[str, float] = field(default_factory=dict)
    min: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.as_limits()
        for kind in ("max", "min"):
            object.__setattr__(self, kind, {OBJECTIVES[name].name: v for name, v in getattr(self, kind).items()})
        check_limits(self.as_limits())

    def as_limits(self) -> tuple[Limit, ...]:
        """One `Limit` for each entry; raises UserError for an unknown objective."""
        return (
            *(Limit(objective=name, kind="max", value=value) for name, value in self.max.items()),
            *(Limit(objective=name, kind="min", value=value) for name, value in self.min.items()),
        )


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """All that defines a study; `studies/study/config.py` reads it from a preset or a TOML file."""

    __pydantic_config__: ClassVar[dict[str, str]] = _FORBID_UNKNOWN_KEYS

    objectives: tuple[str, ...] = ("accuracy", "macs")
    """2 to 4 names; the front is traced between them."""
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    space: SearchSpace = field(default_factory=SearchSpace)
    data: DataConfig = field(default_factory=DataConfig)
    latency: LatencyConfig = field(default_factory=LatencyConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    workers: WorkersConfig = field(default_factory=WorkersConfig)

    def __post_init__(self) -> None:
        object.__setattr__(self, "objectives", tuple(o.name for o in objectives_named(self.objectives)))
        if not 2 <= len(self.objectives) <= 4:
            raise UserError(f"objectives: needs 2 to 4 of them, not {len(self.objectives)}")
        if not any(OBJECTIVES[name].source == "trained" for name in self.objectives):
            raise UserError("objectives: accuracy must be among them; all else is known without a training")
        if self.search.rungs and not self.training.images:
            raise UserError("search.rungs: needs training.images, the number of which a rung takes its share")

    @property
    def optimised(self) -> tuple[Objective, ...]:
        """The objectives, in the study's order."""
        return objectives_named(self.objectives)

    @property
    def figures(self) -> tuple[Objective, ...]:
        """The objectives, and what else is limited."""
        limited = [OBJECTIVES[limit.objective] for limit in self.limits.as_limits()]
        return tuple({o.name: o for o in (*self.optimised, *limited)}.values())
