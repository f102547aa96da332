"""Evaluation of one candidate: train it as the proxy schedule says, quantize it, measure its accuracy.

Or as a training of the user's own does it, where the study names one (`own_training.py`).
"""

import time
from collections.abc import Callable

from .candidate import ACCURACY, Candidate, Epoch, Evaluation
from .own_training import load_evaluator
from .provenance import evaluation_of
from .recipes.pipeline import Interrupted, Pipeline
from .recipes.recipe import trained_recipe
from .training.load_images import fingerprint_of


def evaluate(candidate: Candidate, on_epoch: Callable[[Epoch], None] = lambda point: None) -> Evaluation:
    """Train and measure one candidate; `on_epoch` is told of each epoch when it is over.

    Raises TrainingDiverged, and UserError (DatasetError) where the data cannot be had. The same candidate gives the
    same digits on one thread of one kind of processor (`Observation.processor`, `threads`, `versions`); elsewhere sums
    are added in another order, and its accuracy is another draw of the same training.
    """
    if candidate.training.evaluator:
        return load_evaluator(candidate.training.evaluator).evaluate(candidate, on_epoch)
    return _train_classifier(candidate, on_epoch)


def _train_classifier(candidate: Candidate, on_epoch: Callable[[Epoch], None]) -> Evaluation:
    """Train the candidate to classify the study's images."""
    started = time.perf_counter()
    recipe = trained_recipe(
        candidate.architecture,
        candidate.data,
        candidate.training,
        fingerprint=fingerprint_of(candidate.data),
        seed=candidate.seed,
        average=0.0,
    )
    curve = list[Epoch]()

    def note(point: Epoch) -> None:
        curve.append(point)
        on_epoch(point)

    def is_below_floor() -> bool:
        return len(curve) <= len(candidate.floors) and curve[-1].metric < candidate.floors[len(curve) - 1]

    pipeline = Pipeline(recipe, device=candidate.device, on_epoch=note, should_stop=is_below_floor)
    try:
        final = pipeline.run()
    except Interrupted:
        final = None
    return evaluation_of(
        candidate,
        None if final is None else final.network,
        metrics={ACCURACY: curve[-1].metric if final is None else final.steps[-1].accuracy},
        float_metrics={ACCURACY: [point for point in curve if not point.quantized][-1].metric},
        curve=curve,
        training_images=len(pipeline.training_images),
        validation_images=len(pipeline.validation),
        precision=str(pipeline.precision).removeprefix("torch."),
        started=started,
    )
