"""What must a user of an exported network know? Figures with how each is known, checks, provenance, usage."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from objectives import Objective
from objectives.latency.timing import EXACT_INT8
from runners.candidate import ACCURACY, Observation
from runners.storage.study_files import WEIGHTS
from runners.verification.counts import Check
from search_space.texts.counting import count_of

from ..results.study_results import StudyResults
from ..study.record import StudyRecord
from ..texts.wording import (
    describe_latency,
    describe_spec,
    describe_trainings,
    first_metric,
    format_value,
    heading,
    wilson_interval,
)
from .models import INT8_MODEL, PROGRAM, Models

_PROXY = "The accuracy is that of a short proxy training, made to rank networks, not of a full one."


def write_card(
    results: StudyResults,
    record: StudyRecord,
    row: Any,
    checks: list[Check],
    accuracy: float,
    notes: Sequence[str],
    models: Models,
    files: Mapping[str, bytes],
) -> str:
    """The Markdown of card.md for the trial in `row` and the other files of its directory."""
    observation = row["record"].observation
    lines = [
        f"# {describe_spec(row['record'].spec)}",
        "",
        f"Trial {row['trial']} of the resfront study `{results.name}`, spec key `{row['key']}`.",
        "",
        *_figures(results, row, observation, accuracy),
        "",
        *([] if record.metrics else [_PROXY, ""]),
        *files_section(files, models),
        "",
        "## Checked when it was exported",
        *(f"- {c.figure}: {c.ours:,} equals {c.oracle}" for c in checks),
        *([] if record.metrics else [_reached(accuracy, first_metric(row, results.metric))]),
        *(f"- {note}" for note in notes),
        *(f"- {finding}" for finding in models.findings),
        *(f"- warning: {warning}" for warning in models.warnings),
        "",
        *_provenance(record, observation),
        "",
        *usage_section(files),
        "",
    ]
    return "\n".join(lines)


def _reached(accuracy: float, reported: float) -> str:
    return f"- accuracy of {WEIGHTS}: {accuracy:.4f}, reported by the study: {reported:.4f}"


def _metrics(results: StudyResults, row: Any, observation: Observation) -> list[str]:
    """What a training of the user's own has measured."""
    by = f"measured by {results.config['training']['evaluator']} on {observation.validation_images:,} validation images"
    lines = []
    for metric in results.metrics:
        first = observation.metrics[metric.name]
        lines.append(f"| {heading(metric)} of these weights | {format_value(metric, first)} | {by} |")
        if metric == results.metric and (again := describe_trainings(row, metric)):
            mean = format_value(metric, row[metric.name])
            lines.append(f"| {heading(metric)} of such a network | {mean} | {again} |")
    return lines


def _accuracies(results: StudyResults, row: Any, observation: Observation, accuracy: float) -> list[str]:
    again = describe_trainings(row, results.metric)
    low, high = (100 * end for end in wilson_interval(accuracy, observation.validation_images))
    return [
        f"| Accuracy of these weights | {100 * accuracy:.2f} % | measured on {observation.validation_images:,} "
        f"validation images held out of training, at {row['record'].spec['resolution']} px, at the network's bits; "
        f"for so many images the 95 % interval is {low:.1f} to {high:.1f} % |",
        *([f"| Accuracy of such a network | {100 * row['accuracy']:.2f} % | {again} |"] if again else []),
        f"| Accuracy in float | {100 * observation.float_accuracy:.2f} % | measured before quantization"
        f"{', after which training went on |' if observation.curve[-1].quantized else ' |'}",
    ]


def _figures(results: StudyResults, row: Any, observation: Observation, accuracy: float) -> list[str]:
    if results.metrics:
        learned = _metrics(results, row, observation)
    else:
        learned = _accuracies(results, row, observation, accuracy)
    lines = ["| figure | value | how it is known |", "|---|---|---|", *learned]
    latency = row["record"].latency
    for objective in results.figures:
        if not objective.known or row[objective.name] != row[objective.name]:
            continue
        value = format_value(objective, row[objective.name])
        if objective.source == "exact":
            lines.append(f"| {objective.label} | {row[objective.name]:,.0f} ({value}) | {exactly(objective)} |")
        elif objective.source == "measured":
            lines.append(f"| {heading(objective)} | {value} | {describe_latency(latency[objective.name])} |")
        else:
            lines.append(f"| {heading(objective)} | {value} | from the device's data sheet (roofline) |")
    return lines


def exactly(objective: Objective) -> str:
    """How a figure is known that follows from the graph, or what it is where its name does not say it."""
    return objective.note or "exact, from the graph"


def files_section(files: Mapping[str, bytes], models: Models) -> list[str]:
    """What lies in the directory, with sizes and the accuracy of each file that runs."""
    lines = ["## Files", "| file | bytes | accuracy, run by its runtime |", "|---|---|---|"]
    for name, content in files.items():
        accuracy = f"{100 * models.accuracies[name]:.2f} %" if name in models.accuracies else ""
        lines.append(f"| {name} | {len(content):,} | {accuracy} |")
    if not models.accuracies:  # the last column says nothing then
        lines = [lines[0], *(f"{line.rsplit('|', 2)[0]}|" for line in lines[1:])]
    return [*lines, *(line for note in models.notes for line in ("", note))]


def _provenance(record: StudyRecord, observation: Observation) -> list[str]:
    # How many images there were is the observation's to say.
    without = ("images", "validation_images", "evaluator")
    training = {k: v for k, v in asdict(record.config.training).items() if k not in without}
    recipe = record.config.training.evaluator or ", ".join(f"{key} {value}" for key, value in training.items())
    classes = f"; classes: {', '.join(record.class_names)}" if ACCURACY in observation.metrics else ""
    return [
        "## Where it comes from",
        f"- data: {observation.dataset} (fingerprint {observation.dataset_fingerprint}), "
        f"{observation.training_images} training images{classes}",
        f"- training: {recipe}",
        f"- seed {observation.seed}, {observation.precision}, {count_of(observation.threads, 'thread')}, "
        f"{observation.device}, {observation.duration_s:.1f} s, {observation.processor}",
        f"- versions: {', '.join(f'{key} {value}' for key, value in observation.versions.items())}",
    ]


def usage_section(files: Container[str]) -> list[str]:
    """How the files that are there are run."""
    lines = ["## Use it"]
    if "predict.py" in files:
        lines += [
            "```",
            "python predict.py photo.jpg    # several too; needs onnxruntime, numpy, pillow, nothing of this project",
            "```",
        ]
    lines += [
        "The ONNX files take `images` (N, C, H, W), N = 1 unless exported with --dynamic-batch, normalised as",
        "(pixel / 255 - mean) / std, all channels alike; mean, std, class names and sizes are in their metadata.",
    ]
    if "predict.py" in files:
        lines.append("`predict.py` applies them, and reads an image file into the pixels that training sees.")
    if PROGRAM in files:
        lines.append("`model.pt2` runs in plain PyTorch: `torch.export.load('model.pt2').module()(images)`.")
    lines += [
        "With the project, the weights are",
        f"`load_network(architecture_from_dict(spec), Path('{WEIGHTS}').read_bytes())`.",
    ]
    if INT8_MODEL in files:
        lines += [
            "",
            f"`{INT8_MODEL}` on an x86 processor without VNNI (older than about 2019): set onnxruntime's session entry "
            f"`{EXACT_INT8[0]}` to `{EXACT_INT8[1]}`, as `predict.py` does. Its faster int8 kernels there overflow.",
        ]
    return lines
