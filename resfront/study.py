"""A study from Python: look at it, choose from it, take a network home, and go on with it."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runners.search.coordinator import Ending
from runners.search.events import EpochEvent, TrialEvent
from runners.trial_record import TrialRecord
from search_space.errors import UserError
from studies.analysis.recommendation import Recommendation
from studies.analysis.recommendation import recommend as recommend_trial
from studies.launch.start import resumed_study
from studies.results.reading import StudyReader
from studies.results.study_results import StudyResults
from studies.study.record import open_study_record

from .overrides import changes_of, limit_changes, limits_of
from .progress import say
from .running import run

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

RUNS = Path("runs")
Amounts = Mapping[str, float | str]
"""Objective -> amount: a number in the objective's own unit, or a text such as ``"350kB"``."""


class Study:
    """A study on disk: its trials, its front, and what can be done with them.

    Every look reads what is new in the database, so a study may be looked at while it runs, also in another process.
    """

    def __init__(self, directory: Path) -> None:
        """Open the study in `directory`; raises UserError where there is none."""
        self._record = open_study_record(directory)
        self._reader = StudyReader(directory)
        self.ending: Ending | None = None
        """How the search of this process ended: ``done``, ``timeout`` or ``interrupted``; None before one has."""

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
        """All tables and facts of the study as it is now."""
        return self._reader.read()

    def trials(self) -> "pd.DataFrame":
        """Return a row for each trial, in order; `StudyResults` says what the columns hold.

        Accuracies are fractions, costs in the units of their names; NaN where a figure is not known.
        """
        return self.results.trials

    def front(self) -> "pd.DataFrame":
        """Return the rows of the Pareto front, the most accurate network first."""
        return self.results.front

    def record(self, trial: int) -> TrialRecord:
        """Return all that is known of one trial: its spec, measured latencies, learning curve, provenance.

        Raises
        ------
        UserError
            Where the study has no such trial.
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
        """Return the best network within these limits and the study's own, and the next best beside it.

        Parameters
        ----------
        max, min
            Objective -> amount, for example ``max={"latency_ms": 2, "file_bytes": "350kB"}``.
        goal
            What the network is to be best at; by default its accuracy.

        Raises
        ------
        UserError
            For an unknown objective, an amount that is none, and a figure that cannot be computed.
        """
        limits = [*limits_of("max", max), *limits_of("min", min)]
        return recommend_trial(self.results, limits, goal=goal)

    def best(self, max: Amounts | None = None, min: Amounts | None = None, *, goal: str | None = None) -> int:
        """Return the number of the best trial within these limits; the parameters are those of `recommend`.

        Raises
        ------
        UserError
            As `recommend`, and where no network keeps the limits.
        """
        found = self.recommend(max, min, goal=goal)
        if found.best is None:
            asked = ", ".join(map(str, found.limits)) or "the study's limits"
            raise UserError(f"{self.name}: none of {found.considered} networks keeps {asked}")
        return found.best

    def export(self, trial: int, folder: str | Path, **options: Any) -> Path:
        """Write a network's files to the new directory `folder`, each checked before, and return it.

        Parameters
        ----------
        trial
            Its number, for example `best()`.
        folder
            A path where nothing is yet.
        **options
            ``dynamic_batch``, ``symmetric`` and ``without``: see `studies.export.ModelOptions`.

        Raises
        ------
        UserError
            Where the trial has no network, or a file would not be the network.
        """
        from studies.export import ModelOptions, export_trial

        return export_trial(self.results, trial, Path(folder), options=ModelOptions(**options))

    def report(self, path: str | Path | None = None) -> Path:
        """Write the HTML report, by default into the study's directory, and return its path."""
        from studies.report.page import write_report

        return write_report(self.results, self.directory / "report.html" if path is None else Path(path))

    def plot_front(self) -> "go.Figure":
        """Return the figure of the Pareto front."""
        from studies.figures import plot_front

        return plot_front(self.results)

    def plot_hypervolume(self) -> "go.Figure":
        """Return the figure of the hypervolume of the front against trials."""
        from studies.figures import plot_hypervolume

        return plot_hypervolume(self.results)

    def plot_parallel(self) -> "go.Figure":
        """Return the figure of parameters and objectives as parallel coordinates."""
        from studies.figures import plot_parallel

        return plot_parallel(self.results)

    def plot_importance(self) -> "go.Figure":
        """Return the figure of which parameters explain each objective."""
        from studies.figures import plot_importance

        return plot_importance(self.results)

    def plot_curves(self) -> "go.Figure":
        """Return the figure of the learning curves."""
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
        """Go on with the search, with more trials or other limits; the parameters are those of `search`."""
        changes = changes_of(settings, overrides) | limit_changes(max, min)
        record = resumed_study(None, self.name, changes, (), self.directory.parent, partial(say, shown=progress))
        self.ending = run(record, on_event, on_epoch, progress)
        return self

    def __repr__(self) -> str:
        return f"<Study {self.name} in {self.directory}>"
