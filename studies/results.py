"""What did a study find? The only code that turns a study into tables; figures, report and command line read these."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from objectives import OBJECTIVES, Limit, Objective, hypervolume, knee, known_costs, pareto_mask
from objectives.base import Unsupported, costs_of
from objectives.constraints import violated
from objectives.pareto import losses
from runners.ledger import facts_of
from runners.storage import DATABASE, StorageError

from .config import to_tables
from .study import StudyRecord, open_study_record, study_references

EVALUATED = ("completed", "duplicate")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyResults:
    """One study, read at one moment.

    `trials` has a row a trial, in order, with the columns
      trial        number (int)
      status       completed, duplicate (values reused), rejected (over a limit before training), failed or running
      reason       why it was rejected or failed (str), else None
      label        name of the reference network that it is, else None
      key          key of its spec (str)
      spec         the spec as a dict
      sampled      the sampler's parameters (dict)
      accuracy, macs, latency_ms, ... : a float column for each objective by name, and for each latency on a device that
                   the study names; NaN where unknown
      latency      what was measured: objective -> dict of kind, latency_ms, p90_ms, predicted_ms, ...; {} without
      float_accuracy  accuracy before quantization; NaN where unknown
      feasible     keeps every limit (bool; False unless completed or duplicate)
      front        on the Pareto front (bool; of duplicates only the first)
      hypervolume  of the front after this trial, 0..1; NaN while it runs
      started, finished   UTC timestamps; NaT while it runs
      duration_s   training and evaluation
      curve        list of dicts: epoch, train_loss, accuracy, seconds, quantized
      observation  what the evaluation recorded (dict), else None
    """

    name: str
    directory: Path
    config: Mapping[str, Any]
    """The resolved study.toml."""
    objectives: tuple[Objective, ...]
    trials: pd.DataFrame
    references: pd.DataFrame
    """Named references at the study's resolution and classes, in float: name and one column for each cost, latencies
    included where they were measured (not trained)."""
    worst: tuple[float, ...]
    best: tuple[float, ...]
    """Corners of the hypervolume's box, in each objective's own unit."""

    @property
    def figures(self) -> tuple[Objective, ...]:
        """The objectives, then every other figure that some trial has."""
        names = dict.fromkeys((*(o.name for o in self.objectives), *OBJECTIVES, *_on_devices(self.trials)))
        optimised = {objective.name for objective in self.objectives}
        known = [n for n in names if n in optimised or (n in self.trials and self.trials[n].notna().any())]
        return tuple(OBJECTIVES[name] for name in known)

    @property
    def front(self) -> pd.DataFrame:
        """The rows of the front, best accuracy (or first objective) first."""
        first = self.objectives[0]
        return self.trials[self.trials["front"]].sort_values(first.name, ascending=not first.maximize)

    @property
    def knee_trial(self) -> int | None:
        """The trial at the knee of the front; None where the front is empty."""
        front = self.front
        if front.empty:
            return None
        values = front[[objective.name for objective in self.objectives]].to_numpy(dtype=float)
        row = knee(losses(values, self.objectives), [objective.maximize for objective in self.objectives])
        return int(front["trial"].iloc[row])

    @property
    def observation(self) -> dict[str, Any] | None:
        """What the first finished evaluation recorded; data and recipe are the same for all."""
        return next((entry for entry in self.trials["observation"] if isinstance(entry, dict)), None)

    def count(self, status: str) -> int:
        """Number of trials that ended (or are) so."""
        return int((self.trials["status"] == status).sum())


def load_results(directory: Path) -> StudyResults:
    """Read a study; raises StudyNotFound, and StorageError for a broken database. Never writes."""
    record = open_study_record(directory)
    objectives = record.config.optimised
    trials = trials_table(_read_trials(directory), record)
    return StudyResults(
        name=record.name,
        directory=directory,
        config=to_tables(record.config),
        objectives=objectives,
        trials=trials,
        references=references_table(record),
        worst=record.worst,
        best=record.best,
    )


def trials_table(trials: Sequence[FrozenTrial], record: StudyRecord) -> pd.DataFrame:
    """Optuna's trials as the table that `StudyResults` describes."""
    limits = record.config.limits.as_limits()
    figures = tuple(dict.fromkeys((*OBJECTIVES, *(figure.name for figure in record.config.figures))))
    rows = [_row(trial, figures, limits) for trial in trials if trial.state != TrialState.WAITING]
    table = pd.DataFrame(rows, columns=_columns(figures))
    table = table.astype(dict.fromkeys((*figures, "float_accuracy", "duration_s"), float))
    for name in ("started", "finished"):
        table[name] = pd.to_datetime(table[name], utc=True)
    return _with_front(table, record)


def references_table(record: StudyRecord) -> pd.DataFrame:
    """What the named references cost at the study's classes, channels and largest resolution, in float."""
    rows = []
    for name, network in study_references(record.config.space).items():
        graph = network.build_graph()
        try:
            costs = costs_of(graph, record.config.figures)
        except Unsupported:
            costs = known_costs(graph)
        rows.append({"name": name, **costs, **record.reference_latencies.get(name, {})})
    return pd.DataFrame(rows)


def _columns(figures: Sequence[str]) -> list[str]:
    return [
        "trial", "status", "reason", "label", "key", "spec", "sampled", *figures, "latency",
        "float_accuracy", "feasible", "started", "finished", "duration_s", "curve", "observation",
    ]  # fmt: skip


def _on_devices(trials: pd.DataFrame) -> list[str]:
    """Columns that are an objective on a device."""
    return [name for name in trials.columns if "@" in name]


def _read_trials(directory: Path) -> list[FrozenTrial]:
    path = directory / DATABASE
    if not path.exists():
        return []
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.load_study(study_name="resfront", storage=f"sqlite:///{path}")
        return study.get_trials(deepcopy=False)
    except (SQLAlchemyError, KeyError, ValueError) as error:
        raise StorageError(f"{path}: cannot be read as a study: {getattr(error, 'orig', error)}") from None


def _row(trial: FrozenTrial, figures: Sequence[str], limits: Sequence[Limit]) -> dict[str, Any]:
    facts = facts_of(trial)
    status = facts.get("status", "running" if trial.state == TrialState.RUNNING else "failed")
    if trial.state == TrialState.RUNNING:
        status = "running"  # its attributes may be there before it is told
    values: Mapping[str, float] = facts.get("values", facts.get("costs", {}))
    observation: dict[str, Any] | None = facts.get("observation")
    return {
        "trial": trial.number,
        "status": status,
        "reason": facts.get("reason"),
        "label": facts.get("label"),
        "key": facts.get("key"),
        "spec": facts.get("spec"),
        "sampled": dict(trial.params),
        **{name: values.get(name, math.nan) for name in figures},
        "latency": facts.get("latency", {}),
        "float_accuracy": observation["float_accuracy"] if observation else math.nan,
        "feasible": status in EVALUATED and "accuracy" in values and not violated(limits, values),
        "started": _utc(trial.datetime_start),
        "finished": _utc(trial.datetime_complete),
        "duration_s": observation["duration_s"] if observation else math.nan,
        "curve": observation["curve"] if observation else [],
        "observation": observation,
    }


def _utc(moment: Any) -> Any:
    """Optuna notes local times without a zone."""
    return None if moment is None else moment.astimezone()


def _with_front(table: pd.DataFrame, record: StudyRecord) -> pd.DataFrame:
    """Add the columns `front` and `hypervolume`."""
    objectives = record.config.optimised
    names = [objective.name for objective in objectives]
    completed = (table["status"] == "completed").to_numpy(dtype=bool)
    loss = np.full((len(table), len(names)), np.nan)
    loss[completed] = losses(table.loc[completed, names].to_numpy(dtype=float), objectives)
    feasible = table["feasible"].to_numpy(dtype=bool)
    table["front"] = pareto_mask(loss, feasible.tolist())
    box = losses((record.worst, record.best), objectives)
    table["hypervolume"] = _hypervolume_over_time(table, loss, completed & feasible, box)
    return table


def _hypervolume_over_time(table: pd.DataFrame, loss: np.ndarray, counts: np.ndarray, box: np.ndarray) -> list[float]:
    """Hypervolume after each trial in the order in which they finished; NaN for those that have not."""
    result = np.full(len(table), np.nan)
    current = 0.0
    members = np.empty((0, loss.shape[1]))
    for row in table["finished"].dropna().sort_values(kind="stable").index:
        if counts[row]:
            members = np.vstack([members, loss[row]])
            mask = pareto_mask(members)
            if mask[-1]:
                members = members[mask]
                current = hypervolume(members, *box)
            else:
                members = members[:-1]
        result[row] = current
    return [float(value) for value in result]
