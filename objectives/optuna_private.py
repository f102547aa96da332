"""Functions on Pareto fronts that are private in Optuna and may change with its version; this file alone uses them."""

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def non_dominated(rows: Matrix) -> NDArray[np.bool_]:
    """Return which of the `rows` (points, objectives), all minimised, no other dominates.

    They must differ, and be in lexicographic order.
    """
    from optuna.study._multi_objective import _is_pareto_front

    return _is_pareto_front(rows, assume_unique_lexsorted=True)


def dominated_volume(rows: Matrix, worst: Matrix) -> float:
    """Return the volume between the point `worst` (objectives,) and what the `rows` dominate (While et al. 2012, WFG).

    The rows (points, objectives) must be better than `worst` in each objective.
    """
    from optuna._hypervolume import compute_hypervolume

    return float(compute_hypervolume(rows, worst))
