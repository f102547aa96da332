"""Samplers, which propose the next candidate: this project's own, Optuna's, and those of plug-ins, by name.

May import `trial_record`.
"""

from .base import SAMPLERS, Sampler, Task, check_sampler, judges_anew, make_sampler, sampler

__all__ = ["SAMPLERS", "Sampler", "Task", "check_sampler", "judges_anew", "make_sampler", "sampler"]
