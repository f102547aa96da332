"""Running a recipe, step by step: a study's proxy trainings, references, `train` and `compress` alike.

With a directory there is a checkpoint after every epoch. A run that was interrupted goes on from there and ends with
the same digits (on one thread of one kind of processor).
"""

import math
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

from ..candidate import Epoch
from ..network_weights import load_network
from ..quantization.dequantize import at_bits, refloated
from ..quantization.post_training import quantize
from ..quantization.simulation import QuantizedNetwork
from ..training.load_images import fingerprint_of, load_epoch_images, load_images
from ..training.loop import Loss, linear_decay, measure_accuracy, one_cycle, resolve_precision
from ..training.phase import TrainingPhase
from ..training.resizing import EpochImages
from .pruning import prune
from .recipe import Recipe
from .results import Final, StepResult
from .run_state import RunState, restore, save
from .steps import Prune, Quantize, Step, Train
from .teacher import teacher_loss

Measure = Callable[[Graph], float]
"""Latency of a graph in milliseconds."""


class Interrupted(Exception):
    """Raised where `should_stop` asked for it: by a user, or because an epoch was below its threshold."""


class Pipeline:
    """Runs one recipe; `directory` holds its checkpoint, None for a run that keeps none."""

    def __init__(
        self,
        recipe: Recipe,
        directory: Path | None = None,
        *,
        device: str = "cpu",
        weights: bytes | None = None,
        measure: Measure | None = None,
        on_epoch: Callable[[Epoch], None] = lambda point: None,
        on_step: Callable[[StepResult], None] = lambda result: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.recipe, self.directory, self.device = recipe, directory, torch.device(device)
        self.measure, self.on_epoch, self.on_step, self.should_stop = measure, on_epoch, on_step, should_stop
        self._weights = weights
        resolution = recipe.architecture.resolution
        self.training_images, self.validation = load_images(recipe.data, recipe.training, resolution, self.device)
        if (found := fingerprint_of(recipe.data)) != recipe.fingerprint:
            raise UserError(
                f"{recipe.data.name}: these are other images (fingerprint {found}) than {recipe.fingerprint}"
            )
        self._float_graph = recipe.architecture.with_bits(FLOAT_BITS).build_graph()
        self.precision = resolve_precision(recipe.training, self._float_graph, self.device)

    def run(self) -> Final:
        """Do what is left to do; raises Interrupted, TrainingDiverged, and UserError where pruning cannot go so far."""
        found = None if self.directory is None else restore(self.directory, self.recipe, self.device)
        state = found or self._start()
        for step in self.recipe.steps[len(state.steps) - 1 :]:
            started = time.perf_counter()
            done = sum(point.seconds for point in state.curve[state.epochs :])
            self._do(step, state)
            state.phase = None
            epochs = 0 if isinstance(step, Prune) else step.epochs
            is_measured = isinstance(step, Train) and step.epochs > 0
            accuracy = state.curve[-1].metric if is_measured else measure_accuracy(state.network, self.validation)
            seconds = done + time.perf_counter() - started
            self._note(state, step.name, accuracy=accuracy, epochs=epochs, seconds=seconds)
            if self.directory is not None:
                save(self.directory, self.recipe, state)
        return Final(
            architecture=state.architecture,
            network=state.network.eval(),
            validation=self.validation,
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
        accuracy = math.nan if self._weights is None else measure_accuracy(network, self.validation)
        self._note(state, "start", accuracy=accuracy)
        if isinstance(network, QuantizedNetwork):
            state.network = refloated(network, self.training_images)
        state.architecture = architecture.with_bits(FLOAT_BITS)
        return state

    def _do(self, step: Step, state: RunState) -> None:
        if isinstance(step, Prune):
            pruned = prune(
                state.network,
                state.architecture,
                self.training_images,
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
        if not step.epochs:
            state.network = quantize(state.network, state.architecture, self.training_images)
            return
        quantized = QuantizedNetwork(at_bits(state.network, state.architecture.build_graph()), keep_norms=True)
        quantized.calibrate(self.training_images)
        self._train(step, state, quantized)
        quantized = cast(QuantizedNetwork, state.network)
        quantized.finish()
        state.network = quantized

    def _train(self, step: Train | Quantize, state: RunState, network: GraphNetwork) -> None:
        """Train `network`, which becomes the state's, or goes on from the checkpoint."""
        phase = TrainingPhase(
            network,
            self._epoch_images(len(state.steps) - 1),
            self.recipe.training,
            epochs=range(state.epochs, state.epochs + step.epochs),
            peak=step.peak,
            schedule=one_cycle if isinstance(step, Train) and step.warmup else linear_decay,
            precision=self.precision,
            name=step.name,
            average=self.recipe.average,
            loss=self._loss(),
        )
        if state.phase is not None:
            phase.load_state_dict(state.phase)
        for point in phase.run():
            state.curve.append(point)
            if self.directory is not None:
                state.phase = phase.state_dict()
                save(self.directory, self.recipe, state)
            self.on_epoch(point)
            if self.should_stop():
                raise Interrupted
        state.network = phase.trained

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

    def _note(self, state: RunState, name: str, *, accuracy: float, epochs: int = 0, seconds: float = 0.0) -> None:
        graph = state.architecture.build_graph()
        result = StepResult(
            name=name,
            accuracy=accuracy,
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
