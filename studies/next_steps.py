"""What to take home from a study that has ended: its best network within the limits, and the knee of its front."""

from typing import Any

from objectives import OBJECTIVES
from runners.config import LimitsConfig

from .results import StudyResults
from .trade import share
from .wording import describe_trainings, format_figure, heading


def next_steps(results: StudyResults, runs: str = "") -> list[str]:
    """Lines that name the most accurate network and the knee, what they use of the limits, and how to export them.

    `runs` is the option that says where the study lies, with a space before it, or nothing. The front is not empty.
    """
    best = int(results.front.sort_values("accuracy", ascending=False)["trial"].iloc[0])
    chosen = {"best": (best, f"--trial {best}")}
    if results.knee_trial not in (None, best):
        chosen["knee"] = (int(results.knee_trial or 0), "--knee")
    lines = [f"{name}:   trial {trial}, {_figures(results, trial)}" for name, (trial, _) in chosen.items()]
    exports = [
        f"resfront export {results.name} {option} -o {results.name}-{name}{runs}"
        for name, (_, option) in chosen.items()
    ]
    return [*lines, *(f"{'next:' if not position else '':7} {line}" for position, line in enumerate(exports))]


def _figures(results: StudyResults, trial: int) -> str:
    """`73.5 % ±1.9 (mean of 2 trainings; ...), 82 % of the file size and 23 % of the latency that are allowed`."""
    row = results.trials.set_index("trial").loc[trial]
    accuracy = format_figure(OBJECTIVES["accuracy"], row)
    if trainings := describe_trainings(row):
        accuracy += f" ({trainings})"
    used = shares_of_limits(results, row)
    if not used:
        return accuracy
    parts = [f"{share(part)} of the {heading(OBJECTIVES[name]).lower()}" for name, part in used.items()]
    return f"{accuracy}, uses {' and '.join(parts)} allowed"


def shares_of_limits(results: StudyResults, row: Any) -> dict[str, float]:
    """Objective -> the share of the limit on it that a trial uses, where there is one and the figure is known."""
    limits = LimitsConfig(**results.config["limits"]).max
    return {name: row[name] / most for name, most in limits.items() if row.get(name, float("nan")) == row.get(name)}
