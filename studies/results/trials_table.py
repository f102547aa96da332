"""How do stored trials become the table of `StudyResults`? Row by row as they end, with the front that grows."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from objectives import OBJECTIVES, GrowingFront
from objectives.limits import violated
from objectives.pareto import hypervolume, losses, pareto_mask
from runners.storage.study_files import StorageError
from runners.trial_record import Status, TrialRecord

from ..study.record import StudyRecord
from ..texts.wording import describe_spec
from .study_results import KNOWN, keeps


class TrialsTable:
    """Grows with the trials of one study."""

    def __init__(self, record: StudyRecord) -> None:
        self._objectives = record.config.optimised
        self._limits = record.config.limits.as_limits()
        figures = (*record.config.figures, *record.metrics)
        self._figures = tuple(dict.fromkeys((*OBJECTIVES, *(figure.name for figure in figures))))
        self._metric = record.config.metric.name
        self._box = record.box
        self._front = GrowingFront(*losses(record.box, self._objectives))
        self._finished = self._table([])
        self._unfinished: list[TrialRecord] = []

    def extend(self, new: Sequence[TrialRecord]) -> bool:
        """Take up what has ended, and what runs now; whether anything has changed."""
        ended = [trial for trial in new if trial.is_told]
        running = [trial for trial in new if not trial.is_told]
        if not ended and running == self._unfinished:
            return False
        self._unfinished = running
        if ended:
            rows = self._table(ended)
            rows["hypervolume"] = self._hypervolumes(rows)
            self._finished = pd.concat([self._finished, rows], ignore_index=True) if len(self._finished) else rows
        return True

    def trials(self, confirmations: Mapping[int, Sequence[float]] = MappingProxyType({})) -> pd.DataFrame:
        """The table, by number; `confirmations` has the study's metric in further trainings by trial."""
        table = self._finished
        if self._unfinished:
            running = self._table(self._unfinished)
            table = pd.concat([table, running], ignore_index=True) if len(table) else running
        table = table.sort_values("trial", kind="stable", ignore_index=True)
        table["front"] = table["trial"].isin(self._front.members)
        return self._with_means(table, confirmations) if confirmations else table

    def _with_means(self, table: pd.DataFrame, confirmations: Mapping[int, Sequence[float]]) -> pd.DataFrame:
        """The table where a network that was trained again has the mean metric, and the front goes by it.

        So does the last hypervolume.
        """
        for trial, again in confirmations.items():
            row = table["trial"] == trial
            first = float(table.loc[row, self._metric].iloc[0])
            table.loc[row, "first_metric"] = first
            table.loc[row, "trainings"] = 1 + len(again)
            table.loc[row, self._metric] = (first + sum(again)) / (1 + len(again))
        table["feasible"] &= keeps(table, self._limits)
        names = [objective.name for objective in self._objectives]
        counts = (table["status"] == Status.COMPLETED) & table["feasible"]
        loss = losses(table[names].to_numpy(dtype=float), self._objectives)
        table["front"] = pareto_mask(loss, counts.tolist())
        box = losses(self._box, self._objectives)
        table.loc[table["finished"].idxmax(), "hypervolume"] = hypervolume(loss[counts], *box.tolist())
        return table

    def _table(self, trials: Sequence[TrialRecord]) -> pd.DataFrame:
        rows = [self._checked_row(trial) for trial in trials]
        columns: dict[str, Any] = {name: [row[name] for row in rows] for name in self._columns()}
        for name in (*self._figures, "first_metric", "float_accuracy", "duration_s"):
            columns[name] = np.array(columns[name], dtype=float)
        for name in ("started", "finished"):
            columns[name] = _timestamps(columns[name])
        for name in ("reason", "label", "key", "network", "record"):
            columns[name] = pd.Series(columns[name], dtype=object)
        table = pd.DataFrame(columns)
        table["feasible"] = table["feasible"].astype(bool)
        return table.astype({"trial": int, "status": object}).assign(front=False, hypervolume=math.nan)

    def _columns(self) -> tuple[str, ...]:
        return (
            "trial", "status", "reason", "label", "key", "network", *self._figures, "first_metric", "trainings",
            "float_accuracy", "feasible", "started", "finished", "duration_s", "images", "record",
        )  # fmt: skip

    def _checked_row(self, trial: TrialRecord) -> dict[str, Any]:
        try:
            return self._row(trial)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            what = f"{type(error).__name__}: {error}"
            raise StorageError(f"trial {trial.number} is damaged in the study's database ({what})") from None

    def _row(self, trial: TrialRecord) -> dict[str, Any]:
        is_known = trial.status in KNOWN and self._metric in trial.values
        return {
            "trial": trial.number,
            "status": trial.status,
            "reason": trial.reason,
            "label": trial.label,
            "key": trial.key,
            "network": describe_spec(trial.spec) if trial.spec else None,
            **{name: trial.figures.get(name, math.nan) for name in self._figures},
            "first_metric": math.nan,
            "trainings": int(trial.status == Status.COMPLETED),
            "float_accuracy": math.nan if trial.observation is None else trial.observation.float_accuracy,
            "feasible": is_known and not violated(self._limits, trial.values),
            "started": trial.started,
            "finished": trial.finished,
            "duration_s": trial.duration_s,
            "images": sum(rung.images for rung in trial.rungs),
            "record": trial,
        }

    def _hypervolumes(self, rows: pd.DataFrame) -> list[float]:
        """Hypervolume after each of the `rows`, in the order in which they ended; the front grows with them."""
        names = [objective.name for objective in self._objectives]
        loss = losses(rows[names].to_numpy(dtype=float), self._objectives)
        counts = ((rows["status"] == Status.COMPLETED) & rows["feasible"]).to_numpy(dtype=bool)
        numbers = rows["trial"].to_numpy()
        result = np.empty(len(rows))
        for row in rows["finished"].sort_values(kind="stable").index:
            if counts[row]:
                self._front.offer(int(numbers[row]), loss[row])
            result[row] = self._front.hypervolume
        return [float(value) for value in result]


def _timestamps(moments: Iterable[datetime | None]) -> "pd.Series[pd.Timestamp]":
    """As a column; NaT for None."""
    micros = [math.nan if moment is None else round(1e6 * moment.timestamp()) for moment in moments]
    return pd.to_datetime(pd.Series(micros, dtype=float), unit="us", utc=True)
