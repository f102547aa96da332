"""What to take home from a study that has ended: its best network within the limits, and the knee of its front."""

import shlex
from typing import Any

from objectives import OBJECTIVES

from ..analysis.trade import noun, share
from ..results.study_results import StudyResults
from ..texts.wording import describe_trainings, format_figure


def next_steps(results: StudyResults, runs: str = "") -> list[str]:
    """Lines that name the best network and the knee, what they use of the limits, and how to go on with them.

    `runs` is the option that says where the study lies, with a space before it, or nothing. The front is not empty.
    """
    chosen = best_and_knee(results)
    lines = [f"{name}:   {describe_choice(results, trial)}" for name, trial in chosen.items()]
    if chosen["best"] == results.marked_knee:
        lines[0] += " (and the knee of the front)"
    exports = [
        f"resfront export {results.name} {'--knee' if name == 'knee' else f'--trial {trial}'} "
        f"-o {results.name}-{name}{runs}"
        for name, trial in chosen.items()
    ]
    if results.metrics:  # its own training is the user's to run in full
        return [*lines, *(f"{'next:' if not position else '':7} {line}" for position, line in enumerate(exports))]
    data = results.config["data"]
    folder = f" --data-dir {shlex.quote(data['path'])}" if "path" in data else ""
    flip = "" if results.config["training"]["flip"] else " --set flip=false"
    train = (
        f"resfront train {results.name}-best --data {data['name']}{folder}{flip} -o {results.name}-trained   # in full"
    )
    return [*lines, *(f"{'next:' if not position else '':7} {line}" for position, line in enumerate([*exports, train]))]


def best_and_knee(results: StudyResults) -> dict[str, int]:
    """The trials of the front's best network, `best`, and of its `knee` where that is another; or neither."""
    if results.front.empty:
        return {}
    best = int(results.best_first(results.front)["trial"].iloc[0])
    knee = results.marked_knee
    return {"best": best} if knee in (None, best) else {"best": best, "knee": int(knee)}


def describe_choice(results: StudyResults, trial: int) -> str:
    """`trial 12, 73.5 % ±1.9 (mean of 2 trainings; ...), uses 82 % of the size allowed`."""
    row = results.trials.set_index("trial").loc[trial]
    value = format_figure(results.metric, row)
    if trainings := describe_trainings(row, results.metric):
        value += f" ({trainings})"
    used = shares_of_limits(results, row)
    if not used:
        return f"trial {trial}, {value}"
    parts = [f"{share(part)} of the {noun(OBJECTIVES[name])}" for name, part in used.items()]
    return f"trial {trial}, {value}, uses {' and '.join(parts)} allowed"


def shares_of_limits(results: StudyResults, row: Any) -> dict[str, float]:
    """Objective -> the share of the limit on it that a trial uses, where there is one and the figure is known."""
    highest = {limit.objective: limit.value for limit in results.limits if limit.kind == "max"}
    return {name: row[name] / most for name, most in highest.items() if row.get(name, float("nan")) == row.get(name)}
