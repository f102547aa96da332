"""How far is a candidate trained? Rung by rung, each a complete schedule longer than the last, while there is hope.

A complete cheap schedule ranks networks better than the start of a dear one. So all begin with the first rung, and
whoever cannot reach the front at its own cost any more, as finished trials tell, is stopped: between rungs, or after an
epoch.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from .config import SearchConfig, TrainingConfig
from .evaluate import Observation
from .ledger import Hurdle
from .stopping import LEAST_FINISHED, Forecast, Forecaster

LEAST_BATCH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """What a trial found on one rung, as far as it got there."""

    accuracies: tuple[float, ...]
    """After each epoch; of the last as it would be deployed."""
    images: int
    """Seen in all, each epoch's counted."""
    seconds: float

    @classmethod
    def of(cls, observation: Observation) -> "Rung":
        points = [point.accuracy for point in observation.curve[:-1]]
        return cls(
            accuracies=(*points, observation.accuracy),
            images=observation.training_images * len(observation.curve),
            seconds=observation.duration_s,
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Rung":
        return cls(**{**data, "accuracies": tuple(data["accuracies"])})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


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
        factor = math.sqrt(share)
        found.append(
            replace(
                training,
                images=max(LEAST_BATCH, round(training.images * factor)),
                epochs=max(1, round(training.epochs * factor)),
                batch_size=max(min(LEAST_BATCH, training.batch_size), round(training.batch_size * factor)),
            )
        )
    return (*found, training)


class Ladder:
    """Knows the rungs of one study and what finished trials have been like on them."""

    def __init__(self, training: TrainingConfig, search: SearchConfig) -> None:
        self.trainings = rung_trainings(training, search.rungs)
        self._confidence = search.stop_confidence
        self._finished: list[tuple[Sequence[Rung], float]] = []
        self._forecasters: dict[tuple[int, int], Forecaster] = {}

    def learn(self, rungs: Sequence[Rung], macs: float) -> None:
        """Take up a trial that has gone all the way."""
        self._finished.append((rungs, math.log10(macs)))
        self._forecasters.clear()

    def floors(self, rung: int, hurdle: Hurdle | None, macs: float) -> tuple[float, ...]:
        """For each epoch of a rung (0 is the first) the accuracy below which a trial is to stop; empty for none."""
        if hurdle is None or not self._confidence:
            return ()
        floors = []
        for epoch in range(self.trainings[rung].epochs - 1):  # after the last one the coordinator decides
            forecaster = self._forecaster(rung, epoch)
            is_telling = forecaster is not None and forecaster.is_telling
            floors.append(forecaster.floor(hurdle.accuracy, math.log10(macs)) if forecaster and is_telling else 0.0)
        return tuple(floors) if any(floors) else ()

    def verdict(self, rung: int, found: Rung, hurdle: Hurdle | None, macs: float) -> Stop | None:
        """Whether a trial stops after what it found on `rung`; None where it goes on."""
        epoch = len(found.accuracies) - 1
        forecaster = self._forecaster(rung, epoch)
        if hurdle is None or not self._confidence or forecaster is None or not forecaster.is_telling:
            return None
        forecast = forecaster.forecast(found.accuracies[-1], math.log10(macs))
        return None if forecast.optimistic >= hurdle.accuracy else self._stop(rung, found, hurdle, forecast)

    def stopped_below_its_floor(self, rung: int, found: Rung, hurdle: Hurdle | None, macs: float) -> Stop:
        """What is to be said of a trial that a worker stopped; the front may have grown since its floors were set."""
        epoch = len(found.accuracies) - 1
        forecaster = self._forecaster(rung, epoch)
        assert forecaster is not None and hurdle is not None
        return self._stop(rung, found, hurdle, forecaster.forecast(found.accuracies[-1], math.log10(macs)))

    def _stop(self, rung: int, found: Rung, hurdle: Hurdle, forecast: Forecast) -> Stop:
        where = f"epoch {len(found.accuracies)} of {self.trainings[rung].epochs}"
        if len(self.trainings) > 1:
            where += f", rung {rung + 1} of {len(self.trainings)}"
        now, most = (f"{100 * accuracy:.1f} %" for accuracy in (found.accuracies[-1], forecast.optimistic))
        return Stop(
            reason=f"{now} after {where}: would end below {most} ({100 * self._confidence:g} % sure), "
            f"and {hurdle.set_by}",
            forecast=forecast,
        )

    def _forecaster(self, rung: int, epoch: int) -> Forecaster | None:
        """For that point of the training; None where too few have been there."""
        if (rung, epoch) not in self._forecasters:
            seen = self._finished
            if len(seen) < LEAST_FINISHED:
                return None
            self._forecasters[rung, epoch] = Forecaster(
                np.array([rungs[rung].accuracies[epoch] for rungs, _ in seen]),
                np.array([log_macs for _, log_macs in seen]),
                np.array([rungs[-1].accuracies[-1] for rungs, _ in seen]),
                self._confidence,
            )
        return self._forecasters[rung, epoch]
