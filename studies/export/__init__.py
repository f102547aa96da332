"""How does a network leave a study? Spec, weights, ONNX, torch program and card, checked before any is written.

Raises ExportRefused where a check fails, and then writes nothing.
"""

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from runners.candidate import Candidate
from runners.coordinator import candidate_seed
from runners.datasets import load_dataset
from runners.evaluate import evaluate, load_images, load_network
from runners.images import DeviceImages
from runners.storage import WEIGHTS, weights_path
from runners.training import measure_accuracy
from runners.verify import verify_counts
from search_space.architectures import architecture_from_dict
from search_space.network import GraphNetwork
from search_space.spec import Architecture

from ..results import EVALUATED, StudyResults
from ..study import StudyRecord, open_study_record
from ..wording import describe_spec
from .card import write_card
from .errors import ExportRefused, NoSuchTrial
from .models import INT8_MODEL, MODEL, ModelOptions, build_models

__all__ = ["ExportRefused", "ModelOptions", "NoSuchTrial", "export_trial"]

MAX_ACCURACY_DIFFERENCE = 0.005
"""Other hardware may round otherwise; more than half a point is another network."""
PREDICT = Path(__file__).parent.parent / "templates" / "predict.py"


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """A network of a study with its weights, as torch runs it."""

    architecture: Architecture
    network: GraphNetwork
    weights: bytes
    validation: DeviceImages
    reported_accuracy: float
    accuracy: float
    """Of these weights, in torch."""


def export_trial(
    results: StudyResults,
    trial: int,
    output: Path,
    *,
    options: ModelOptions | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> Path:
    """Write the new directory `output`: spec.json, weights.safetensors, model.onnx, model.pt2, predict.py, card.md.

    Below 32 bits `model.int8.onnx` too. Checked first: counts against fvcore and torch, the accuracy of the weights as
    they are read back against what the study reported, and each model file (`build_models`). A trial off the front,
    whose weights are not kept, is trained again with its seed. Raises NoSuchTrial, also where `output` is there
    already, and ExportRefused.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise NoSuchTrial(f"{output}: exists already; choose a new directory")
    row = _row(results, trial)
    record = open_study_record(results.directory)
    progress(f"trial {trial}: {describe_spec(row['spec'])}")
    checks = verify_counts(architecture_from_dict(dict(row["spec"])))
    if wrong := [check for check in checks if not check.agrees]:
        raise ExportRefused(f"trial {trial}: counts differ, nothing was written: {wrong}")
    trained = _trained(record, row, progress)
    progress(
        f"checked: counts against fvcore and torch; accuracy {trained.accuracy:.2%}, "
        f"reported {trained.reported_accuracy:.2%}"
    )
    models = build_models(
        trained.architecture,
        trained.network,
        trained.validation,
        accuracy=trained.reported_accuracy,
        options=options or ModelOptions(),
        metadata=_metadata(record, row, trained),
        progress=progress,
    )
    runnable = INT8_MODEL if INT8_MODEL in models.files else MODEL
    files = {
        "spec.json": (json.dumps(dict(row["spec"]), indent=2) + "\n").encode(),
        WEIGHTS: trained.weights,
        **models.files,
        "predict.py": PREDICT.read_text(encoding="utf-8").replace("model.onnx", runnable).encode(),
    }
    files["card.md"] = write_card(results, record, row, checks, trained.accuracy, models, files).encode()
    _write_directory(output, files)
    return output


def _row(results: StudyResults, trial: int) -> Any:
    rows = results.trials[results.trials["trial"] == trial]
    if rows.empty:
        raise NoSuchTrial(f"{results.name}: no trial {trial}; the last is {results.trials['trial'].max()}")
    row = rows.iloc[0]
    if row["status"] not in EVALUATED or not row["accuracy"] == row["accuracy"]:
        raise NoSuchTrial(f"{results.name}: trial {trial} is {row['status']}, so there is no network to export")
    if row["status"] == "duplicate":
        originals = results.trials[(results.trials["key"] == row["key"]) & (results.trials["status"] == "completed")]
        row = originals.iloc[0]
    return row


def _trained(record: StudyRecord, row: Any, progress: Callable[[str], None]) -> TrainedNetwork:
    """The trial's network, after checking that its weights reach what the study reported."""
    weights = _weights(record, row, progress)
    architecture = architecture_from_dict(dict(row["spec"]))
    network = load_network(architecture, weights).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    config = record.config
    _, validation = load_images(config.data, config.training, architecture.resolution, torch.device("cpu"))
    accuracy, reported = measure_accuracy(network, validation), float(row["accuracy"])
    if abs(accuracy - reported) > MAX_ACCURACY_DIFFERENCE:
        raise ExportRefused(
            f"trial {row['trial']}: the weights reach {accuracy:.4f}, the study reported {reported:.4f}; "
            "nothing was written"
        )
    return TrainedNetwork(architecture, network, weights, validation, reported, accuracy)


def _weights(record: StudyRecord, row: Any, progress: Callable[[str], None]) -> bytes:
    path = weights_path(record.directory, int(row["trial"]))
    if path.exists():
        return path.read_bytes()
    progress("its weights were not kept because it is not on the front; training it again with its seed ...")
    config = record.config
    torch.set_num_threads(int(row["observation"]["threads"]))
    candidate = Candidate(
        spec=dict(row["spec"]),
        seed=candidate_seed(config.search.seed, str(row["key"])),
        data=config.data,
        training=config.training,
        device="cpu" if config.workers.device == "cpu" else "cuda",
    )
    return evaluate(candidate).weights


def _metadata(record: StudyRecord, row: Any, trained: TrainedNetwork) -> dict[str, Any]:
    """What a program that runs the model must know; `predict.py` reads it."""
    data = record.config.data
    dataset = load_dataset(data.name, data.path, resolution=data.resolution)
    return {
        "class_names": list(record.class_names),
        "mean": dataset.mean,
        "std": dataset.std,
        "resolution": int(trained.validation.images.shape[-1]),
        "spec": dict(row["spec"]),
    }


def _write_directory(output: Path, files: dict[str, bytes]) -> None:
    """Make `output` with all the files, or not at all."""
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
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
