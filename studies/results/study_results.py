"""What did a study find? The tables that figures, report, dashboard and command line read; `reading.py` makes them."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from objectives import OBJECTIVES, Limit, Objective, knee, metric_of
from runners.candidate import Observation
from runners.config import LimitsConfig, SearchConfig
from runners.trial_record import EVALUATED, Status
from search_space.settings import read_settings

MIN_FRONT_FOR_KNEE = 3
COLUMNS = (
    *(
        "trial",
        "status",
        "reason",
        "label",
        "key",
        "network",
        "first_metric",
        "trainings",
        "float_accuracy",
        "feasible",
    ),
    *("front", "hypervolume", "started", "finished", "duration_s", "images", "record"),
)
"""Columns of the table of trials that hold no figure of a network."""
KNOWN = (Status.COMPLETED, Status.DUPLICATE)
"""Trials whose values are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyResults:
    """Tables and facts of one study, read at one moment.

    The table `trials` has a row for each trial, in the order in which they were proposed, with these columns:

    - `trial`: number of the trial.
    - `status`: ``completed``, ``duplicate`` (values reused), ``rejected`` (over a limit before training), ``stopped``
      (trained in part), ``failed`` or ``running``.
    - `reason`: why it was rejected, stopped or failed; else None.
    - `label`: name of the reference network that it is; else None.
    - `key`: key of its spec.
    - `network`: its spec in one line.
    - `accuracy`, `macs`, `latency_ms`, ...: a float column for each objective by name, for each latency on a device
      that the study names, and for each metric that its training measures; NaN if unknown.
    - `first_metric`: the study's metric in the first training if the network was trained again, so that the metric's
      own column has a mean; else NaN.
    - `trainings`: number of trainings to the end, whose mean the metric is.
    - `float_accuracy`: accuracy of the first training before quantization; NaN if unknown.
    - `feasible`: whether it keeps every limit; False unless completed or duplicate.
    - `front`: whether it is on the Pareto front; of duplicates only the first is.
    - `hypervolume`: hypervolume of the front after this trial, from 0 to 1; NaN while it runs.
    - `started`, `finished`: timestamps in UTC; NaT while it runs.
    - `duration_s`: seconds of training and evaluation, on all rungs.
    - `images`: training images seen on all rungs, each epoch's counted; 0 if unknown.
    - `record`: the `TrialRecord`, with its spec, the sampler's parameters, measured latencies and learning curve.
    """

    name: str
    """Name of the study."""
    directory: Path
    """Folder of the study."""
    config: Mapping[str, Any]
    """The resolved study.toml."""
    objectives: tuple[Objective, ...]
    """Objectives of the study, the accuracy among them."""
    trials: pd.DataFrame
    """A row for each trial; the columns are described above."""
    references: pd.DataFrame
    """Named references at the study's resolution and classes (not trained): name, keys (of its spec at each of the
    space's bits; none for a network that is no `ArchSpec`), and a column for each cost in float, latencies included
    where they were measured."""
    class_names: tuple[str, ...]
    """Names of the classes."""
    training_images: int
    """Images that a candidate is trained on."""
    validation_images: int
    """Images that measure the accuracies."""
    validation_source: str
    """Where those come from, in words."""
    commonest_share: float
    """Share of them that are of the commonest class."""
    metrics: tuple[Objective, ...]
    """What a training of the user's own measures; empty for the built-in one, which measures the accuracy."""
    worst: tuple[float, ...]
    """Worst corner of the box of the hypervolume, in each objective's own unit."""
    best: tuple[float, ...]
    """Best corner of that box."""
    earlier_limits: tuple[tuple[str, tuple[Limit, ...]], ...] = ()
    """Limits that held before those of `config`: until when (ISO 8601, UTC), and which."""

    @property
    def metric(self) -> Objective:
        """The metric that the study is about: the accuracy, or the first that a training of the user's own has."""
        return metric_of(self.objectives)

    @property
    def worthless(self) -> float:
        """The metric of a network that has learned nothing: of the accuracy, that of the commonest class."""
        return self.metric.worthless(self.commonest_share)

    def best_first(self, trials: pd.DataFrame) -> pd.DataFrame:
        """Sort rows of the table by the study's metric, the best one first.

        Parameters
        ----------
        trials
            Rows of `trials`.

        Returns
        -------
        pandas.DataFrame
            The same rows.
        """
        return trials.sort_values(self.metric.name, ascending=not self.metric.maximize, kind="stable")

    @property
    def limits(self) -> tuple[Limit, ...]:
        """The limits that hold now."""
        return read_settings(LimitsConfig, self.config["limits"]).as_limits()

    @property
    def earlier_studies(self) -> tuple[str, ...]:
        """Names of the earlier studies of which its prior is made, SHIPPED for what the project ships."""
        return read_settings(SearchConfig, self.config["search"]).earlier_studies

    @property
    def figures(self) -> tuple[Objective, ...]:
        """The objectives, then every other figure that some trial has."""
        on_devices = [name for name in self.trials.columns if "@" in name]
        names = dict.fromkeys((*(o.name for o in (*self.objectives, *self.metrics)), *OBJECTIVES, *on_devices))
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
        row = knee(values, self.objectives, self.worthless)
        return int(front["trial"].iloc[row])

    @property
    def marked_knee(self) -> int | None:
        """The knee as tables and figures mark it: none where the front is too small for one network to stand out."""
        return self.knee_trial if self.trials["front"].sum() >= MIN_FRONT_FOR_KNEE else None

    @property
    def observation(self) -> Observation | None:
        """What the first evaluation to its end recorded; data and recipe are the same for all."""
        whole = self.of_status(Status.COMPLETED)
        return next((record.observation for record in whole["record"] if record.observation is not None), None)

    @property
    def evaluated(self) -> int:
        """Trials that count towards the number that was asked for."""
        return sum(self.count(status) for status in EVALUATED)

    @property
    def training_saved(self) -> float:
        """Share of the training images that were not looked at because trials were stopped early, rungs counted in.

        Negative where the rungs cost more than was saved; NaN where nothing has been trained.
        """
        observation = self.observation
        trained = self.of_status(Status.COMPLETED, Status.STOPPED)
        trained = trained[trained["images"] > 0]
        if observation is None or not observation.curve or trained.empty:
            return math.nan
        whole = observation.training_images * len(observation.curve)
        return 1.0 - float(trained["images"].sum()) / (whole * len(trained))

    def of_status(self, *statuses: Status) -> pd.DataFrame:
        """Return the rows of the trials with one of some states.

        Parameters
        ----------
        *statuses
            The states.
        """
        return self.trials[self.trials["status"].isin(statuses)]

    def count(self, status: Status) -> int:
        """Return the number of trials with a state.

        Parameters
        ----------
        status
            The state.
        """
        return len(self.of_status(status))


def keeps(trials: pd.DataFrame, limits: Iterable[Limit], *, unknown: bool = True) -> NDArray[np.bool_]:
    """Which of a study's `trials` keep all the limits; `unknown` is what a figure that is not known counts as.

    A latency that a profile would tell is known: where it is missing the device cannot run the network.
    """
    kept = np.full(len(trials), True)
    for limit in limits:
        values = trials[limit.objective].to_numpy(dtype=float)
        kept &= np.where(
            np.isnan(values),
            unknown and OBJECTIVES[limit.objective].source != "estimated",
            values <= limit.value if limit.kind == "max" else values >= limit.value,
        )
    return kept
