"""How far is a candidate trained? Rung by rung, each a complete schedule longer than the last, while there is hope.

All begin with the first rung, and whoever cannot reach the front at its own cost any more, as finished trials tell, is
stopped: between rungs, or after an epoch. Networks whose training ends quantized have another schedule than those that
are quantized afterwards; neither says anything of the other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from search_space.spec import ArchSpec

from ..config import SearchConfig, TrainingConfig
from ..trial_record import Forecast, Rung
from .forecast import LEAST_FINISHED, Forecaster

LEAST_BATCH = 32


@dataclass(frozen=True, slots=True)
class Hurdle:
    """What a trial must reach in the end to be worth its training."""

    accuracy: float
    set_by: str
    """Where the accuracy comes from, as a clause for use after 'and'."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Why a trial goes no further, and what it would probably have reached."""

    reason: str
    forecast: Forecast


def rung_trainings(training: TrainingConfig, shares: Sequence[float]) -> tuple[TrainingConfig, ...]:
    """The schedule of each rung, the last being `training` itself.

    A rung of a quarter of the training has half of its epochs on half of its images, in batches of half the size.
    """
    found = []
    for share in shares:
        epochs = max(math.ceil(training.epochs * share), round(training.epochs * math.sqrt(share)))
        images = round(training.images * training.epochs * share / epochs)
        found.append(
            replace(
                training,
                images=max(LEAST_BATCH, images),
                epochs=epochs,
                batch_size=max(min(LEAST_BATCH, training.batch_size), round(training.batch_size * math.sqrt(share))),
            )
        )
    return (*found, training)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Over one trial on one rung: below which accuracy it stops, and why."""

    hurdle: Hurdle | None
    """None where anything will do."""
    log_macs: float
    forecasters: tuple[Forecaster | None, ...]
    """After each epoch of the rung; None where too few finished trials, or what they were like there, can tell."""
    rung: str
    """Where it is, for a message; empty where there is one rung only."""
    confidence: float
    """For a message."""

    @property
    def floors(self) -> tuple[float, ...]:
        """For each epoch but the last, which ends the rung, what a worker stops below; empty for nothing."""
        floors = [self._floor(forecaster) for forecaster in self.forecasters[:-1]]
        return tuple(floors) if any(floors) else ()

    def verdict(self, found: Rung) -> Stop | None:
        """Whether the trial stops after what it found on the rung; None where it goes on."""
        epoch = len(found.accuracies)
        forecaster = self.forecasters[epoch - 1]
        if self.hurdle is None or forecaster is None:
            return None
        forecast = forecaster.forecast(found.accuracies[-1], self.log_macs)
        if forecast.optimistic >= self.hurdle.accuracy:
            return None
        now, most = (f"{100 * accuracy:.1f} %" for accuracy in (found.accuracies[-1], forecast.optimistic))
        return Stop(
            reason=f"{now} after epoch {epoch} of {len(self.forecasters)}{self.rung}: would end below {most} "
            f"({100 * self.confidence:g} % sure), and {self.hurdle.set_by}",
            forecast=forecast,
        )

    def _floor(self, forecaster: Forecaster | None) -> float:
        if self.hurdle is None or forecaster is None:
            return 0.0
        return forecaster.floor(self.hurdle.accuracy, self.log_macs)


class Ladder:
    """Knows the rungs of one study and what finished trials have been like on them."""

    def __init__(self, training: TrainingConfig, search: SearchConfig) -> None:
        self.trainings = rung_trainings(training, search.rungs)
        # A training of the user's own is always run to its end: forecasts are of accuracies.
        self._confidence = 0.0 if training.evaluator else search.stop_confidence
        self._finished: dict[bool, list[tuple[Sequence[Rung], float]]] = {False: [], True: []}
        """By whether the training ended quantized."""
        self._forecasters: dict[tuple[bool, int, int], Forecaster | None] = {}

    def learn(self, rungs: Sequence[Rung], spec: ArchSpec, macs: float) -> None:
        """Take up a trial that has gone all the way."""
        self._finished[_ends_quantized(spec)].append((rungs, math.log10(macs)))
        self._forecasters.clear()

    def done(self, rung: int, epoch: int) -> float:
        """Share of a trial's images on all rungs that it has seen after so many epochs of a rung (0 is the first)."""
        if len(self.trainings) == 1:  # where `images` may be 0, for all
            return epoch / self.trainings[0].epochs
        whole = [training.images * training.epochs for training in self.trainings]
        return (sum(whole[:rung]) + self.trainings[rung].images * epoch) / sum(whole)

    def watch(self, rung: int, hurdle: Hurdle | None, spec: ArchSpec, macs: float) -> Watch:
        """Over a trial of so many MACs on a rung (0 is the first), as things stand."""
        quantized = _ends_quantized(spec)
        return Watch(
            hurdle=hurdle,
            log_macs=math.log10(macs),
            forecasters=tuple(self._forecaster(quantized, rung, epoch) for epoch in range(self.trainings[rung].epochs)),
            rung=f", rung {rung + 1} of {len(self.trainings)}" if len(self.trainings) > 1 else "",
            confidence=self._confidence,
        )

    def _forecaster(self, quantized: bool, rung: int, epoch: int) -> Forecaster | None:
        """For that point of the training; None where nobody is to be stopped by it."""
        is_end = rung + 1 == len(self.trainings) and epoch + 1 == self.trainings[rung].epochs
        seen = self._finished[quantized]
        if is_end or not self._confidence or len(seen) < LEAST_FINISHED:
            return None
        if (quantized, rung, epoch) not in self._forecasters:
            found = Forecaster(
                np.array([rungs[rung].accuracies[epoch] for rungs, _ in seen]),
                np.array([log_macs for _, log_macs in seen]),
                np.array([rungs[-1].accuracies[-1] for rungs, _ in seen]),
                self._confidence_of_a_look,
            )
            self._forecasters[quantized, rung, epoch] = found if found.is_telling else None
        return self._forecasters[quantized, rung, epoch]

    @property
    def _confidence_of_a_look(self) -> float:
        """A trial is looked at after every epoch but the very last, and each look has its share of the doubt."""
        looks = max(1, sum(training.epochs for training in self.trainings) - 1)
        return 1.0 - (1.0 - self._confidence) / looks


def _ends_quantized(spec: ArchSpec) -> bool:
    """Whether the last epochs are quantization-aware."""
    return min(spec.bits) < 8
