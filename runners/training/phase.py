"""One phase of a training: a complete schedule of the learning rate, with an average of the weights along the way."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from search_space.backends.torch_network import GraphNetwork

from ..candidate import Epoch
from ..config import TrainingConfig
from .batches import DeviceImages
from .loop import Loss, Trainer, finite, measure_accuracy
from .resizing import EpochImages
from .weight_average import WeightAverage, estimate_norm_statistics


class TrainingPhase:
    """Epochs of one schedule, and what each of them comes to.

    With `average`, the decay of a moving average of the weights, the averaged network is what the phase trains, and all
    accuracies are its own, at the full resolution.

    Without it the network itself is. While the learning rate is high, a network's accuracy says little about its end;
    that of the average of the weights over about one epoch says much more (benchmarks/rung_ways.py). So that is the
    accuracy after all epochs but the last, at the resolution at which they trained; after the last one it is the
    network's own at the full resolution.
    """

    def __init__(
        self,
        network: GraphNetwork,
        images: EpochImages,
        config: TrainingConfig,
        *,
        epochs: range,
        peak: float,
        schedule: Callable[[float], float],
        precision: torch.dtype,
        name: str = "train",
        average: float = 0.0,
        loss: Loss | None = None,
    ) -> None:
        """Train `network` over `epochs`, counted from 0 over all phases of a training."""
        self.network, self.images, self.epochs, self.name = network, images, epochs, name
        self.trainer = Trainer(
            network,
            images.batches,
            config,
            epochs=len(epochs),
            peak=peak,
            schedule=schedule,
            precision=precision,
            loss=loss,
        )
        self.keeps_average = average > 0
        self.average: WeightAverage | None = None
        if self.keeps_average or len(epochs) > 1:
            self.average = WeightAverage(network, average or 1 - 1 / len(images.batches))
            self.trainer.after_step = self.average.update
        self.done = 0

    def run(self) -> Iterator[Epoch]:
        """Train the epochs that are left, yielding after each; raises TrainingDiverged when the loss is no number."""
        for epoch in self.epochs[self.done :]:
            started = time.perf_counter()
            validation = self.images.start_epoch(epoch, self.network)
            self.trainer.batches = self.images.batches
            train_loss = finite(self.trainer.run_epoch(), epoch)
            self.done += 1
            accuracy = self._accuracy(validation)
            seconds = time.perf_counter() - started
            yield Epoch(step=self.name, epoch=epoch + 1, train_loss=train_loss, metric=accuracy, seconds=seconds)

    @property
    def trained(self) -> GraphNetwork:
        """The network that the phase has trained."""
        if self.average is not None and self.keeps_average:
            return self.average.network.requires_grad_(True)
        return self.network

    def state_dict(self) -> dict[str, Any]:
        """Return what it takes to go on as if nothing had happened."""
        return {
            "done": self.done,
            "network": self.network.state_dict(),
            "trainer": self.trainer.state_dict(),
            "average": self.average.network.state_dict() if self.average else None,
            "updates": self.average.updates if self.average else 0,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.done = state["done"]
        self.network.load_state_dict(state["network"])
        self.trainer.load_state_dict(state["trainer"])
        if self.average is not None:
            self.average.network.load_state_dict(state["average"])
            self.average.updates = state["updates"]

    def _accuracy(self, validation: DeviceImages) -> float:
        if self.average is not None and not self.keeps_average and self.done < len(self.epochs):
            estimate_norm_statistics(self.average.network, self.trainer.batches.data)
            return measure_accuracy(self.average.network, validation)
        shown = self.average.network if self.average is not None and self.keeps_average else self.network
        return measure_accuracy(shown, self.images.full_validation(shown))
