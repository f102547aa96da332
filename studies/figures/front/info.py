"""Which networks are worth choosing between? What the front's picture shows: points in groups, staircase, knee."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import pandas as pd

from objectives.base import Objective
from objectives.limits import Limit

from ...results.study_results import StudyResults, keeps
from ...texts.wording import count_by_status
from ..theme import is_log
from ..trials import column, drawable, hover_texts, nothing_evaluated
from .references import Reference, references_within

Group = Literal["front", "dominated", "infeasible", "rejected", "failed", "stopped"]
WITHOUT_METRIC: tuple[Group, ...] = ("rejected", "failed", "stopped")


class FrontPoint(NamedTuple):
    """One trial."""

    trial: int
    x: float
    y: float
    """NaN where it is not known, as the accuracy of what was rejected before training."""
    third: float
    """Value of the figure that is shown as colour or size; NaN where there is none."""
    reference: str | None
    """Name of the reference network that it is."""
    within: bool
    """Keeps the limits that the reader has set."""
    text: str
    """What the pointer shows."""


@dataclass(frozen=True, kw_only=True)
class FrontInfo:
    """What the front's figure shows."""

    x: Objective
    y: Objective
    x_log: bool
    y_log: bool
    third: Objective | None
    groups: dict[Group, tuple[FrontPoint, ...]]
    """Each by rising x. Of what has no accuracy (rejected, failed, stopped early) all that have an x."""
    staircase: tuple[FrontPoint, ...]
    """The front's points that no other one beats in x and y; with two objectives all of them."""
    knee: FrontPoint | None
    selected: FrontPoint | None
    references: tuple[Reference, ...]
    """Not of the study, within the range of x; those with a y were trained as the study trains."""
    limits: tuple[Limit, ...]
    """Of the study and of the reader, on x or y."""
    not_drawn: str
    """Number of trials without a point of their own, by status."""
    message: str | None
    """Why there is nothing to draw."""

    @property
    def front(self) -> tuple[FrontPoint, ...]:
        return self.groups["front"]

    @property
    def dominated(self) -> tuple[FrontPoint, ...]:
        return self.groups["dominated"]

    @property
    def infeasible(self) -> tuple[FrontPoint, ...]:
        """Evaluated, and over one of the study's limits."""
        return self.groups["infeasible"]

    @property
    def points(self) -> tuple[FrontPoint, ...]:
        """All that were evaluated."""
        return self.infeasible + self.dominated + self.front

    @property
    def is_scaled(self) -> bool:
        """Whether the third figure tells the front's points apart."""
        return self.third is not None and len({point.third for point in self.front}) > 1


def front_info(
    results: StudyResults,
    x: str | None = None,
    y: str | None = None,
    *,
    third: str | None = None,
    log: tuple[bool | None, bool | None] = (None, None),
    within: Sequence[Limit] = (),
    selected: int | None = None,
) -> FrontInfo:
    """What `plot_front` draws; raises UserError for unknown names.

    `y` is by default the study's metric, `x` the first objective that is not `y`, `third` the next one ('' for none);
    `log` says for each axis whether it is logarithmic, by default where costs are; points beyond the limits `within`
    stand back.
    """
    up = results.metric if y is None else column(results, y)
    across = column(results, x) if x is not None else next(o for o in results.objectives if o != up)
    scale = _third(results, third, (across.name, up.name))
    trials = results.trials
    drawn = drawable(results).dropna(subset=[across.name, up.name])
    others = trials[trials["status"].isin(WITHOUT_METRIC) & trials[across.name].notna()]
    points = _points(pd.concat([drawn, others]), results, (across, up), scale, within)
    groups = _groups(drawn, others, points)
    chosen = [points[number] for number in drawn["trial"].tolist()]
    knee = results.marked_knee
    return FrontInfo(
        x=across,
        y=up,
        x_log=is_log(across) if log[0] is None else log[0],
        y_log=is_log(up) if log[1] is None else log[1],
        third=scale,
        groups=groups,
        staircase=_staircase(groups["front"], across, up),
        knee=None if knee is None else points.get(knee),
        selected=None if selected is None else points.get(selected),
        references=references_within(results, across, up, [point.x for point in chosen]),
        limits=tuple(_limits(results, within, (across.name, up.name))),
        not_drawn=not_drawn(results, across, up),
        message=nothing_evaluated(results),
    )


def not_drawn(results: StudyResults, x: Objective, y: Objective) -> str:
    """Number of trials without a point of their own on these axes, by status."""
    trials = results.trials
    is_evaluated = trials["trial"].isin(drawable(results)["trial"]) & trials[y.name].notna()
    has_point = (is_evaluated | trials["status"].isin(WITHOUT_METRIC)) & trials[x.name].notna()
    return count_by_status(trials["status"][~has_point])


def _third(results: StudyResults, name: str | None, taken: tuple[str, str]) -> Objective | None:
    if name is None:
        return next((o for o in results.objectives if o.name not in taken), None)
    return column(results, name) if name else None


def _points(
    rows: pd.DataFrame,
    results: StudyResults,
    axes: tuple[Objective, Objective],
    third: Objective | None,
    within: Sequence[Limit],
) -> dict[int, FrontPoint]:
    """Trial -> point."""
    numbers = rows["trial"].tolist()
    shown = tuple({o.name: o for o in (*results.objectives, *axes)}.values())
    columns = zip(
        numbers,
        rows[axes[0].name].tolist(),
        rows[axes[1].name].tolist(),
        rows[third.name].tolist() if third else [math.nan] * len(rows),
        [label if isinstance(label, str) else None for label in rows["label"].tolist()],
        keeps(rows, within).tolist(),
        hover_texts(rows, shown),
        strict=True,
    )
    return dict(zip(numbers, map(FrontPoint._make, columns), strict=True))


def _groups(
    drawn: pd.DataFrame, others: pd.DataFrame, points: dict[int, FrontPoint]
) -> dict[Group, tuple[FrontPoint, ...]]:
    def chosen(rows: pd.DataFrame) -> tuple[FrontPoint, ...]:
        return tuple(sorted((points[number] for number in rows["trial"].tolist()), key=lambda p: (p.x, p.trial)))

    on_front, feasible = drawn["front"].astype(bool), drawn["feasible"].astype(bool)
    return {
        "front": chosen(drawn[on_front]),
        "dominated": chosen(drawn[feasible & ~on_front]),
        "infeasible": chosen(drawn[~feasible & ~on_front]),
        **{status: chosen(others[others["status"] == status]) for status in WITHOUT_METRIC},
    }


def _staircase(front: Sequence[FrontPoint], x: Objective, y: Objective) -> tuple[FrontPoint, ...]:
    steps: list[FrontPoint] = []
    for point in sorted(front, key=lambda p: (x.loss(p.x), y.loss(p.y))):
        if not steps or y.loss(point.y) < y.loss(steps[-1].y):
            steps.append(point)
    return tuple(steps)


def _limits(results: StudyResults, within: Sequence[Limit], names: Sequence[str]) -> Iterable[Limit]:
    of_study = results.limits
    return (limit for limit in dict.fromkeys((*of_study, *within)) if limit.objective in names)
