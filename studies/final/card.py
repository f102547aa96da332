"""What must a user of a final network know? Accuracy on test images, what each step cost, where it comes from."""

import math
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version

from objectives import OBJECTIVES
from objectives.device_costs.latency_ms import LATENCY
from objectives.latency.timing import processor
from runners.recipes.results import StepResult
from runners.verification.counts import Check
from search_space.texts.counting import count_of

from ..export.card import exactly, files_section, usage_section
from ..export.models import Models
from ..texts.wording import describe_spec, format_duration, format_value, heading
from .job import Job, Outcome
from .regression import regressions

COLUMNS = ("macs", "params", "file_bytes", "peak_memory_bytes", LATENCY)


def final_card(job: Job, outcome: Outcome, checks: Sequence[Check], models: Models, files: Mapping[str, bytes]) -> str:
    """The Markdown of card.md."""
    final, recipe = outcome.final, job.recipe
    lines = [
        f"# {describe_spec(final.architecture.to_dict())}",
        "",
        f"From `{job.name}`, by resfront; spec key `{final.architecture.key}`.",
        "",
        *_figures(outcome),
        *(f"\nWarning: {line}." for line in outcome.missed(recipe)),
        *(f"\nNote: {line}." for line in regressions(final.steps)),
        "",
        "## What each step gained and cost",
        *waterfall_table(final.steps),
        "",
        *_teacher(job, outcome),
        *files_section(files, models),
        "",
        "## Checked when it was written",
        *(f"- {check.figure}: {check.ours:,} equals {check.oracle}" for check in checks),
        *(f"- {finding}" for finding in models.findings),
        *(f"- warning: {warning}" for warning in models.warnings),
        "",
        "## Where it comes from",
        f"- data: {recipe.data.name} (fingerprint {recipe.fingerprint}); validation images held out of training: "
        f"{len(final.validation)}",
        f"- recipe: {count_of(len(final.curve), 'epoch')} in all, "
        f"peak learning rate {recipe.training.learning_rate:g}, batch {recipe.training.batch_size}, "
        f"weight decay {recipe.training.weight_decay:g}, average of the weights {recipe.average:g}, "
        f"seed {recipe.seed}, {final.precision}, {count_of(job.threads, 'thread')} on {job.device}",
        f"- versions: python {platform.python_version()}, torch {version('torch')}, resfront {version('resfront')}",
        "",
        *usage_section(files),
        "",
    ]
    return "\n".join(lines)


def _figures(outcome: Outcome) -> list[str]:
    last = outcome.final.steps[-1]
    lines = ["| figure | value | how it is known |", "|---|---|---|"]
    if not math.isnan(outcome.test_accuracy):
        lines.append(
            f"| Test accuracy | {100 * outcome.test_accuracy:.2f} % | measured once, at the end, on "
            f"{outcome.test_images:,} test images that nothing was chosen by |"
        )
    lines.append(f"| Validation accuracy | {100 * last.accuracy:.2f} % | measured on held-out images |")
    for name, value in last.costs.items():
        objective = OBJECTIVES[name]
        lines.append(f"| {objective.label} | {value:,.0f} ({format_value(objective, value)}) | {exactly(objective)} |")
    if last.latency_ms is not None:
        objective = OBJECTIVES[LATENCY]
        lines.append(
            f"| {heading(objective)} | {format_value(objective, last.latency_ms)} | measured on cpu ({processor()}), "
            "1 thread, batch 1, onnxruntime |"
        )
    return lines


def waterfall_table(steps: Sequence[StepResult]) -> list[str]:
    """Markdown, a row for each step."""
    heads, rows = waterfall_rows(steps)
    return [_row(heads), _row(["---"] * len(heads)), *(_row(row) for row in rows)]


def waterfall_rows(steps: Sequence[StepResult]) -> tuple[list[str], list[list[str]]]:
    """Heads and cells of the table of steps, ready to print."""
    shown = [name for name in COLUMNS if name != LATENCY or all(step.latency_ms is not None for step in steps)]
    heads = ["step", "accuracy", *(heading(OBJECTIVES[name]) for name in shown), "epochs", "time"]
    rows = []
    for step in (step for step in steps if step.accuracy == step.accuracy):  # random weights are no step
        values = {**step.costs, LATENCY: math.nan if step.latency_ms is None else step.latency_ms}
        figures = [format_value(OBJECTIVES[name], values[name]) for name in shown]
        accuracy = format_value(OBJECTIVES["accuracy"], step.accuracy)
        rows.append([step.name, accuracy, *figures, str(step.epochs or ""), format_duration(step.seconds)])
    return heads, rows


def _teacher(job: Job, outcome: Outcome) -> list[str]:
    teacher = job.recipe.teacher
    if teacher is None:
        return []
    lines = [
        f"Taught by `{teacher.name}` (temperature {teacher.temperature:g}, "
        f"weight of the labels {teacher.hard_weight:g})."
    ]
    if outcome.control:
        without = outcome.control.steps[-1].accuracy
        lines.append(
            f"The same without the teacher reaches {100 * without:.2f} %: the teacher was worth "
            f"{100 * outcome.gain:+.2f} points of validation accuracy (the standard error of each is "
            f"{100 * outcome.accuracy_error:.1f} points)."
        )
    return [*lines, ""]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
