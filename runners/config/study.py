"""The configuration of a study: its objectives and limits, and a table for each part."""

from dataclasses import field

from objectives.base import OBJECTIVES, Objective, objectives_named
from objectives.limits import Limit, check_limits
from objectives.metrics import metric_of
from search_space.errors import UserError
from search_space.settings import settings
from search_space.space import SearchSpace

from .data import DataConfig
from .search import SearchConfig
from .training import TrainingConfig
from .workers import LatencyConfig, WorkersConfig


@settings
class LimitsConfig:
    """Limits on any known objective: over-budget candidates are rejected before training.

    Raises UserError for an unknown objective, and for a minimum above the maximum of the same one.
    """

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


@settings
class StudyConfig:
    """All that defines a study; `studies/study/config.py` reads it from a preset or a TOML file."""

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
        if all(objective.known for objective in self.optimised):
            metric = "a metric of training.evaluator" if self.training.evaluator else "accuracy"
            raise UserError(f"objectives: {metric} must be among them; all else is known without a training")
        if self.search.rungs and not self.training.images:
            raise UserError("search.rungs: needs training.images, the number of which a rung takes its share")

    @property
    def optimised(self) -> tuple[Objective, ...]:
        """The objectives, in the study's order."""
        return objectives_named(self.objectives)

    @property
    def metric(self) -> Objective:
        """The metric that the study is about: what is learned, and gained within budgets."""
        return metric_of(self.optimised)

    @property
    def figures(self) -> tuple[Objective, ...]:
        """The objectives, and what else is limited."""
        limited = [OBJECTIVES[limit.objective] for limit in self.limits.as_limits()]
        return tuple({o.name: o for o in (*self.optimised, *limited)}.values())
