"""How does a recipe become a network? Step by step, with a checkpoint after every epoch.

What is interrupted goes on from its last checkpoint and ends with the same digits (one thread, one kind of processor).
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch

from objectives import OBJECTIVES, known_costs
from search_space.backends.torch_network import GraphNetwork, build_network
from search_space.errors import UserError
from search_space.graph import FLOAT_BITS, Graph
from search_space.spec import Architecture

from ..evaluate import fingerprint_of, load_epoch_images, load_images, load_network
from ..quantization.dequantize import at_bits, refloated
from ..quantization.simulation import QuantizedNetwork, lowest_bits
from ..training.loop import Loss, Trainer, finite, linear_decay, measure_accuracy, one_cycle, resolve_precision
from ..training.resizing import EpochImages
from ..training.weight_average import WeightAverage
from .pruning import prune
from .recipes.recipe import Recipe
from .recipes.results import CurvePoint, Final, StepResult
from .recipes.steps import Prune, Quantize, Step, Train
from .run_state import RunState, restore, save
from .teacher import teacher_loss

Measure = Callable[[Graph], float]
"""Latency of a graph in milliseconds."""


class Interrupted(Exception):
    """Somebody asked for a stop; the checkpoint holds what there is."""


class Pipeline:
    """Runs one recipe; `directory` holds its checkpoint."""

    def __init__(
        self,
        recipe: Recipe,
        directory: Path,
        *,
        device: str = "cpu",
        weights: bytes | None = None,
        measure: Measure | None = None,
        on_epoch: Callable[[CurvePoint], None] = lambda point: None,
        on_step: Callable[[StepResult], None] = lambda result: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.recipe, self.directory, self.device = recipe, directory, torch.device(device)
        self.measure, self.on_epoch, self.on_step, self.should_stop = measure, on_epoch, on_step, should_stop
        self._weights = weights
        self._training_images, self._validation = load_images(
            recipe.data, recipe.training, recipe.architecture.resolution, self.device
        )
        if (found := fingerprint_of(recipe.data)) != recipe.fingerprint:
            raise UserError(
                f"{recipe.data.name}: these are other images (fingerprint {found}) than {recipe.fingerprint}"
            )
        self._float_graph = recipe.architecture.with_bits(FLOAT_BITS).build_graph()
        self.precision = resolve_precision(recipe.training, self._float_graph, self.device)

    def run(self) -> Final:
        """Do what is left to do; raises Interrupted, TrainingDiverged, and UserError where pruning cannot go so far."""
        state = restore(self.directory, self.recipe, self.device) or self._start()
        for step in self.recipe.steps[len(state.steps) - 1 :]:
            started = time.perf_counter()
            done = state.within["seconds"] if state.within else 0.0
            self._do(step, state)
            state.within = None
            epochs = 0 if isinstance(step, Prune) else step.epochs
            self._note(state, step.name, epochs, done + time.perf_counter() - started)
            save(self.directory, self.recipe, state)
        return Final(
            architecture=state.architecture,
            network=state.network.eval(),
            validation=self._validation,
            steps=tuple(state.steps),
            curve=tuple(state.curve),
            precision=str(self.precision).removeprefix("torch."),
        )

    def _start(self) -> RunState:
        torch.manual_seed(self.recipe.seed)
        architecture = self.recipe.architecture
        if self._weights is None:
            network = build_network(architecture.with_bits(FLOAT_BITS))
        else:
            network = load_network(architecture, self._weights)
        network = cast(Any, network).to(self.device, memory_format=torch.channels_last)
        state = RunState(architecture, network)
        self._note(state, "start", 0, 0.0)
        if isinstance(network, QuantizedNetwork):
            state.network = refloated(network, self._training_images)
        state.architecture = architecture.with_bits(FLOAT_BITS)
        return state

    def _do(self, step: Step, state: RunState) -> None:
        if isinstance(step, Prune):
            pruned = prune(
                state.network,
                state.architecture,
                self._training_images,
                self._fits(step),
                importance=self.recipe.importance,
                stage=step.stage,
                multiple=self.recipe.channel_multiple,
            )
            state.architecture, state.network = pruned.architecture, pruned.network
        elif isinstance(step, Quantize):
            state.architecture = state.architecture.with_bits(*step.bits)
            self._quantize(step, state)
        else:
            self._train(step, state, state.network)

    def _quantize(self, step: Quantize, state: RunState) -> None:
        network = at_bits(state.network, state.architecture.build_graph())
        if lowest_bits(network.graph) == FLOAT_BITS:
            return
        quantized = QuantizedNetwork(network, keep_norms=step.epochs > 0)
        quantized.calibrate(self._training_images)
        if step.epochs:
            float_network = state.network
            self._train(step, state, quantized)
            quantized = cast(QuantizedNetwork, state.network)
            assert quantized is not float_network
        quantized.finish()
        state.network = quantized

    def _train(self, step: Train | Quantize, state: RunState, network: GraphNetwork) -> None:
        """Train `network`, which becomes the state's, or goes on from the checkpoint."""
        images = self._epoch_images(len(state.steps))
        trainer = Trainer(
            network,
            images.batches,
            self.recipe.training,
            epochs=step.epochs,
            peak=step.peak,
            schedule=one_cycle if isinstance(step, Train) and step.warmup else linear_decay,
            precision=self.precision,
            loss=self._loss(),
        )
        average = WeightAverage(network, self.recipe.average) if self.recipe.average else None
        trainer.after_step = average.update if average else None
        first, seconds = 0, 0.0
        if within := state.within:
            first, seconds = within["epoch"], within["seconds"]
            network.load_state_dict(within["network"])
            trainer.load_state_dict(within["trainer"])
            if average is not None:
                average.network.load_state_dict(within["average"])
                average.updates = within["updates"]
        for epoch in range(first, step.epochs):
            started = time.perf_counter()
            images.start_epoch(len(state.curve), network)
            trainer.batches = images.batches
            train_loss = finite(trainer.run_epoch(), epoch)
            shown = average.network if average else network
            accuracy = measure_accuracy(shown, images.full_validation(shown))
            took = time.perf_counter() - started
            seconds += took
            point = CurvePoint(
                step=step.name, epoch=len(state.curve) + 1, train_loss=train_loss, accuracy=accuracy, seconds=took
            )
            state.curve.append(point)
            state.within = {
                "epoch": epoch + 1,
                "seconds": seconds,
                "network": network.state_dict(),
                "trainer": trainer.state_dict(),
                "average": average.network.state_dict() if average else None,
                "updates": average.updates if average else 0,
            }
            save(self.directory, self.recipe, state)
            self.on_epoch(point)
            if self.should_stop():
                raise Interrupted
        state.network = average.network.requires_grad_(True) if average else network

    def _epoch_images(self, number: int) -> EpochImages:
        """Return the images of a step; the last epochs of the whole run are those at the full resolution."""
        recipe = self.recipe
        config = replace(recipe.training, epochs=recipe.epochs)
        return load_epoch_images(recipe.data, config, recipe.architecture.resolution, self.device, recipe.seed + number)

    def _loss(self) -> Loss | None:
        teacher, training = self.recipe.teacher, self.recipe.training
        return None if teacher is None else teacher_loss(teacher, training, self.device)

    def _fits(self, step: Prune) -> Callable[[Architecture], bool]:
        bits = self.recipe.bits or (FLOAT_BITS,)

        def figure(architecture: Architecture) -> float:
            graph = architecture.with_bits(*bits).build_graph()
            if step.stage is not None:
                return stage_macs(graph, step.stage)
            objective = OBJECTIVES[step.figure]
            if objective.compute is not None:
                return float(objective.compute(graph))
            if self.measure is None:
                raise UserError(f"prune: {step.figure} is not known before training and not measured here")
            return self.measure(graph)

        return lambda architecture: figure(architecture) <= step.at_most

    def _note(self, state: RunState, name: str, epochs: int, seconds: float) -> None:
        graph = state.architecture.build_graph()
        is_random = self._weights is None and not state.steps
        result = StepResult(
            name=name,
            accuracy=float("nan") if is_random else measure_accuracy(state.network, self._validation),
            costs=known_costs(graph),
            latency_ms=self._latency_ms(graph, state),
            epochs=epochs,
            seconds=seconds,
        )
        state.steps.append(result)
        self.on_step(result)

    def _latency_ms(self, graph: Graph, state: RunState) -> float | None:
        """What was measured before for the same graph: the files differ in their numbers alone."""
        if self.measure is None:
            return None
        if graph != state.timed:
            state.timed, state.latency_ms = graph, self.measure(graph)
        return state.latency_ms


def stage_macs(graph: Graph, stage: int) -> float:
    """MACs of the layers of one stage, 1 being the first."""
    return float(sum(node.macs for node in graph.nodes if node.scope.stage == stage))
