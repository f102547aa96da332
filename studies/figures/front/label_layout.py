"""Where can names stand without covering each other or the points? Plain geometry at the size of a phone's screen.

Names that do not overlap there overlap nowhere: on a wider plot the points are farther apart, the names no wider.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import isotonic_regression

PLOT_WIDTH_PX, PLOT_HEIGHT_PX = 285.0, 220.0
CHARACTER_PX, LINE_PX, MARK_PX = 7.0, 13.0, 8.0


class RowPlace(NamedTuple):
    """A name's place in the rows above a plot."""

    row: int
    """0 is the lowest."""
    anchor: str
    """Which side of the name stands at its position: left, center or right."""


def places_in_rows(names: Sequence[str], positions: Sequence[float], max_rows: int) -> list[RowPlace | None]:
    """A place for each name at its position (share of the width, ascending); None where no row has room left."""
    ends = [-math.inf] * max_rows
    places: list[RowPlace | None] = []
    for name, position in zip(names, positions, strict=True):
        width, at = len(name) * CHARACTER_PX, position * PLOT_WIDTH_PX
        anchor, start = "center", at - width / 2
        if start < 0:
            anchor, start = "left", at
        elif start + width > PLOT_WIDTH_PX:
            anchor, start = "right", at - width
        row = next((row for row, end in enumerate(ends) if end <= start), None)
        if row is not None:
            ends[row] = start + width + CHARACTER_PX
        places.append(None if row is None else RowPlace(row, anchor))
    return places


class SidePlace(NamedTuple):
    """A name's place beside its point."""

    x_anchor: str
    x_shift: int
    y_shift: int
    """Upwards, of the name's middle."""


_SIDES = (
    SidePlace("center", 0, 15),
    SidePlace("center", 0, -15),
    SidePlace("left", 11, 0),
    SidePlace("right", -11, 0),
    SidePlace("left", 8, 13),
    SidePlace("right", -8, 13),
    SidePlace("left", 8, -13),
    SidePlace("right", -8, -13),
)


class _Box(NamedTuple):
    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: "_Box") -> bool:
        across = self.left < other.right and other.left < self.right
        return across and self.bottom < other.top and other.bottom < self.top

    @property
    def outside(self) -> bool:
        return self.left < 0 or self.bottom < 0 or self.right > PLOT_WIDTH_PX or self.top > PLOT_HEIGHT_PX


def places_beside(
    names: Sequence[str], named: Sequence[tuple[float, float]], points: Sequence[tuple[float, float]]
) -> list[SidePlace]:
    """For each name the side of its point (shares of width and height) that covers least of names and `points`."""
    marks = [_box(point, MARK_PX, MARK_PX, SidePlace("center", 0, 0)) for point in points]
    taken: list[_Box] = []
    places = []
    for name, at in zip(names, named, strict=True):
        boxes = [_box(at, len(name) * CHARACTER_PX, LINE_PX, side) for side in _SIDES]
        covered = [
            20 * sum(map(box.overlaps, taken)) + 10 * box.outside + sum(map(box.overlaps, marks)) for box in boxes
        ]
        best = covered.index(min(covered))
        taken.append(boxes[best])
        places.append(_SIDES[best])
    return places


def along(corners: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return points on a line through `corners`, in shares of width and height, so close that no name fits between."""
    found = list(corners[:1])
    for (x0, y0), (x1, y1) in itertools.pairwise(corners):
        length_px = math.hypot((x1 - x0) * PLOT_WIDTH_PX, (y1 - y0) * PLOT_HEIGHT_PX)
        steps = max(1, math.ceil(length_px / MARK_PX))
        found += [(x0 + (x1 - x0) * step / steps, y0 + (y1 - y0) * step / steps) for step in range(1, steps + 1)]
    return found


def _box(at: tuple[float, float], width: float, height: float, side: SidePlace) -> _Box:
    x, y = at[0] * PLOT_WIDTH_PX + side.x_shift, at[1] * PLOT_HEIGHT_PX + side.y_shift
    left = {"left": x, "center": x - width / 2, "right": x - width}[side.x_anchor]
    return _Box(left, y - height / 2, left + width, y + height / 2)


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """The ascending `positions`, moved apart to at least `gap` by moving each as little as can be (least squares).

    They are kept within low..high where they all fit.
    """
    if not positions:
        return []
    gaps = gap * np.arange(len(positions))  # without them this is isotonic regression
    moved = isotonic_regression(np.asarray(positions) - gaps).x
    limit = high - gaps[-1]
    return (np.maximum(low, np.minimum(moved, limit)) + gaps).tolist()  # type: ignore[no-any-return]
