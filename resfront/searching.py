"""Starting a study from Python, and opening one."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runners.datasets import Dataset, DatasetError
from runners.datasets.builtin.arrays import load_arrays, save_arrays
from runners.own_training import Evaluator
from runners.search.events import EpochEvent, TrialEvent
from studies.launch.start import new_study
from studies.study.config import load_metrics
from studies.study.record import StudyExists

from .overrides import changes_of, limit_changes
from .own_images import dataset_of
from .progress import say
from .study import RUNS, Amounts, Study

if TYPE_CHECKING:
    from .own_images import OwnImages


def search(
    config: str | Path = "cifar10",
    *,
    name: str | None = None,
    runs: str | Path = RUNS,
    data: "str | OwnImages | None" = None,
    max: Amounts | None = None,
    min: Amounts | None = None,
    settings: Mapping[str, Any] | None = None,
    on_event: Callable[[TrialEvent], None] = lambda event: None,
    on_epoch: Callable[[EpochEvent], None] = lambda event: None,
    progress: bool = True,
    **overrides: Any,
) -> Study:
    """Create a study, search until it is done, and return it.

    The function may be called from any thread. A search that is interrupted raises KeyboardInterrupt, as when the
    kernel of a notebook is interrupted. Its study is kept, and ``open_study(name).resume()`` goes on with it.

    Parameters
    ----------
    config
        Name of a preset, or path of a TOML file.
    name
        Name of the study, which becomes the name of its folder. By default it is the name of the preset.
    runs
        Folder that holds the studies.
    data
        A data set's name, or images, which are kept in the folder ``.data`` of `runs`: a `Dataset`, a map-style torch
        data set whose items are (image, label), or arrays (images, labels); or a pair of either for training and
        validation. An image is a PIL image, uint8, or floats from 0 to 1 (not normalised), with its channels first or
        last; all are square and of one size. Classes are named by the data set's `classes` where it has them. Each
        image is read once, so leave out random transforms: trainings have their own.
    max
        Upper limits: objective -> amount, for example ``{"latency_ms": 2, "file_bytes": "350kB"}``.
    min
        Lower limits: objective -> amount, for example ``{"accuracy": 0.6}``. Accuracies are fractions.
    settings
        Other keys of the configuration by their dotted names, for example ``{"training.epochs": 3}``.
    on_event
        Function that is called with a `TrialEvent` whenever a trial starts or ends.
    on_epoch
        Function that is called with an `EpochEvent` for epochs of trials in training; some may be missing.
    progress
        Whether to show a progress bar and the notes of the search on stderr.
    **overrides
        Options of ``resfront search`` under the same names: `trials`, `objectives`, `data_dir`, `evaluator`,
        `sampler`, `references`, `like`, `seed`, `timeout_s` (seconds), `engine`, `workers`, `threads` and `device`.
        `evaluator` names a training of one's own, or is one that the decorator `evaluator` has made.

    Returns
    -------
    Study
        The study, with the trials that have ended. Its `ending` says whether it is done or ran out of time.

    Raises
    ------
    UserError
        If an argument is wrong; no study has been created then. Also if the study is done and no network keeps the
        limits; that study is kept.
    KeyboardInterrupt
        If the search is interrupted; the study is kept.
    """
    if isinstance(overrides.get("evaluator"), Evaluator):
        overrides["evaluator"] = overrides["evaluator"].name
    changes = changes_of(settings, overrides)
    load_metrics(str(config), (), changes)
    changes |= limit_changes(max, min)
    directory = Path(runs)
    if isinstance(data, str):
        changes["data", "name"] = data
    elif data is not None:
        changes |= _handed_over(dataset_of(data), directory)
    try:
        record = new_study(str(config), name, changes, (), directory, partial(say, shown=progress))
    except StudyExists as error:
        path = str(error).partition(":")[0]
        raise StudyExists(
            f'{path}: this study exists already; resfront.open_study("{path}").resume() goes on with it, or choose '
            "another name"
        ) from None
    study = Study(record.directory)
    study._search(record, on_event, on_epoch, progress)
    return study


def open_study(name: str | Path, runs: str | Path = RUNS) -> Study:
    """Return a study that is on disk, also while it runs in another process.

    Parameters
    ----------
    name
        Name of a study in `runs`, or the path of a study's folder.
    runs
        Folder that holds the studies.

    Returns
    -------
    Study
        The study.

    Raises
    ------
    UserError
        If there is no such study.
    """
    path = Path(name)
    return Study(path if len(path.parts) > 1 or path.is_dir() else Path(runs) / path)


def _handed_over(data: Dataset, runs: Path) -> dict[tuple[str, ...], Any]:
    """Write images where the study's workers find them; the same images are written once."""
    path = runs / ".data" / f"{data.fingerprint}.npz"
    if not _holds(path, data.fingerprint):
        save_arrays(path, data)
    return {("data", "name"): "arrays", ("data", "path"): str(path)}


def _holds(path: Path, fingerprint: str) -> bool:
    """Whether the images lie there whole."""
    try:
        return path.exists() and load_arrays(path, None).fingerprint == fingerprint
    except DatasetError:
        return False
