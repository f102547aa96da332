"""What does a study look like? Each figure has a function that gathers its info and one that draws it.

`plot_NAME(results)` is `draw_NAME(NAME_info(results))`. Where there is nothing to draw, the info's `message` says why
and the drawing shows only that. Imports results and wording, never the command line.
"""

from .curves import CurvesInfo, curves_info, draw_curves, plot_curves
from .front.drawing import draw_front, plot_front
from .front.info import FrontInfo, front_info
from .hypervolume import HypervolumeInfo, draw_hypervolume, hypervolume_info, plot_hypervolume
from .importance import ImportanceInfo, draw_importance, importance_info, plot_importance
from .parallel import ParallelInfo, draw_parallel, parallel_info, plot_parallel
from .theme import TEMPLATE, draw_message

__all__ = [
    "TEMPLATE",
    "CurvesInfo",
    "FrontInfo",
    "HypervolumeInfo",
    "ImportanceInfo",
    "ParallelInfo",
    "curves_info",
    "draw_curves",
    "draw_front",
    "draw_hypervolume",
    "draw_importance",
    "draw_message",
    "draw_parallel",
    "front_info",
    "hypervolume_info",
    "importance_info",
    "parallel_info",
    "plot_curves",
    "plot_front",
    "plot_hypervolume",
    "plot_importance",
    "plot_parallel",
]
