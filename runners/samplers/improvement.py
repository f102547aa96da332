"""How much would a candidate add to the front? Its expected hypervolume improvement, in closed form.

The region that the front does not dominate is cut into boxes (Lacour et al. 2017). In a box from l to u, a point v adds
the product over the objectives of u - max(l, v) where that is positive. Of independent objectives the mean of the
product is the product of the means: a known one contributes u - max(l, v) itself, one that is normal with mean m and
standard deviation s contributes EI(u) - EI(l), with EI(t) = E[(t - v)+] = s (z Phi(z) + phi(z)), z = (t - m) / s
(Emmerich et al. 2006; Daulton et al. 2020 for the sum over boxes).
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from .bend import Bend

Array = NDArray[np.float64]
Boxes = tuple[Array, Array]
"""Lower and upper corners, (boxes, objectives) each."""

_CHUNK = 4_000_000
"""Numbers held at a time."""


def expected_improvement(
    mean: Array, deviation: Array, undominated: Boxes, bends: Mapping[int, Bend] | None = None
) -> Array:
    """Expected gain in hypervolume of each candidate, (n,).

    `mean` and `deviation` (n, objectives) describe independent normal losses, all minimised; a deviation of 0 means
    known. Of the objectives in `bends` they describe bent losses. The gain is what `undominated` loses, which
    `undominated_boxes` gives.
    """
    bends = bends or {}
    low, high = undominated
    gain = np.empty(len(mean))
    step = max(1, _CHUNK // max(1, len(low)))
    for start in range(0, len(mean), step):
        part = slice(start, start + step)
        product = np.ones((len(mean[part]), len(low)))
        for objective in range(mean.shape[1]):
            product *= _expected_side(
                mean[part, objective, None],
                deviation[part, objective, None],
                low[:, objective],
                high[:, objective],
                bends.get(objective),
            )
        gain[part] = product.sum(axis=1)
    return gain


def undominated_boxes(front: Array, reference_point: Sequence[float] | Array) -> Boxes:
    """Disjoint boxes that fill what `front` (k, objectives) leaves undominated below `reference_point`.

    The front need not be free of dominated points.
    """
    from optuna._hypervolume.box_decomposition import get_non_dominated_box_bounds

    reference_point = np.asarray(reference_point, dtype=float)
    inside = front[(front < reference_point).all(axis=1)]
    if len(inside) == 0:
        return np.full((1, len(reference_point)), -np.inf), reference_point[None, :]
    low, high = get_non_dominated_box_bounds(inside, reference_point)
    return np.asarray(low), np.asarray(high)


def _expected_side(mean: Array, deviation: Array, low: Array, high: Array, bend: Bend | None) -> Array:
    """E[(high - max(low, v))+] for v normal, bent normal or, where the deviation is 0, known; (n, boxes)."""
    if not deviation.any():
        return np.maximum(high - np.maximum(low, mean), 0.0)

    def shortfall(level: Array) -> Array:
        spread = np.maximum(deviation, 1e-12)
        return _shortfall(level, mean, spread) if bend is None else _bent_shortfall(level, mean, spread, bend)

    # Boxes share their sides, coordinates of the front's members.
    levels, places = np.unique(np.concatenate([np.where(np.isneginf(low), 0.0, low), high]), return_inverse=True)
    below = shortfall(levels)
    return below[:, places[len(low) :]] - np.where(np.isneginf(low), 0.0, below[:, places[: len(low)]])


def _shortfall(level: Array, mean: Array, deviation: Array) -> Array:
    """E[(level - v)+] for v normal."""
    z = (level - mean) / deviation
    return np.asarray(deviation * (z * ndtr(z) + np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)))


def _bent_shortfall(level: Array, mean: Array, deviation: Array, bend: Bend) -> Array:
    """E[(level - v)+] for v whose bend is normal: v = b up to the edge, edge + r (exp((b - edge) / r) - 1) beyond."""
    edge, r = bend.edge, bend.spread
    below = _shortfall(np.minimum(level, edge), mean, deviation)
    beyond = np.maximum(level - edge, 0.0)  # what a level above the edge adds
    a, b = (edge - mean) / deviation, (edge + r * np.log1p(beyond / r) - mean) / deviation
    growth = np.exp(np.minimum((mean - edge) / r + 0.5 * (deviation / r) ** 2, 100.0))
    between = (beyond + r) * (ndtr(b) - ndtr(a)) - r * growth * (ndtr(b - deviation / r) - ndtr(a - deviation / r))
    return np.asarray(below + beyond * ndtr(a) + np.maximum(between, 0.0))
