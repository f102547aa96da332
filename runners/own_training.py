"""A training of a user's own in the place of the built-in one: what it promises, and how it is found.

No torch here, so that a study can be made and looked at without it.
"""

import importlib
import math
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from objectives import OBJECTIVES, Objective
from search_space.errors import UserError, shown, unknown_name

from .candidate import Candidate, Epoch, Evaluation, TrainingDiverged

OnEpoch = Callable[[Epoch], None]
Train = Callable[[Candidate, OnEpoch], Evaluation]


@dataclass(frozen=True, slots=True)
class Evaluator:
    """A training of a user's own, as `training.evaluator` names it; the decorator `evaluator` makes one."""

    train: Train
    metrics: tuple[Objective, ...]
    """What it measures: all of it, whether or not a study has it as an objective."""
    outputs: int | None = None
    """Outputs that its networks have; None for as many as the data has classes."""

    @property
    def name(self) -> str:
        """The text by which a configuration names it: ``package.module:function``."""
        return f"{self.train.__module__}:{self.train.__qualname__}"

    def evaluate(self, candidate: Candidate, on_epoch: OnEpoch = lambda point: None) -> Evaluation:
        """Train one candidate.

        Raises UserError where what comes back is not what was promised, TrainingDiverged where a metric is no number.
        """
        try:
            found = self.train(candidate, on_epoch)
        except SystemExit as error:  # else it would end the worker
            raise RuntimeError(f"the training called sys.exit({error.code})") from error
        except Exception as error:
            self._locate(error)
            raise
        if not isinstance(found, Evaluation):
            raise UserError(
                f"{self.name}: must return an Evaluation (resfront.evaluation_of makes one), not {type(found).__name__}"
            )
        metrics = found.observation.metrics
        if set(metrics) != {metric.name for metric in self.metrics}:
            promised = ", ".join(metric.name for metric in self.metrics)
            raise UserError(f"{self.name}: promises {promised}, and measured {', '.join(metrics) or 'nothing'}")
        for metric in self.metrics:
            value = metrics[metric.name]
            if not math.isfinite(value):
                raise TrainingDiverged(f"{metric.name} is {value}")
            if not metric.maximize and value <= 0:
                raise UserError(
                    f"{self.name}: {metric.name} is minimised, so that it must be positive, not {value:g}; "
                    "add a constant to it"
                )
        if found.observation.stopped:
            raise UserError(f"{self.name}: must return a trained network")
        if found.observation.spec_key != candidate.architecture.key:
            raise UserError(f"{self.name}: returned what was found of another candidate")
        return found

    def _locate(self, error: Exception) -> None:
        """Have the message of an error say where in the user's module it came about; only that reaches the study."""
        file = sys.modules[self.train.__module__].__file__
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
        if file and lines and len(error.args) == 1 and not isinstance(error, UserError):
            words = " ".join(str(error.args[0]).split())
            error.args = (f"{words} ({Path(file).name}, line {lines[-1]})",)


def evaluator(*metrics: Objective, outputs: int | None = None) -> Callable[[Train], Evaluator]:
    """Make the decorated function a training that a study can name: ``training.evaluator = "package.module:function"``.

    The function takes a `Candidate` and a function that it calls with an `Epoch` after each one, and returns an
    `Evaluation`, which `evaluation_of` makes. It runs in worker processes, which import its module.

    Parameters
    ----------
    *metrics
        What it measures, each described by `metric`; or ``OBJECTIVES["accuracy"]``.
    outputs
        Outputs of its networks; by default as many as the data has classes.

    Returns
    -------
    Callable
        Decorator of the function.

    Raises
    ------
    UserError
        If no metric is given, one is known before training, or a name is given twice.
    """
    if not metrics:
        raise UserError("evaluator: name at least one metric that the training measures")
    if not all(isinstance(metric, Objective) for metric in metrics):
        raise UserError("evaluator: write @resfront.evaluator(METRIC, ...), where resfront.metric makes each METRIC")
    names = [metric.name for metric in metrics]
    for metric in metrics:
        if metric.known:
            raise UserError(f"evaluator: {metric.name} is known before training, so it is no metric")
        if names.count(metric.name) > 1:
            raise UserError(f"evaluator: metric {metric.name} is given twice")
    if outputs is not None and (not isinstance(outputs, int) or outputs < 1):
        raise UserError(f"evaluator: outputs must be a whole number from 1, not {shown(outputs)}")
    return lambda train: Evaluator(train, metrics, outputs)


def load_evaluator(name: str) -> Evaluator:
    """Return the training that ``package.module:function`` names, with its metrics known as objectives.

    The module is looked for among installed packages and in the current directory. Raises UserError where there is
    none, or its import fails.
    """
    where = f"training.evaluator {name}"
    module_name, separator, attribute = name.partition(":")
    if not separator or not module_name or not attribute:
        raise UserError(f"{where}: write package.module:function")
    if module_name.startswith((".", "/")):
        raise UserError(f"{where}: write package.module:function, not a path")
    if module_name == "__main__":
        raise UserError(f"{where}: workers cannot import what a script or a notebook defines; put it into a module")
    if (here := str(Path.cwd())) not in sys.path and "" not in sys.path:
        sys.path.append(here)  # the command line's script lies elsewhere
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise UserError(f"{where}: its module needs {error.name}, which is not installed") from None
        raise UserError(
            f"{where}: there is no module {error.name}, neither installed nor in the current directory"
        ) from None
    except (Exception, SystemExit) as error:
        raise UserError(f"{where}: its module cannot be imported: {type(error).__name__}: {error}") from None
    found = getattr(module, attribute, None)
    if not isinstance(found, Evaluator):
        known = [each for each, value in vars(module).items() if isinstance(value, Evaluator)]
        if found is None:
            raise UserError(f"{where}: {unknown_name('training', attribute, known)}")
        raise UserError(f"{where}: decorate it with @resfront.evaluator(...), which says what it measures")
    for metric in found.metrics:
        OBJECTIVES.accept(metric)
    return found
