"""How are networks and figures put into words? One wording for plots, tables, reports and the command line."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from objectives import OBJECTIVES, Limit, Objective
from runners.candidate import ACCURACY, Observation
from runners.config import SHIPPED, TrainingConfig
from runners.trial_record import Status
from search_space.blocks import BLOCKS
from search_space.graph import FLOAT_BITS
from search_space.settings import read_settings
from search_space.texts.counting import count_of

_PREFIXES = ("", "k", "M", "G", "T", "P")
_SYMBOLS = {"bytes": "B", "MACs": "", "parameters": "", "bit operations": ""}
"""Units that are counted and take an SI prefix, and what stands behind the prefix; a count's name is its unit."""

Z95 = 1.959964
"""Standard deviations on either side of the mean that hold 95 % of a normal distribution."""
INTERVAL_NOTE = "± gives the 95 % interval for that many images; another training differs besides"
"""Explains what stands behind accuracies in tables."""


def describe_spec(spec: Mapping[str, Any]) -> str:
    """A network in one line: `ResNet-32 basic+SE · widths 16/24/48 · 32 px · 8 bits`.

    `spec` is the dict of an `ArchSpec` or of a named reference. It is taken as valid, for a study has ten thousand.
    """
    if "pruned" in spec:
        return f"{describe_spec(spec['pruned'])} · pruned"
    if "reference" in spec:
        multiplier = spec.get("width_multiplier", 1.0)
        name = spec["reference"] if multiplier == 1 else f"{spec['reference']}@{multiplier:g}"
        return f"{name} · {spec['resolution']} px · {_bits([spec['bits']])}"
    stages = spec["stages"]
    depth = 2 + sum(stage["num_blocks"] * BLOCKS[stage["block"]].layers for stage in stages)
    blocks = _merged(block_name(stage) for stage in stages)
    widths = "/".join(str(stage["width"]) for stage in stages)
    bits = _bits(stage["bits"] for stage in stages)
    return f"ResNet-{depth} {blocks} · widths {widths} · {spec['resolution']} px · {bits}"


def block_name(stage: Mapping[str, Any]) -> str:
    """A stage's block as it is written everywhere: `basic`, `ghost+SE`."""
    return f"{stage['block']}+SE" if stage["se"] else str(stage["block"])


def heading(objective: Objective) -> str:
    """The objective's name without its unit, for places where each value carries it."""
    return objective.label.partition(" (")[0]


def format_value(objective: Objective, value: float) -> str:
    """A value with its unit: `91.20 %`, `12.3 M`, `147 kB`, `1.25 ms`; a dash where it is unknown (NaN)."""
    if value != value:
        return "–"
    if objective.unit == "fraction":
        return f"{100 * value:.2f} %"
    if objective.unit in _SYMBOLS:
        text, prefix = _scaled(value)
        return f"{text} {prefix}{_SYMBOLS[objective.unit]}".rstrip()
    return f"{value:.3g} {objective.unit}".rstrip() if abs(value) < 999.5 else f"{value:.0f} {objective.unit}".rstrip()


def format_metric(metric: Objective, value: float) -> str:
    """A value of a study's metric with its unit, of an accuracy with one decimal of per cent: `73.5 %`."""
    return f"{100 * value:.1f} %" if metric.unit == "fraction" else format_value(metric, value)


def notes_on(objectives: Iterable[Objective]) -> list[str]:
    """What those of the objectives are whose name does not say it: `Packed size: weights and scales ...`."""
    return [f"{heading(objective)}: {objective.note}" for objective in objectives if objective.note]


def describe_limit(limit: Limit) -> str:
    """`File size at most 300 kB`."""
    objective = OBJECTIVES[limit.objective]
    relation = "at most" if limit.kind == "max" else "at least"
    return f"{heading(objective)} {relation} {format_value(objective, limit.value)}"


def format_figure(objective: Objective, row: Any) -> str:
    """A trial's value with its unit, and how well it is known: `73.5 % ±1.9`, `1.25 ms (predicted 1.2)`.

    Behind an accuracy stands half of its 95 % interval in points, behind a measured latency its prediction, where there
    is one. `row` is one of `StudyResults.trials`.
    """
    interval = accuracy_interval(row) if objective.name == ACCURACY else None
    if interval is not None:
        return f"{100 * row['accuracy']:.1f} % ±{50 * (interval[1] - interval[0]):.1f}"
    text = format_value(objective, row[objective.name])
    measured = row["record"].latency if objective.source == "measured" else {}
    predicted = measured.get(objective.name, {}).get("predicted_ms")
    return text if predicted is None else f"{text} (predicted {predicted:.3g})"


def first_metric(row: Any, metric: Objective) -> float:
    """Return the study's metric in a trial's first training; the metric's own column has the mean of all.

    `row` is one of `StudyResults.trials`.
    """
    return float(row["first_metric"] if row["trainings"] > 1 else row[metric.name])


def describe_trainings(row: Any, metric: Objective) -> str:
    """`mean of 2 trainings; the first had 74.60 %, 1.1 points more`; empty for a single one."""
    if not row["trainings"] > 1:
        return ""
    first = row["first_metric"]
    how = _apart(metric, first, row[metric.name])
    return f"mean of {row['trainings']} trainings; the first had {format_value(metric, first)}, {how}"


def _apart(metric: Objective, value: float, other: float) -> str:
    """By how much a value of the metric is more than another: `1.1 points more`, `3 % less`, `the same`."""
    if metric.unit == "fraction":
        off, amount = 100 * (value - other), f"{abs(100 * (value - other)):.1f} points"
    else:
        off = 100 * (value - other) / max(abs(other), 1e-12)
        amount = f"{abs(off):.2g} %"
    return f"{amount} {'more' if off > 0 else 'less'}" if abs(off) >= 0.05 else "the same"


def accuracy_interval(row: Any) -> tuple[float, float] | None:
    """The 95 % interval of a trial's accuracy for its validation images; None where these or the accuracy are unknown.

    `row` is one of `StudyResults.trials`.
    """
    observation = row["record"].observation
    if observation is None or math.isnan(observation.accuracy):
        return None
    return wilson_interval(row["accuracy"], observation.validation_images)


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share that was found in `count` cases (Wilson 1927)."""
    centre = (share + Z95**2 / (2 * count)) / (1 + Z95**2 / count)
    half = Z95 / (1 + Z95**2 / count) * math.sqrt(share * (1 - share) / count + Z95**2 / (4 * count**2))
    return centre - half, centre + half


def format_duration(seconds: float) -> str:
    """`48 s`, `12 min 5 s`, `3 h 20 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


_ORDER = (Status.COMPLETED, Status.DUPLICATE, Status.STOPPED, Status.REJECTED, Status.FAILED, Status.RUNNING)


def count_by_status(statuses: Iterable[str]) -> str:
    """`18 completed, 7 rejected`, in that order of the search; empty where there is nothing to count."""
    counts = Counter(statuses)
    return ", ".join(f"{counts[status]} {status}" for status in _ORDER if counts[status])


def describe_metric(metric: Objective, validation_images: int) -> str:
    """How the study's metric was measured, for the foot of a table of it."""
    measured = f"{heading(metric)} on {count_of(validation_images, 'validation image')}"
    return f"{measured}; {INTERVAL_NOTE}" if metric.name == ACCURACY else measured


def describe_images(classes: int, training: int, validation: int, source: str) -> str:
    """`43 classes; 4,000 images to train on, 540 to validate (the data set's own validation split)`."""
    return f"{classes} classes; {training:,} images to train on, {validation:,} to validate ({source})"


def describe_proxy(training: Mapping[str, Any], observation: Observation | None) -> str:
    """What the accuracies mean: `6 epochs of 10,000 images, the first 5 at 0.5 of the resolution; accuracy on ...`.

    `training` is the configuration's table. The numbers of images are those of `observation` where there is one, since
    a data set may hold fewer than the configuration asks for.
    """
    images, validation = training["images"], training["validation_images"]
    if observation is not None:
        images, validation = observation.training_images, observation.validation_images
    if training["evaluator"]:
        seen = f"; measured on {count_of(validation, 'validation image')}" if observation is not None else ""
        return f"{training['evaluator']}{seen}"
    epochs, reduced = count_of(training["epochs"], "epoch"), read_settings(TrainingConfig, training).reduced_epochs
    scaled = f", the first {reduced} at {training['resolution_scale']:.3g} of the resolution" if reduced else ""
    trained_on = count_of(images, "image") if images else "all images"
    measured_on = count_of(validation, "held-out validation image") if validation else "all held-out validation images"
    return f"{epochs} of {trained_on}{scaled}; accuracy on {measured_on}"


def describe_latency(measured: Mapping[str, Any]) -> str:
    """How a latency is known: `measured in int8 on cpu (Xeon ...), 1 thread, onnxruntime 1.32.0; p90 0.31 ms ...`."""
    parts = [
        f"measured in {measured['precision']} on {measured['device']} ({measured['processor']}), "
        f"{count_of(measured['threads'], 'thread')}, batch 1, {measured['runtime']}",
        f"median of {count_of(measured['runs'], 'run')}, p90 {measured['p90_ms']:.3g} ms",
    ]
    if "predicted_ms" in measured:
        parts.append(f"predicted {measured['predicted_ms']:.3g} ms")
    return "; ".join(parts)


def parameter_label(name: str) -> str:
    """A sampler's parameter as a label: `width_multiplier2` -> `width multiplier 2`."""
    stem = name.rstrip("0123456789")
    return f"{stem.replace('_', ' ')} {name[len(stem) :]}".rstrip()


def _scaled(value: float) -> tuple[str, str]:
    # Rounding comes first, so that 999,600 is 1 M and not 1000 k.
    scaled = float(f"{value:.3g}")
    for prefix in _PREFIXES:
        if abs(scaled) < 1000 or prefix == _PREFIXES[-1]:
            break
        scaled /= 1000
    return f"{scaled:.3g}", prefix


def _merged(values: Iterable[str]) -> str:
    """One value where all agree, else all of them, separated by slashes."""
    listed = list(values)
    return listed[0] if len(set(listed)) == 1 else "/".join(listed)


def _bits(bits: Iterable[int]) -> str:
    text = _merged(str(value) for value in bits)
    return "float" if text == str(FLOAT_BITS) else f"{text} bits"


def saved_training(stopped: int, saved: float) -> str:
    """What early stopping saved, a share of all training, or what rungs cost beyond that; empty where it is neither."""
    if math.isnan(saved) or (not stopped and saved > -0.005):
        return ""
    trials = f"{count_of(stopped, 'trial')} stopped early"
    if saved < 0:
        return f"{trials}; the rungs cost {-100 * saved:.0f} % more training than that saved"
    return f"{trials}: {100 * saved:.0f} % of the training saved"


def describe_prior(earlier_studies: Iterable[str]) -> str:
    """What a study knows from earlier ones: `trainings that come with resfront, and the studies gate, barn`."""
    earlier_studies = tuple(earlier_studies)
    shipped = ["trainings that come with resfront"] if SHIPPED in earlier_studies else []
    own = [name for name in earlier_studies if name != SHIPPED]
    named = [f"the {'study' if len(own) == 1 else 'studies'} {', '.join(own)}"] if own else []
    return ", and ".join([*shipped, *named]) or "none"
