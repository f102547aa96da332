"""Which network is best within a budget? Among those that a study has evaluated, with the one to weigh it against."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from objectives import OBJECTIVES, Limit, Objective
from objectives.base import Unsupported
from objectives.devices import profile_names
from objectives.metrics import metric_of
from objectives.pareto import losses
from runners.trial_record import Status
from search_space.architectures import architecture_from_dict
from search_space.errors import UserError
from search_space.texts.counting import count_of

from ..results.study_results import KNOWN, StudyResults, keeps
from ..texts.wording import format_value
from .trade import MANY_TIMES, noun, points, share, times, trade


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Recommendation:
    """The best network within some limits, or what stands in the way of one."""

    goal: Objective
    """What the best network is best at."""
    limits: tuple[Limit, ...]
    """The limits that were asked for."""
    considered: int
    """Networks that the study evaluated and that keep its own limits."""
    remaining: int
    """Of those the ones that keep every one of `limits`, and whose goal is known."""
    best: int | None = None
    """Its trial; None where none remains."""
    runner_up: int | None = None
    """The next by the goal that is better than `best` in some objective of the study; just the next where none is."""
    trade: str = ""
    """What the runner-up gains and pays against the best."""
    binding: tuple[Limit, ...] = ()
    """Where none remains: the limits without one of which some would; without such a one, those `nearest` exceeds."""
    nearest: int | None = None
    """Where none remains: the trial whose worst excess is the smallest; None where it is not known of any."""
    excess: tuple[str, ...] = ()
    """How far `nearest` is beyond each limit that it exceeds: `latency_ms 0.0766 ms, over 0.05 ms by 53 %`."""

    def __repr__(self) -> str:
        networks = f"{self.remaining} of {count_of(self.considered, 'network')} within the limits"
        if self.best is None:
            nearest = "" if self.nearest is None else f"; nearest: trial {self.nearest}, {'; '.join(self.excess)}"
            return f"<Recommendation: none; {networks}{nearest}>"
        second = "" if self.runner_up is None else f"; runner-up: trial {self.runner_up}, {self.trade}"
        return f"<Recommendation: trial {self.best} is best by {self.goal.name}; {networks}{second}>"


def recommend(results: StudyResults, limits: Sequence[Limit], *, goal: str | None = None) -> Recommendation:
    """The best network by `goal` among those that keep `limits` and the study's own; ties go to the lower first cost.

    Without a `goal` that is the study's metric, or its first cost where the metric is limited and no cost is.
    Raises UserError for an unknown goal, and for a figure that the study lacks and that cannot be computed.
    """
    aim = OBJECTIVES[goal] if goal is not None else _default_goal(results, limits)
    figures = (*(limit.objective for limit in limits), aim.name)
    results = with_figures(results, figures)
    table = considered(results, figures)
    found = Recommendation(goal=aim, limits=tuple(limits), considered=len(table), remaining=0)
    if table.empty:
        return found
    table = _best_first(table[table[aim.name].notna()], results.objectives, aim)
    kept = np.stack([np.full(len(table), True), *(keeps(table, [limit], unknown=False) for limit in limits)])
    remaining = table.iloc[np.flatnonzero(kept.all(axis=0))]
    if len(remaining):
        return _with_best(replace(found, remaining=len(remaining)), results, remaining)
    return _with_nearest(found, table, ~kept[1:]) if len(table) else found


def considered(results: StudyResults, figures: Iterable[str] = ()) -> pd.DataFrame:
    """The distinct evaluated networks that have every objective and keep the study's limits.

    Columns: trial, the objectives, and `figures`, as far as the study has them.
    """
    trials = results.trials
    names = [objective.name for objective in results.objectives]
    chosen = (
        (trials["status"] == Status.COMPLETED) & trials["feasible"].astype(bool) & trials[names].notna().all(axis=1)
    )
    columns = [name for name in dict.fromkeys(("trial", *names, *figures)) if name in trials]
    return trials[columns][chosen]


def with_figures(results: StudyResults, names: Iterable[str]) -> StudyResults:
    """The results with a column for each of the objectives `names` that they lack and that the specs alone determine.

    Computed for the evaluated networks, a fraction of a millisecond each; NaN where a device cannot run one.
    Raises UserError for a figure that only the search could have found.
    """
    trials = results.trials
    missing = [objective for objective in (OBJECTIVES[name] for name in names) if not _has(trials, objective)]
    rows = trials.index[trials["status"].isin(KNOWN)]
    for objective in missing:
        if objective.compute is None:
            if rows.empty:
                continue
            raise UserError(_lacks(results, objective))
        values = [_computed(objective, record.spec) for record in trials.loc[rows, "record"]]
        trials = trials.assign(**{objective.name: pd.Series(values, index=rows, dtype=float)})
    return replace(results, trials=trials) if missing else results


def _has(trials: pd.DataFrame, objective: Objective) -> bool:
    """What is computed may be NaN throughout; what is not and is NaN throughout was never found."""
    return objective.name in trials and (objective.compute is not None or bool(trials[objective.name].notna().any()))


def _lacks(results: StudyResults, objective: Objective) -> str:
    known = ", ".join(figure.name for figure in results.figures)
    return (
        f"{objective.name}: is {objective.source} during a search, and study {results.name} has none; it has {known} "
        "(latency_ms@DEVICE can be estimated afterwards, for each of `resfront devices`)"
    )


def _computed(objective: Objective, spec: Any) -> float:
    if objective.device in profile_names():  # a profile of the user's own may change
        return _estimated(objective.name, json.dumps(spec))
    return _figure(objective, spec)


@lru_cache(maxsize=2**15)
def _estimated(name: str, spec: str) -> float:
    """A figure that the dashboard asks for whenever a trial has ended."""
    return _figure(OBJECTIVES[name], json.loads(spec))


def _figure(objective: Objective, spec: Any) -> float:
    assert objective.compute is not None
    try:
        return float(objective.compute(architecture_from_dict(dict(spec)).build_graph()))
    except Unsupported:
        return math.nan


def _default_goal(results: StudyResults, limits: Sequence[Limit]) -> Objective:
    """Who limits the metric alone wants the cheapest network that is good enough."""
    if limits and not any(limit.known for limit in limits):
        return _first_cost(results.objectives, results.metric)
    return results.metric


def _first_cost(objectives: Sequence[Objective], metric: Objective) -> Objective:
    return next(objective for objective in objectives if objective != metric)


def _best_first(table: pd.DataFrame, objectives: Sequence[Objective], goal: Objective) -> pd.DataFrame:
    """By the goal, then by the first cost, then by the other objectives, so that no tie is left to a dominated one."""
    first_cost = _first_cost(objectives, metric_of(objectives))
    keys = list({each.name: each for each in (goal, first_cost, *objectives)}.values())
    loss = losses(table[[key.name for key in keys]].to_numpy(dtype=float), keys)
    return table.iloc[np.lexsort(loss.T[::-1])]


def _with_best(found: Recommendation, results: StudyResults, remaining: pd.DataFrame) -> Recommendation:
    """`remaining` is sorted, best first."""
    trials = remaining["trial"].to_numpy(dtype=int)
    if len(trials) == 1:
        return replace(found, best=int(trials[0]))
    loss = losses(remaining[[o.name for o in results.objectives]].to_numpy(dtype=float), results.objectives)
    better_somewhere = (loss < loss[0]).any(axis=1)
    second = int(np.argmax(better_somewhere)) if better_somewhere.any() else 1
    words = trade(results, int(trials[second]), int(trials[0]), also=(found.goal,))
    if not better_somewhere.any():
        words += "; better in none of the study's objectives"
    return replace(found, best=int(trials[0]), runner_up=int(trials[second]), trade=words)


def _with_nearest(found: Recommendation, table: pd.DataFrame, broken: NDArray[np.bool_]) -> Recommendation:
    """`broken` (limits, networks): which limits each network exceeds."""
    only = broken & (broken.sum(axis=0) == 1)
    binding = [limit for limit, alone in zip(found.limits, only.any(axis=1), strict=True) if alone]
    worst = np.stack([_excess(limit, table) for limit in found.limits]).max(axis=0)
    if np.isinf(worst).all():
        return replace(found, binding=tuple(binding or found.limits))
    row = int(np.argmin(worst))
    nearest = table.iloc[row]
    exceeded = [limit for limit, is_broken in zip(found.limits, broken[:, row], strict=True) if is_broken]
    return replace(
        found,
        binding=tuple(binding or exceeded),
        nearest=int(nearest["trial"]),
        excess=tuple(_excess_words(limit, float(nearest[limit.objective])) for limit in exceeded),
    )


def _excess(limit: Limit, table: pd.DataFrame) -> NDArray[np.float64]:
    """How far each network is beyond the limit, in `Objective.loss`'s scale; infinitely where that is not known."""
    objective = OBJECTIVES[limit.objective]
    figure = table[limit.objective].to_numpy(dtype=float)
    beyond = losses(figure[:, None], [objective])[:, 0] - objective.loss(limit.value)
    is_too_high_a_loss = (limit.kind == "max") != objective.maximize
    return np.where(np.isnan(beyond), np.inf, beyond if is_too_high_a_loss else -beyond)


def _excess_words(limit: Limit, value: float) -> str:
    objective = OBJECTIVES[limit.objective]
    if objective.unit == "fraction":
        by = points(value - limit.value)
    elif not objective.known:
        by = format_value(objective, abs(value - limit.value))
    else:
        ratio = value / limit.value
        by = share(abs(ratio - 1)) if ratio < MANY_TIMES else f"a factor of {times(ratio).removesuffix(' times')}"
    side = "over" if limit.kind == "max" else "under"
    return f"{noun(objective)} {format_value(objective, value)}, {side} {format_value(objective, limit.value)} by {by}"
