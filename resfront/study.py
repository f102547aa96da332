"""A study from Python: look at it, choose from it, take a network home, and go on with it."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runners.search.coordinator import Ending
from runners.search.events import EpochEvent, TrialEvent
from runners.trial_record import TrialRecord
from search_space.errors import UserError, unknown_name
from studies.analysis.recommendation import Recommendation
from studies.analysis.recommendation import recommend as recommend_trial
from studies.launch.start import resumed_study
from studies.results.reading import StudyReader
from studies.results.study_results import StudyResults
from studies.study.record import StudyRecord, open_study_record

from .overrides import changes_of, limit_changes, limits_of
from .progress import say
from .running import run

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

RUNS = Path("runs")
"""Folder that holds the studies of a program that names none."""
Amounts = Mapping[str, float | str]
"""Limits as a mapping from objectives to amounts.

An amount is a number in the unit of the objective, or a text such as ``"350kB"``, ``"2 ms"`` or ``"60 %"``.
"""


class Study:
    """A study on disk: its trials, its Pareto front, and what can be done with them.

    `search` and `open_study` return one. Each call reads what is new in the database, so a study can be read while it
    runs, in this process or in another.

    Parameters
    ----------
    directory
        Folder of the study.

    Raises
    ------
    UserError
        If the folder holds no study.
    """

    def __init__(self, directory: Path) -> None:
        directory = directory.absolute()  # the program may change its directory
        self._record = open_study_record(directory)
        self._reader = StudyReader(directory)
        self.ending: Ending | None = None
        """How the search of this process ended: ``done``, ``timeout`` or ``interrupted``; None before it has ended."""

    @property
    def name(self) -> str:
        """Name of the study."""
        return self._record.name

    @property
    def directory(self) -> Path:
        """Folder of the study."""
        return self._record.directory

    @property
    def results(self) -> StudyResults:
        """All tables and facts of the study as it is now.

        Raises
        ------
        UserError
            If the files of the study have been removed or are damaged.
        """
        return self._reader.read()

    def trials(self) -> "pd.DataFrame":
        """Return the table of all trials, one row each, in the order in which they were proposed.

        Returns
        -------
        pandas.DataFrame
            `StudyResults` describes the columns. Accuracies are fractions, costs have the units of their names
            (``latency_ms``, ``file_bytes``), and what is not known is NaN.
        """
        return self.results.trials

    def front(self) -> "pd.DataFrame":
        """Return the trials on the Pareto front.

        Returns
        -------
        pandas.DataFrame
            The rows of `trials` that are on the front, the most accurate network first.
        """
        return self.results.front

    def record(self, trial: int) -> TrialRecord:
        """Return what is known of one trial: its spec, measured latencies, learning curve and provenance.

        Parameters
        ----------
        trial
            Number of the trial.

        Returns
        -------
        TrialRecord
            The record of the trial as far as it has got.

        Raises
        ------
        UserError
            If the study has no such trial.
        """
        trials = self.trials()
        found = trials.loc[trials["trial"] == trial, "record"]
        if found.empty:
            raise UserError(f"{self.name}: no trial {trial}; there are {len(trials)}")
        record: TrialRecord = found.iloc[0]
        return record

    def recommend(
        self, max: Amounts | None = None, min: Amounts | None = None, *, goal: str | None = None
    ) -> Recommendation:
        """Recommend the best network within some limits and the study's own, and the next best to compare it with.

        Parameters
        ----------
        max
            Upper limits: objective -> amount, for example ``{"latency_ms": 2, "file_bytes": "350kB"}``.
        min
            Lower limits: objective -> amount, for example ``{"accuracy": 0.6}``.
        goal
            Objective that the network is to be best at. By default it is the accuracy, or the study's first cost if
            the accuracy is limited and no cost is.

        Returns
        -------
        Recommendation
            The trials of both networks; if no network keeps the limits, the limits that stand in the way.

        Raises
        ------
        UserError
            If an objective is unknown, an amount cannot be read, or the study lacks a figure that cannot be computed
            afterwards.
        """
        limits = [*limits_of("max", max), *limits_of("min", min)]
        return recommend_trial(self.results, limits, goal=goal)

    def best(self, max: Amounts | None = None, min: Amounts | None = None, *, goal: str | None = None) -> int:
        """Return the number of the trial that `recommend` names as the best.

        Parameters
        ----------
        max
            Upper limits: objective -> amount, as for `recommend`.
        min
            Lower limits: objective -> amount, as for `recommend`.
        goal
            Objective that the network is to be best at, as for `recommend`.

        Returns
        -------
        int
            Number of the trial, for use with `record` and `export`.

        Raises
        ------
        UserError
            As for `recommend`, and if no network keeps the limits.
        """
        found = self.recommend(max, min, goal=goal)
        if found.best is None:
            asked = ", ".join(map(str, found.limits)) or "the study's limits"
            raise UserError(f"{self.name}: none of {found.considered} networks keeps {asked}")
        return found.best

    def export(self, trial: int, folder: str | Path, **options: Any) -> Path:
        """Write the files of a network to a new folder, after checking each of them.

        The files are ``spec.json``, ``weights.safetensors``, ``model.onnx`` (below 32 bits also
        ``model.int8.onnx``), ``model.pt2`` for PyTorch, ``predict.py`` and ``card.md``. A trial that was never on the
        front has no weights on disk, so it is trained again first.

        Parameters
        ----------
        trial
            Number of the trial, for example that of `best`.
        folder
            Path of the folder, which must not exist or be empty.
        **options
            Fields of `ModelOptions`: `dynamic_batch`, `symmetric` and `without`.

        Returns
        -------
        pathlib.Path
            The folder.

        Raises
        ------
        UserError
            If the trial has no trained network, the folder holds something, or a file does not compute what torch
            computes. Nothing has been written then.
        """
        from studies.export import ModelOptions, export_trial

        known = [field.name for field in fields(ModelOptions)]
        if unknown := [option for option in options if option not in known]:
            raise UserError(f"export: {unknown_name('option', unknown[0], known)}")
        return export_trial(self.results, trial, Path(folder), options=ModelOptions(**options))

    def report(self, path: str | Path | None = None) -> Path:
        """Write the HTML report of the study: one file that needs no network.

        Parameters
        ----------
        path
            Path of the file; by default ``report.html`` in the folder of the study.

        Returns
        -------
        pathlib.Path
            Path of the file.

        Raises
        ------
        UserError
            If the file cannot be written.
        """
        from studies.report.page import write_report

        return write_report(self.results, self.directory / "report.html" if path is None else Path(path))

    def plot_front(self) -> "go.Figure":
        """Plot the Pareto front: the accuracy of all networks against each cost, with the front marked.

        Returns
        -------
        plotly.graph_objects.Figure
            The figure, which a notebook shows.
        """
        from studies.figures import plot_front

        return plot_front(self.results)

    def plot_hypervolume(self) -> "go.Figure":
        """Plot the hypervolume of the front against the number of trials.

        Returns
        -------
        plotly.graph_objects.Figure
            The figure.
        """
        from studies.figures import plot_hypervolume

        return plot_hypervolume(self.results)

    def plot_parallel(self) -> "go.Figure":
        """Plot the parameters and the objectives of all networks as parallel coordinates.

        Returns
        -------
        plotly.graph_objects.Figure
            The figure.
        """
        from studies.figures import plot_parallel

        return plot_parallel(self.results)

    def plot_importance(self) -> "go.Figure":
        """Plot the importance of each parameter of the search space for each objective.

        Returns
        -------
        plotly.graph_objects.Figure
            The figure.
        """
        from studies.figures import plot_importance

        return plot_importance(self.results)

    def plot_curves(self) -> "go.Figure":
        """Plot the learning curves: accuracy after each epoch of each trial.

        Returns
        -------
        plotly.graph_objects.Figure
            The figure.
        """
        from studies.figures import plot_curves

        return plot_curves(self.results)

    def resume(
        self,
        *,
        max: Amounts | None = None,
        min: Amounts | None = None,
        settings: Mapping[str, Any] | None = None,
        on_event: Callable[[TrialEvent], None] = lambda event: None,
        on_epoch: Callable[[EpochEvent], None] = lambda event: None,
        progress: bool = True,
        **overrides: Any,
    ) -> "Study":
        """Go on with the search until it is done, with more trials or other limits if they are given.

        Trials that have ended are kept. Those that were in training when the search was interrupted run again.

        Parameters
        ----------
        max
            Upper limits: objective -> amount, as for `search`. Limits that are not named stay as they are.
        min
            Lower limits: objective -> amount, as for `search`.
        settings
            Other keys of the configuration by their dotted names. Keys that change what a trial is are refused.
        on_event
            Function that is called with a `TrialEvent` whenever a trial starts or ends.
        on_epoch
            Function that is called with an `EpochEvent` for epochs of trials in training; some may be missing.
        progress
            Whether to show a progress bar and the notes of the search on stderr.
        **overrides
            Options of ``resfront search``, as for `search`. `trials` counts those that have ended as well.

        Returns
        -------
        Study
            This study.

        Raises
        ------
        UserError
            If an argument is wrong, another process runs the study, its images or device profiles have changed, or
            the study is done and no network keeps the limits.
        KeyboardInterrupt
            If the search is interrupted; the study is kept.
        """
        changes = changes_of(settings, overrides) | limit_changes(max, min)
        record = resumed_study(None, self.name, changes, (), self.directory.parent, partial(say, shown=progress))
        self._search(record, on_event, on_epoch, progress)
        return self

    def _search(
        self,
        record: StudyRecord,
        on_event: Callable[[TrialEvent], None],
        on_epoch: Callable[[EpochEvent], None],
        progress: bool,
    ) -> None:
        """Search, and note how that ended."""
        self.ending = None
        try:
            self.ending = run(record, on_event, on_epoch, progress)
        except KeyboardInterrupt:
            self.ending = "interrupted"
            raise

    def __repr__(self) -> str:
        return f"<Study {self.name} in {self.directory}>"
