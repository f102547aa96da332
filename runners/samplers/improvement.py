"""How much would a candidate add to the front? Its expected hypervolume improvement, in closed form.

The region that the front does not dominate is cut into boxes (Lacour et al. 2017). In a box from l to u, a point v adds
the product over the objectives of u - max(l, v) where that is positive. Of independent objectives the mean of the
product is the product of the means: a known one contributes u - max(l, v) itself, one that is normal with mean m and
standard deviation s contributes EI(u) - EI(l), with EI(t) = E[(t - v)+] = s (z Phi(z) + phi(z)), z = (t - m) / s
(Emmerich et al. 2006; Daulton et al. 2020 for the sum over boxes).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Array = NDArray[np.float64]
Boxes = tuple[Array, Array]
"""Lower and upper corners, (boxes, objectives) each."""

_CHUNK = 4_000_000
"""Numbers held at a time."""


def expected_improvement(mean: Array, deviation: Array, undominated: Boxes) -> Array:
    """Expected gain in hypervolume of each candidate, (n,).

    `mean` and `deviation` (n, objectives) describe independent normal losses, all minimised; a deviation of 0 means
    known. The gain is what `undominated` loses, which `undominated_boxes` gives.
    """
    low, high = undominated
    gain = np.empty(len(mean))
    step = max(1, _CHUNK // max(1, len(low)))
    for start in range(0, len(mean), step):
        part = slice(start, start + step)
        product = np.ones((len(mean[part]), len(low)))
        for objective in range(mean.shape[1]):
            product *= _expected_side(
                mean[part, objective, None], deviation[part, objective, None], low[:, objective], high[:, objective]
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


def _expected_side(mean: Array, deviation: Array, low: Array, high: Array) -> Array:
    """E[(high - max(low, v))+] for v normal or, where the deviation is 0, known; (n, boxes)."""
    if not deviation.any():
        return np.maximum(high - np.maximum(low, mean), 0.0)
    return _expected_shortfall(high, mean, deviation) - np.where(
        np.isneginf(low), 0.0, _expected_shortfall(low, mean, deviation)
    )


def _expected_shortfall(level: Array, mean: Array, deviation: Array) -> Array:
    """E[(level - v)+]."""
    spread = np.maximum(deviation, 1e-12)
    z = (np.where(np.isneginf(level), 0.0, level) - mean) / spread
    return np.asarray(spread * (z * ndtr(z) + np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)))
