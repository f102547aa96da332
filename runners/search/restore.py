"""Taking up a study where an earlier run left it."""

from pathlib import Path
from typing import NamedTuple

from optuna.study import Study
from optuna.trial import Trial, TrialState

from search_space.spec import ArchSpec

from ..early_stopping.rungs import Ladder
from ..storage.errors import DAMAGE, stored_in
from ..storage.optuna_private import open_trial
from ..storage.study_files import DATABASE, drop_weights, trials_with_weights
from ..trial_record import Status, TrialRecord
from .pricing.latency_meter import LatencyMeter
from .study_state import StudyState


class Restored(NamedTuple):
    """What an earlier run has left to do."""

    resumed: list[Trial]
    """Trials that had started and not ended, which begin anew."""
    unknown_weights: set[int]
    """Trials that have weights and are not in the database, which may be older than they."""


def restore(study: Study, directory: Path, state: StudyState, ladder: Ladder, meter: LatencyMeter) -> Restored:
    """Take up what the database holds: finished trials as they are, unfinished ones to be run again.

    Weights that a coordinator has left which was killed are removed; those that only narrower limits have driven from
    the front are kept. Raises StorageError for a damaged database.
    """
    with stored_in(directory / DATABASE, "cannot be gone on with", damage=DAMAGE):
        stored = study.get_trials(deepcopy=False)
        trials = [TrialRecord.of(trial) for trial in stored]
        for trial in trials:
            if trial.latency and trial.key:
                meter.remember(trial.key, trial.latency)
        ended = {trial.number for trial in stored if trial.state.is_finished()}
        for trial in trials:
            if trial.number in ended:
                _take_up(trial, state, ladder)
        unfinished = {trial.number for trial in stored if trial.state == TrialState.RUNNING}
        weights = trials_with_weights(directory)
        for number in weights & ended - state.front - state.front_without_limits:
            drop_weights(directory, number)
        resumed = [open_trial(study, trial) for trial in stored if trial.number in unfinished]
        return Restored(resumed, weights - ended - unfinished)


def _take_up(trial: TrialRecord, state: StudyState, ladder: Ladder) -> None:
    state.add(trial)
    if trial.status == Status.COMPLETED:
        ladder.learn(trial.rungs, ArchSpec.from_dict(dict(trial.spec or {})), trial.values["macs"])
