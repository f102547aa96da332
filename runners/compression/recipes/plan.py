"""What a recipe comes to for one network: its steps with their epochs."""

from dataclasses import dataclass, replace

from ...config import TrainingConfig
from .steps import FINE_TUNE_PEAK, Prune, Quantize, Step, Train


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a user asks for; `steps` is what that means."""

    training: TrainingConfig
    from_scratch: bool
    """Whether the network is trained first, for the epochs of `training`."""
    prune_to: tuple[Prune, ...] = ()
    """Targets in order, each followed by its share of the fine-tuning."""
    fine_tune_epochs: int = 0
    bits: tuple[int, ...] = ()
    """Empty: as the network is."""
    qat_epochs: int = 0

    @property
    def steps(self) -> tuple[Step, ...]:
        """In the order in which they are done."""
        peak = self.training.learning_rate
        steps: list[Step] = []
        if self.from_scratch:
            steps.append(Train(epochs=self.training.epochs, peak=peak))
        rounds = _rounds(self.prune_to)
        shares = _shares(self.fine_tune_epochs, max(1, len(rounds)))
        for number, (targets, epochs) in enumerate(zip(rounds or [()], shares, strict=True), start=1):
            suffix = f" {number}" if len(rounds) > 1 else ""
            steps += [replace(target, name=f"prune{suffix}") for target in targets]
            if epochs:
                steps.append(Train(name=f"fine-tune{suffix}", epochs=epochs, peak=peak * FINE_TUNE_PEAK, warmup=False))
        if self.bits and self.bits != (32,):
            steps.append(Quantize(bits=self.bits, epochs=self.qat_epochs, peak=peak * FINE_TUNE_PEAK))
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
