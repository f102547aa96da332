"""Is the result smaller and faster? Costs and latency that rose, compared with those of the network given."""

from collections.abc import Sequence

from objectives import OBJECTIVES
from objectives.device_costs.latency_ms import LATENCY
from runners.recipes.results import StepResult

from ..texts.wording import format_value, heading

LATENCY_SCATTER = 0.05
"""A latency counts as higher where it rose by more than this share: timings of one file differ by a few per cent."""
_NOT_SAID = ("bops",)
"""Costs that follow from bits and MACs, and that no user pays for."""


def regressions(steps: Sequence[StepResult]) -> list[str]:
    """Return one sentence that says what rose between the first and the last step; none where nothing did.

    The first step is the network that was given, at its own bits. Every cost that is known exactly is compared, so that
    a network of other bits with a larger file, or more memory, is said too.
    """
    first, last = steps[0], steps[-1]
    rose = [
        _change(name, before, last.costs[name])
        for name, before in first.costs.items()
        if name not in _NOT_SAID and last.costs[name] > before
    ]
    if _is_slower(first, last):
        assert first.latency_ms is not None and last.latency_ms is not None
        rose.append(_change(LATENCY, first.latency_ms, last.latency_ms))
    return [f"the result is larger or slower than what was given: {'; '.join(rose)}"] if rose else []


def _is_slower(first: StepResult, last: StepResult) -> bool:
    """Whether the network takes longer; one with the same costs is the same graph, timed twice."""
    if first.latency_ms is None or last.latency_ms is None or first.costs == last.costs:
        return False
    return last.latency_ms > (1 + LATENCY_SCATTER) * first.latency_ms


def _change(name: str, before: float, after: float) -> str:
    objective = OBJECTIVES[name]
    return f"{heading(objective)} {format_value(objective, after)} instead of {format_value(objective, before)}"
