"""Trials of Optuna's database by their number there: it is private, so this file alone uses it."""

from optuna.study import Study
from optuna.trial import FrozenTrial, Trial


def open_trial(study: Study, trial: FrozenTrial) -> Trial:
    """Return a trial that has started and not ended, to be gone on with as if the study had just asked for it."""
    return Trial(study, trial._trial_id)
