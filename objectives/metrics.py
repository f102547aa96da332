"""Metrics: what a training measures of a network, described by `metric`; `metric_of` picks the one of a study."""

import re
from collections.abc import Iterable

import numpy as np

from search_space.errors import UserError, shown

from .base import Direction, Objective


def metric(
    name: str, *, label: str, unit: str, direction: Direction, worst: float, best: float, note: str = ""
) -> Objective:
    """Describe a figure that a training of a user's own measures, and that a study may optimise or limit.

    Parameters
    ----------
    name
        Its name in configurations and tables, with the unit, for example ``angle_error_deg``.
    label
        For axes and table heads, with the unit in brackets: ``Angle error (degrees)``.
    unit
        Behind each value; ``fraction`` is shown in per cent.
    direction
        ``minimize`` or ``maximize``.
    worst
        The value of a network that has learned nothing: what is no better counts as nothing.
    best
        The value of a perfect network, or the best that can be hoped for. Positive where it is minimised, because
        what is minimised is compared in logarithms.

    note
        Explanation as a clause, for the places where it is shown.

    Returns
    -------
    Objective
        The metric, to be given to the decorator `evaluator`.

    Raises
    ------
    UserError
        If a value does not fit the direction, or the name cannot be a key of a configuration.
    """
    if not all(isinstance(text, str) for text in (name, label, unit, note)):
        raise UserError(f"metric {shown(name)}: name, label, unit and note must be texts")
    if not all(isinstance(value, int | float) for value in (worst, best)):
        raise UserError(f"metric {name}: worst and best must be numbers, not {shown(worst)} and {shown(best)}")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UserError(f"metric {name!r}: a name has lower-case letters, digits and '_', and begins with a letter")
    if direction not in ("minimize", "maximize"):
        raise UserError(f"metric {name}: direction must be 'minimize' or 'maximize', not {direction!r}")
    if not (np.isfinite([worst, best]).all() and (best > worst if direction == "maximize" else 0 < best < worst)):
        order = "worst < best" if direction == "maximize" else "0 < best < worst"
        raise UserError(f"metric {name}: what is to be {direction}d needs {order}, not worst {worst:g}, best {best:g}")
    return Objective(
        name=name, label=label, unit=unit, direction=direction, source="trained", note=note, worst=worst, best=best
    )


def metric_of(objectives: Iterable[Objective]) -> Objective:
    """Return the metric that a study is about: the first that is learned, one that is maximised before others.

    Raises ValueError where none is learned.
    """
    return min((each for each in objectives if not each.known), key=lambda each: not each.maximize)
