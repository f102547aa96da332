"""How does a network leave a study? Spec, weights and a card, each checked before anything is written."""

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from objectives import OBJECTIVES
from runners.coordinator import candidate_seed
from runners.evaluate import Candidate, Observation, evaluate, load_images, load_network
from runners.storage import WEIGHTS, weights_path
from runners.training import measure_accuracy
from runners.verify import Check, verify_counts
from search_space.errors import UserError
from search_space.references import architecture_from_dict

from .results import EVALUATED, StudyResults
from .study import StudyRecord, open_study_record
from .wording import describe_spec, format_value

MAX_ACCURACY_DIFFERENCE = 0.005
"""Other hardware may round otherwise; more than half a point is another network."""


class ExportRefused(UserError):
    """A check failed; nothing was written."""

    exit_code = 1


class NoSuchTrial(UserError):
    """The study has no such trial, or it found no network."""

    exit_code = 3


def export_trial(
    results: StudyResults, trial: int, output: Path, *, progress: Callable[[str], None] = lambda line: None
) -> Path:
    """Write `spec.json`, `weights.safetensors` and `card.md` to the new directory `output`.

    Checked first: counts against fvcore and torch, and the accuracy of the weights as they are read back against what
    the study reported. A trial off the front, whose weights are not kept, is trained again with its seed. Raises
    NoSuchTrial, ExportRefused, and UserError where `output` is there already.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise NoSuchTrial(f"{output}: exists already; choose a new directory")
    row = _row(results, trial)
    record = open_study_record(results.directory)
    spec = dict(row["spec"])
    reported = float(row["accuracy"])
    progress(f"trial {trial}: {describe_spec(spec)}")
    checks = verify_counts(architecture_from_dict(spec))
    if wrong := [check for check in checks if not check.agrees]:
        raise ExportRefused(f"trial {trial}: counts differ, nothing was written: {wrong}")
    weights = _weights(record, row, progress)
    accuracy = _accuracy_of(record, spec, weights)
    if abs(accuracy - reported) > MAX_ACCURACY_DIFFERENCE:
        raise ExportRefused(
            f"trial {trial}: the weights reach {accuracy:.4f}, the study reported {reported:.4f}; nothing was written"
        )
    progress(f"checked: counts against fvcore and torch; accuracy {accuracy:.2%}, reported {reported:.2%}")
    files = {
        "spec.json": (json.dumps(spec, indent=2) + "\n").encode(),
        WEIGHTS: weights,
        "card.md": _card(results, record, row, checks, accuracy).encode(),
    }
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


def _accuracy_of(record: StudyRecord, spec: dict[str, Any], weights: bytes) -> float:
    architecture = architecture_from_dict(spec)
    network = load_network(architecture, weights).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    config = record.config
    _, validation = load_images(config.data, config.training, architecture.resolution, torch.device("cpu"))
    return measure_accuracy(network, validation)


def _card(results: StudyResults, record: StudyRecord, row: Any, checks: list[Check], accuracy: float) -> str:
    observation = Observation.from_dict(row["observation"])
    lines = [
        f"# {describe_spec(row['spec'])}",
        "",
        f"Trial {row['trial']} of the resfront study `{results.name}`, spec key `{row['key']}`.",
        "",
        *_figures(row, observation, accuracy),
        "",
        "The accuracy is that of a short proxy training, made to rank networks, not of a full one.",
        "",
        "## Checked when it was exported",
        *(f"- {c.figure}: {c.ours:,} equals {c.oracle}" for c in checks),
        f"- accuracy of the weights in this folder: {accuracy:.4f}, reported by the study: {row['accuracy']:.4f}",
        "",
        *_provenance(record, observation),
        "",
        *_usage(record, row["spec"]["resolution"], observation.trained_resolution),
        "",
    ]
    return "\n".join(lines)


def _figures(row: Any, observation: Observation, accuracy: float) -> list[str]:
    lines = [
        "| figure | value | how it is known |",
        "|---|---|---|",
        f"| Accuracy | {100 * accuracy:.2f} % | measured on {observation.validation_images} validation images "
        f"held out of training, at {observation.trained_resolution} px, at the network's bits |",
        f"| Accuracy in float | {100 * observation.float_accuracy:.2f} % | measured, before quantization |",
    ]
    for name in OBJECTIVES:
        objective = OBJECTIVES[name]
        if objective.known:
            figure = f"{row[name]:,.0f} ({format_value(objective, row[name])})"
            lines.append(f"| {objective.label} | {figure} | exact, from the graph |")
    return lines


def _provenance(record: StudyRecord, observation: Observation) -> list[str]:
    # How many images there were is the observation's to say.
    training = {k: v for k, v in asdict(record.config.training).items() if k not in ("images", "validation_images")}
    return [
        "## Where it comes from",
        f"- data: {observation.dataset} (fingerprint {observation.dataset_fingerprint}), "
        f"{observation.training_images} training images; classes: {', '.join(record.class_names)}",
        f"- training: {', '.join(f'{key} {value}' for key, value in training.items())}",
        f"- seed {observation.seed}, {observation.precision}, {observation.threads} threads, {observation.device}, "
        f"{observation.duration_s:.1f} s",
        f"- versions: {', '.join(f'{key} {value}' for key, value in observation.versions.items())}",
    ]


def _usage(record: StudyRecord, resolution: int, trained: int) -> list[str]:
    return [
        "## Use it",
        "```python",
        "import json",
        "from pathlib import Path",
        "from runners.evaluate import load_network",
        "from search_space import architecture_from_dict",
        "",
        'architecture = architecture_from_dict(json.loads(Path("spec.json").read_text()))',
        f'network = load_network(architecture, Path("{WEIGHTS}").read_bytes())',
        "```",
        f"Feed it {trained} x {trained} pixels, at which the proxy trained and measured it; the costs above are those "
        f"at {resolution} x {resolution}. The weights are stored as float32, not packed to the bits.",
        "",
        "Images are normalised per channel with the training set's mean and deviation (in 0..1): "
        + _normalisation(record),
    ]


def _normalisation(record: StudyRecord) -> str:
    from runners.datasets import load_dataset

    data = record.config.data
    dataset = load_dataset(data.name, data.path, resolution=data.resolution)
    mean, std = (", ".join(f"{value:.4f}" for value in values) for values in (dataset.mean, dataset.std))
    return f"mean {mean}; deviation {std}."


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
