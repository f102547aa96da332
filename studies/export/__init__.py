"""How does a network leave a study? Spec, weights, ONNX, torch program and card, checked before any is written.

Raises ExportRefused where a check fails, and then writes nothing.
"""

import json
import math
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from runners.candidate import ACCURACY, Candidate, Observation, TrainingDiverged, candidate_seed
from runners.evaluate import evaluate
from runners.network_weights import load_network
from runners.storage.errors import DAMAGE, stored_in
from runners.storage.study_files import WEIGHTS, check_writable, weights_path
from runners.training.batches import DeviceImages
from runners.training.load_images import load_images
from runners.trial_record import Status
from runners.verification.answer_agreement import ReferenceRun, run_reference
from runners.verification.counts import verify_counts
from search_space.architectures import architecture_from_dict
from search_space.backends.torch_network import GraphNetwork
from search_space.spec import Architecture
from search_space.texts.counting import count_of

from ..results.study_results import KNOWN, StudyResults
from ..study.record import StudyRecord, open_study_record
from ..study.sameness import check_study, load_study_images
from ..texts.wording import describe_spec, first_metric, format_value
from .card import write_card
from .errors import ExportRefused, NoSuchTrial
from .models import ModelOptions, build_models
from .predict import metadata

__all__ = ["ExportRefused", "ModelOptions", "NoSuchTrial", "export_trial"]


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """A network of a study with its weights, as torch runs it."""

    architecture: Architecture
    network: GraphNetwork
    weights: bytes
    validation: DeviceImages
    reference: ReferenceRun
    """What torch computes on the validation images."""
    reported: float
    """The accuracy that the files are to reach: the study's, or that of a training that had to be done again.

    NaN for a training of the user's own, whose metrics are his to measure.
    """
    notes: tuple[str, ...] = ()
    """What the user of the network must know of it, a sentence each."""


def export_trial(
    results: StudyResults,
    trial: int,
    output: Path,
    *,
    data_dir: Path | None = None,
    options: ModelOptions | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> Path:
    """Write the new directory `output`: spec.json, weights.safetensors, model.onnx, model.pt2, predict.py, card.md.

    Below 32 bits `model.int8.onnx` too, and `model.onnx` only where it is about as good. Checked first: counts against
    fvcore and torch, the accuracy of the weights as they are read back against what the study reported, and each model
    file (`build_models`). A trial off the front, whose weights are not kept, is trained again with its seed. `data_dir`
    is where the study's images are now, if they have moved. Raises NoSuchTrial, also where `output` is there already,
    ExportRefused, and ConfigError or StorageError where the study or its images are not what they were.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise NoSuchTrial(f"{output}: exists already; choose a new directory")
    check_writable(output, directory=True)
    row = _row(results, trial)
    record = open_study_record(results.directory)
    check_study(record)
    record, dataset = load_study_images(record, data_dir)
    progress(f"trial {trial}: {describe_spec(row['record'].spec)}")
    checks = verify_counts(architecture_from_dict(dict(row["record"].spec)))
    if wrong := [check for check in checks if not check.agrees]:
        raise ExportRefused(f"trial {trial}: counts differ, nothing was written: {wrong}")
    trained = _trained(record, row, progress)
    reached = f"; accuracy {trained.reference.accuracy:.2%}, reported {trained.reported:.2%}"
    progress(f"checked: counts against fvcore and torch{'' if record.metrics else reached}")
    for note in trained.notes:
        progress(f"note: {note}")
    models = build_models(
        trained.architecture,
        trained.network,
        trained.validation,
        reference=trained.reference,
        accuracy=trained.reported,
        options=options or ModelOptions(),
        metadata=metadata(trained.architecture, dataset, is_classifier=is_classifier(record)),
        progress=progress,
    )
    files = {
        "spec.json": (json.dumps(dict(row["record"].spec), indent=2) + "\n").encode(),
        WEIGHTS: trained.weights,
        **models.files,
    }
    accuracy = trained.reference.accuracy
    files["card.md"] = write_card(results, record, row, checks, accuracy, trained.notes, models, files).encode()
    _write_directory(output, files)
    return output


def _row(results: StudyResults, trial: int) -> Any:
    rows = results.trials[results.trials["trial"] == trial]
    if rows.empty:
        raise NoSuchTrial(f"{results.name}: no trial {trial}; the last is {results.trials['trial'].max()}")
    row = rows.iloc[0]
    value = row[results.metric.name]
    if row["status"] not in KNOWN or not value == value:
        raise NoSuchTrial(f"{results.name}: trial {trial} is {row['status']}, so there is no network to export")
    if row["status"] == Status.DUPLICATE:
        completed = results.of_status(Status.COMPLETED)
        row = completed[completed["key"] == row["key"]].iloc[0]
    return row


def _trained(record: StudyRecord, row: Any, progress: Callable[[str], None]) -> TrainedNetwork:
    """The trial's network, after checking that its weights reach what the study reported.

    Weights that were not kept are trained again. On another kind of processor, or with other versions, that is another
    draw of the same training, whose accuracy then counts.
    """
    architecture = architecture_from_dict(dict(row["record"].spec))
    weights, again = _weights(record, row, progress)
    path = weights_path(record.directory, int(row["trial"]))
    with stored_in(path, "cannot be read", damage=(RuntimeError, *DAMAGE)):  # torch's, for tensors of other shapes
        network = load_network(architecture, weights)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    config = record.config
    _, validation = load_images(config.data, config.training, architecture.resolution, torch.device("cpu"))
    reference = run_reference(network, validation, is_classifier=is_classifier(record))
    if record.metrics:
        own_notes = _own_notes(record, again)
        return TrainedNetwork(architecture, network, weights, validation, reference, math.nan, own_notes)
    reported, notes = first_metric(row, config.metric), list[str]()
    same = again is None or _same_digits(again, row["record"].observation)
    if again is not None and not same and again.accuracy != reported:
        notes.append(
            f"trained again on {again.processor}, {count_of(again.threads, 'thread')}: {reference.accuracy:.2%}; "
            f"the study had {reported:.2%}, from another draw of the same training "
            "(digits are the same only on one thread, one kind of processor and with the same versions)"
        )
        reported = again.accuracy
    if abs(reference.accuracy - reported) > reference.accuracy_tolerance:
        images = len(reference.logits)
        differing = round(abs(reference.accuracy - reported) * images)
        mend = "remove them to have the network trained again" if again is None else "choose another trial"
        raise ExportRefused(
            f"{path}: the weights reach {reference.accuracy:.4f}, the study reported {reported:.4f}: at least "
            f"{differing} of {images} images get another answer; nothing was written; {mend}"
        )
    return TrainedNetwork(architecture, network, weights, validation, reference, reported, tuple(notes))


def is_classifier(record: StudyRecord) -> bool:
    """Whether the outputs of the study's networks are classes, as where their accuracy is measured."""
    return not record.metrics or any(metric.name == ACCURACY for metric in record.metrics)


def _own_notes(record: StudyRecord, again: Observation | None) -> tuple[str, ...]:
    """What the user of a network must know that a training of his own has made."""
    notes = [f"{record.config.training.evaluator} measured the metrics; they were not measured again on these files"]
    if again is not None:
        found = ", ".join(format_value(metric, again.metrics[metric.name]) for metric in record.metrics)
        notes.append(f"its weights were not kept, so that it was trained again: {found}")
    return tuple(notes)


def _same_digits(one: Observation, other: Observation) -> bool:
    """Whether the same training ends with the same digits where the two were made."""
    facts = ("processor", "threads", "versions", "precision", "device")
    return one.threads == 1 and all(getattr(one, fact) == getattr(other, fact) for fact in facts)


def _weights(record: StudyRecord, row: Any, progress: Callable[[str], None]) -> tuple[bytes, Observation | None]:
    """The trial's weights, and what was observed where they had to be trained again."""
    path = weights_path(record.directory, int(row["trial"]))
    if path.exists():
        with stored_in(path, "cannot be read"):
            return path.read_bytes(), None
    progress(
        "its weights were not kept because its first training was not on the front; training it again with its seed ..."
    )
    config = record.config
    torch.set_num_threads(row["record"].observation.threads)
    candidate = Candidate(
        spec=dict(row["record"].spec),
        seed=candidate_seed(config.search.seed, str(row["key"])),
        data=config.data,
        training=config.training,
        device="cuda" if config.workers.device != "cpu" and torch.cuda.is_available() else "cpu",
    )
    try:
        evaluation = evaluate(candidate)
    except TrainingDiverged as error:
        raise ExportRefused(f"trial {row['trial']}: trained again, {error}; nothing was written") from None
    return evaluation.weights, evaluation.observation


def _write_directory(output: Path, files: dict[str, bytes]) -> None:
    """Make `output` with all the files, or not at all."""
    with stored_in(output, "cannot be written"):
        output.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
        _fill(temporary, output, files)


def _fill(temporary: Path, output: Path, files: dict[str, bytes]) -> None:
    try:
        for name, content in files.items():
            (temporary / name).write_bytes(content)
        temporary.chmod(0o755)
        if output.exists():
            output.rmdir()
        temporary.rename(output)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
