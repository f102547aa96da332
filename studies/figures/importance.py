"""Which parameters matter? The share of each objective's variance that each sampled parameter explains."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import plotly.graph_objects as go

from objectives.base import Objective

from ..results.study_results import StudyResults
from ..texts.wording import heading, parameter_label
from .theme import ACCENT, PAPER, draw_message, new_figure, wrapped
from .trials import nothing_evaluated

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

MIN_TRIALS = 8
FEW_NETWORKS = 50
"""With fewer the figure says that it is a guess."""
MAX_TRIALS = 200
"""Of more, so many are taken at equal distances: a forest's time grows faster than its number of trials."""
NUM_TREES = 32
MAX_CATEGORIES = 5


@dataclass(frozen=True, kw_only=True)
class ImportanceInfo:
    """What the importance's figure shows."""

    parameters: tuple[str, ...]
    """Those that differ between trials, the most important for the first objective first."""
    objectives: tuple[Objective, ...]
    shares: tuple[tuple[float, ...], ...]
    """A row for each parameter, a column for each objective; every column sums to 1, or to 0 if nothing varies."""
    networks: int
    """Distinct networks from which the shares are: of the objective that has the fewest."""
    message: str | None


def plot_importance(results: StudyResults) -> go.Figure:
    """Importance of each parameter for each objective, as a table of shares."""
    return draw_importance(importance_info(results))


def importance_info(results: StudyResults) -> ImportanceInfo:
    """What `plot_importance` draws: fANOVA (Hutter et al. 2014) of distinct networks; the same every time.

    Costs are known without training, so the rejected networks count for them as well.
    """
    distinct = results.trials.drop_duplicates("key")
    usable = [_thinned(distinct[distinct[o.name].notna()]) for o in results.objectives]
    least = min(map(len, usable))
    message = nothing_evaluated(results)
    if message is None and least < MIN_TRIALS:
        message = f"Importance needs {MIN_TRIALS} distinct evaluated networks; this study has {least}."
    if message is None and not _varying([record.params for rows in usable for record in rows["record"]]):
        message = "All networks have the same parameters."
    if message:
        return ImportanceInfo(parameters=(), objectives=results.objectives, shares=(), networks=least, message=message)
    columns = [_importance(rows, o) for rows, o in zip(usable, results.objectives, strict=True)]
    names = sorted({name for column in columns for name in column}, key=lambda n: (-columns[0].get(n, 0.0), n))
    return ImportanceInfo(
        parameters=tuple(names),
        objectives=results.objectives,
        shares=tuple(tuple(column.get(name, 0.0) for column in columns) for name in names),
        networks=least,
        message=None,
    )


def draw_importance(info: ImportanceInfo) -> go.Figure:
    """The figure of `info`."""
    if info.message:
        return draw_message(info.message)
    subtitle = "share of an objective's variance that a parameter explains by itself (fANOVA)"
    if info.networks < FEW_NETWORKS:
        subtitle += f"; a rough guess from {info.networks} networks"
    figure = new_figure("Importance of the parameters", subtitle, height=150 + 34 * len(info.parameters))
    figure.add_heatmap(
        x=[wrapped(heading(objective), 12) for objective in info.objectives],
        y=[parameter_label(name) for name in info.parameters],
        z=info.shares,
        texttemplate="%{z:.0%}",
        hovertemplate="%{y}: %{z:.1%} of %{x}<extra></extra>",
        colorscale=[[0, "#f4f7f9"], [1, ACCENT]],
        zmin=0,
        zmax=1,
        showscale=False,
        xgap=3,
        ygap=3,
    )
    figure.update_layout(
        xaxis={"side": "bottom", "showgrid": False, "showline": False, "ticks": "", "fixedrange": True},
        yaxis={
            "autorange": "reversed",
            "showgrid": False,
            "showline": False,
            "ticks": "",
            "fixedrange": True,
        },
        plot_bgcolor=PAPER,
    )
    return figure


def _thinned(rows: pd.DataFrame) -> pd.DataFrame:
    step = max(1.0, len(rows) / MAX_TRIALS)
    return rows.iloc[[int(i * step) for i in range(min(len(rows), MAX_TRIALS))]]


def _varying(sampled: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """Parameters that every trial has and that differ between trials."""
    common = [name for name in sampled[0] if all(name in values for values in sampled)]
    return tuple(name for name in common if len({values[name] for values in sampled}) > 1)


def _importance(rows: pd.DataFrame, objective: Objective) -> dict[str, float]:
    """Parameter -> share; all zero where the objective is the same for all."""
    import optuna

    sampled = [record.params for record in rows["record"]]
    names = _varying(sampled)
    losses = [objective.loss(value) for value in rows[objective.name]]
    if not names or min(losses) == max(losses):
        return dict.fromkeys(names, 0.0)
    distributions = {name: _distribution([values[name] for values in sampled]) for name in names}
    with _quiet_optuna():
        study = optuna.create_study()
        for values, loss in zip(sampled, losses, strict=True):
            params = {name: values[name] for name in names}
            study.add_trial(optuna.create_trial(params=params, distributions=distributions, value=loss))
        evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=NUM_TREES, seed=0)
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in shares.items()}


def _distribution(values: Sequence[Any]) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    # As categories, a few numbers (4, 8, 32 bits) count alike whatever their distances.
    if len(set(values)) <= MAX_CATEGORIES or any(isinstance(value, str | bool) for value in values):
        return CategoricalDistribution(sorted(set(values)))
    return FloatDistribution(min(values), max(values))


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """A rebuilt study is no news to whoever reads the log."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
