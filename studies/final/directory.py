"""What does the user take home? Spec, weights, ONNX, torch program, card and report, checked before any is written."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from runners.datasets import load_dataset
from runners.network_weights import weights_of
from runners.storage.errors import stored_in
from runners.storage.study_files import WEIGHTS
from runners.verification.answer_agreement import run_reference
from runners.verification.check_files import check_weights
from runners.verification.counts import verify_counts

from ..export.errors import ExportRefused
from ..export.models import ModelOptions, build_models
from ..export.predict import metadata
from ..texts.strict_json import strict_json
from .card import final_card
from .job import Job, Outcome
from .report import final_report


def write_final(
    directory: Path,
    job: Job,
    outcome: Outcome,
    *,
    options: ModelOptions | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> Path:
    """Put the job's network in the place of the job; raises ExportRefused, and then the job stays as it is."""
    final = outcome.final
    checks = verify_counts(final.architecture)
    if wrong := [check for check in checks if not check.agrees]:
        raise ExportRefused(f"{directory}: counts differ, nothing was written: {wrong}")
    weights, reported = weights_of(final.network), final.steps[-1].accuracy
    validation = final.validation
    network, check = check_weights(weights, final.architecture, final.network, validation)
    if check.problem:
        raise ExportRefused(f"{directory}: {WEIGHTS}: {check.problem}; nothing was written")
    data = job.recipe.data
    dataset = load_dataset(data.name, data.path, resolution=data.resolution)
    models = build_models(
        final.architecture,
        network.cpu(),
        validation.cpu(),
        reference=run_reference(network, validation.cpu()),
        accuracy=reported,
        options=options or ModelOptions(),
        metadata=metadata(final.architecture, dataset),
        progress=progress,
    )
    files = {
        "spec.json": _text(final.architecture.to_dict()),
        WEIGHTS: weights,
        **models.files,
        "result.json": _text(_result(job, outcome)),
        "report.html": final_report(job, outcome).encode(),
    }
    files["card.md"] = final_card(job, outcome, checks, models, files).encode()
    with stored_in(directory, "cannot be written; the job stays as it is"):
        _replace_directory(directory, files)
    return directory


def _text(values: object) -> bytes:
    return f"{strict_json(values)}\n".encode()


def _result(job: Job, outcome: Outcome) -> dict[str, object]:
    """What scripts read, and how to do it again."""
    return {
        "name": job.name,
        "recipe": job.recipe.to_dict(),
        "test_accuracy": outcome.test_accuracy,
        "test_images": outcome.test_images,
        "steps": [asdict(step) for step in outcome.final.steps],
        "without_teacher": [asdict(step) for step in outcome.control.steps] if outcome.control else [],
        "curve": [asdict(point) for point in outcome.final.curve],
        "precision": outcome.final.precision,
    }


def _replace_directory(directory: Path, files: dict[str, bytes]) -> None:
    """`directory` with these files in it, and none of the job's."""
    directory = directory.resolve()
    temporary, old = (Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent)) for _ in range(2))
    done = old / directory.name
    try:
        for name, content in files.items():
            (temporary / name).write_bytes(content)
        temporary.chmod(0o755)
        directory.rename(done)
        temporary.rename(directory)
    except BaseException:
        if done.exists() and not directory.exists():
            done.rename(directory)
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
