"""Steps of a recipe with their epochs, from what a user asks for."""

from dataclasses import replace

from ..config import TrainingConfig
from .steps import FINE_TUNE_PEAK, Prune, Quantize, Step, Train


def planned_steps(
    training: TrainingConfig,
    *,
    from_scratch: bool,
    prune_to: tuple[Prune, ...] = (),
    fine_tune_epochs: int = 0,
    bits: tuple[int, ...] = (),
    qat_epochs: int = 0,
) -> tuple[Step, ...]:
    """Return the steps in the order in which they are done.

    A network that is trained from scratch trains for the epochs of `training` first. Each target of `prune_to` is
    followed by its share of the fine-tuning. No `bits` means that the network stays in float.
    """
    peak = training.learning_rate
    steps: list[Step] = []
    if from_scratch:
        steps.append(Train(epochs=training.epochs, peak=peak))
    rounds = _rounds(prune_to)
    shares = _shares(fine_tune_epochs, max(1, len(rounds)))
    for number, (targets, epochs) in enumerate(zip(rounds or [()], shares, strict=True), start=1):
        suffix = f" {number}" if len(rounds) > 1 else ""
        steps += [replace(target, name=f"prune{suffix}") for target in targets]
        if epochs:
            steps.append(Train(name=f"fine-tune{suffix}", epochs=epochs, peak=peak * FINE_TUNE_PEAK, warmup=False))
    if bits and bits != (32,):
        steps.append(Quantize(bits=bits, epochs=qat_epochs, peak=peak * FINE_TUNE_PEAK))
    return tuple(steps)


def _rounds(targets: tuple[Prune, ...]) -> list[tuple[Prune, ...]]:
    """Targets that are fine-tuned together: those of the stages of one round, else one by one."""
    rounds: list[list[Prune]] = []
    for target in targets:
        last = rounds[-1][-1] if rounds else None
        if last is not None and last.stage is not None and target.stage is not None and target.stage > last.stage:
            rounds[-1].append(target)
        else:
            rounds.append([target])
    return [tuple(found) for found in rounds]


def _shares(total: int, parts: int) -> list[int]:
    """`total` in `parts` nearly equal whole numbers, the larger ones last."""
    return [(i + 1) * total // parts - i * total // parts for i in range(parts)]
