"""What stands in a line about a trial? While it runs, and when it has ended."""

from collections.abc import Mapping, Sequence

from objectives import OBJECTIVES, Objective
from runners.search.events import EpochEvent, TrialEvent
from runners.trial_record import Status

from ...analysis.trade import noun
from ...texts.wording import describe_spec, format_duration, format_metric, format_value
from .fitted_line import Part, fitted_line

_NAME, _COST, _SECONDS, _DETAIL, _WIDTHS, _TIME_LEFT, _FRONT, _HYPERVOLUME = 1, 2, 9, 10, 11, 12, 13, 14
"""Ranks: what a narrow terminal drops first is the last. Costs take the ranks from `_COST` on."""


def ended_line(event: TrialEvent, *, total: int, objectives: Sequence[str], left: str, width: int | None = None) -> str:
    """The line of a trial that was completed, stopped or failed; a reason is never cut, so that line may be longer.

    `left` says how much time is left; `width` is the terminal's, None where all is to be told.
    """
    digits, trial = len(str(total)), event.trial
    done, spec = Part(f"[{event.evaluated:>{digits}}/{total}]"), trial.spec or {}
    if trial.status != Status.COMPLETED:
        said = f"trial {trial.number} {trial.status}: {trial.reason}"
        return fitted_line([done, Part(said, before="   "), *_network(spec, " | ")], width)
    mark = "*" if event.on_front else " "
    return fitted_line(
        [
            done,
            Part(f"{mark} trial {trial.number:<{digits}}", before=" "),
            *(_figure(name, trial.values[name], position) for position, name in enumerate(objectives)),
            *_network(spec, "  "),
            Part(f"front {event.front_size}", _FRONT, " | "),
            Part(f"hypervolume {event.hypervolume:.4f}", _HYPERVOLUME),
            Part(left, _TIME_LEFT),
        ],
        width,
    )


def confirmed_line(event: TrialEvent, metric: Objective) -> str:
    """The line of a network that was trained once more, with another seed."""
    number, first, again = event.trial.number, event.trial.values[metric.name], event.metric_again
    if again is None:
        return f"trial {number} could not be trained again"
    words = (format_metric(metric, value) for value in (again, first, (first + again) / 2))
    return "trial {} trained again: {}, first {}, mean {}".format(number, *words)


def running_line(
    trial: int,
    spec: Mapping[str, object],
    seconds: float,
    last: EpochEvent | None,
    epochs: int,
    metric: Objective,
    width: int,
) -> str:
    """The line of a trial in training: `trial 7  epoch 4/6  41.2 %  ResNet-20 basic · ...  35 s`.

    `epochs` are those of its training, for the time before the first has been reported.
    """
    rung = f"rung {last.rung}/{last.rungs} " if last is not None and last.rungs > 1 else ""
    epoch = f"{rung}epoch {last.epoch}/{last.epochs}" if last is not None else f"epoch 0/{epochs}"
    value = f"{format_metric(metric, last.metric) if last is not None else '–':>7}"
    parts = [Part(f"trial {trial}"), Part(epoch), Part(value), *_network(spec, "  ")]
    return fitted_line([*parts, Part(format_duration(seconds), _SECONDS)], width)


def _figure(name: str, value: float, position: int) -> Part:
    """An objective with its unit; one that is learned always stays, of the costs the last are dropped first.

    Bytes alone are those of the file.
    """
    objective = OBJECTIVES[name]
    text = f"{format_value(objective, value):>7} {'' if name == 'file_bytes' else noun(objective)}".rstrip()
    return Part(text, 0 if objective.source == "trained" else _COST + position)


def _network(spec: Mapping[str, object], before: str) -> list[Part]:
    """The network in parts: the widths are dropped before the resolution and the bits, its name last."""
    name, *details = describe_spec(spec).split(" · ")
    ranks = [_WIDTHS if detail.startswith("widths") else _DETAIL for detail in details]
    return [Part(name, _NAME, before), *(Part(d, rank, " · ") for d, rank in zip(details, ranks, strict=True))]
