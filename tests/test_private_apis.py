"""What is private in other libraries, and the versions for which it was looked at.

A new version fails here first: see that these tests hold for it, then raise the number.
"""

from importlib.metadata import version
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from objectives.optuna_private import dominated_volume, non_dominated
from runners.storage.optuna_private import open_trial
from runners.storage.study_files import open_study
from studies.dashboard.component_id import text_of_id
from tests.faults.studies import CONFIG


@pytest.mark.parametrize(("package", "known"), [("optuna", "5.0"), ("dash", "4.")])
def test_the_versions_that_were_looked_at(package: str, known: str) -> None:
    assert version(package).startswith(known)


def test_fronts_are_those_of_brute_force() -> None:
    rows = np.unique(np.random.default_rng(0).random((200, 3)), axis=0)
    better = (rows[:, None] <= rows[None]).all(axis=2) & (rows[:, None] < rows[None]).any(axis=2)
    assert (non_dominated(rows) == ~better.any(axis=0)).all()


def test_volumes_are_those_of_boxes() -> None:
    assert dominated_volume(np.array([[0.5, 0.5]]), np.ones(2)) == pytest.approx(0.25)
    two = np.array([[0.25, 0.75, 0.0], [0.75, 0.25, 0.0]])
    assert dominated_volume(two, np.ones(3)) == pytest.approx(2 * 0.75 * 0.25 - 0.25**2)


def test_a_trial_that_has_started_is_gone_on_with(tmp_path: Path) -> None:
    study = open_study(tmp_path, CONFIG.optimised)
    study.ask().suggest_int("depth", 1, 9)
    trial = open_trial(open_study(tmp_path, CONFIG.optimised), study.get_trials()[0])
    assert trial.number == 0 and trial.params.keys() == {"depth"}
    study.tell(trial, [0.5, 1e6])
    (told,) = study.get_trials()
    assert isinstance(study, optuna.Study) and told.state == TrialState.COMPLETE and told.values == [0.5, 1e6]


def test_an_id_is_json_in_the_order_of_its_keys() -> None:
    assert text_of_id({"type": "limit-text", "name": "macs"}) == '{"name":"macs","type":"limit-text"}'
