"""What does a user ask for? A network, its data, how to make it smaller, and who teaches it: all as one recipe."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from objectives import OBJECTIVES, known_costs
from objectives.latency.device import HOST
from objectives.limits import Limit
from runners.config import DataConfig, TrainingConfig
from runners.datasets import load_dataset
from runners.recipes.pipeline import stage_macs
from runners.recipes.plan import planned_steps
from runners.recipes.pruning import removal_order
from runners.recipes.recipe import Recipe, bits_of
from runners.recipes.steps import Prune
from search_space.errors import UserError
from search_space.graph import FLOAT_BITS
from search_space.pruning.channels import channel_groups
from search_space.pruning.pruned import prune_architecture
from search_space.spec import Architecture

from ..study.spec_file import check_weights
from .sources import Source, check_classes, check_images

Latency = Callable[[Architecture], float]
"""Measured, in milliseconds."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to become of a network."""

    source: Source
    data: DataConfig
    training: TrainingConfig
    """Of the whole network where it is trained from scratch, and the recipe of all fine-tuning."""
    from_scratch: bool
    prune: tuple[float, ...] = ()
    """Share of the MACs to remove: of the network, or of each stage."""
    prune_to: tuple[Limit, ...] = ()
    prune_steps: int = 1
    fine_tune_epochs: int = 0
    bits: tuple[int, ...] = ()
    """Empty: as the network is."""
    qat_epochs: int | None = None
    """None: some where the bits are below 8, none else."""
    average: float = 0.998
    importance: str = "taylor"
    channel_multiple: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if not all(0 < share < 1 for share in self.prune):
            raise UserError(
                "prune: must be a share of the MACs between 0 and 1, or one for each stage such as 0.1/0.3/0.5"
            )
        if self.prune and self.prune_to:
            raise UserError("give --prune or --prune-to, one of the two")
        if self.prune_steps < 1:
            raise UserError(f"prune steps: must be at least 1, not {self.prune_steps}")
        for limit in self.prune_to:
            objective = OBJECTIVES[limit.objective]
            if objective.maximize or limit.kind != "max":
                raise UserError(f"--prune-to {limit}: name a cost, for example latency_ms=0.5")
            if objective.source == "measured" and objective.device != HOST:
                raise UserError(f"--prune-to {limit}: only this host's latency is measured here; use latency_ms")


def recipe_of(request: Request, measure: Latency | None = None) -> Recipe:
    """The request as a recipe; raises UserError where its parts do not fit together, DatasetError without the data.

    `measure` is needed for a pruning target in milliseconds.
    """
    dataset = load_dataset(request.data.name, request.data.path, resolution=request.data.resolution)
    architecture = request.source.architecture
    check_images(request.source.name, architecture, dataset)
    bits = request.bits or bits_of(architecture)
    final = architecture.with_bits(*bits)
    weights = None if request.from_scratch else request.source.weights
    if weights is None and not request.from_scratch:
        raise UserError(f"{request.source.name}: has no weights; train it first with `resfront train`")
    if weights is not None:
        check_classes(request.source, dataset)
        check_weights(request.source.name, architecture, weights)
    targets = _targets(request, final, measure)
    _check_reach(request, architecture, targets, measure)
    is_pruned = bool(targets) or not (request.prune or request.prune_to)
    steps = planned_steps(
        request.training,
        from_scratch=request.from_scratch,
        prune_to=targets,
        fine_tune_epochs=request.fine_tune_epochs if is_pruned or not request.from_scratch else 0,
        bits=bits,
        qat_epochs=_qat_epochs(request, min(bits)),
    )
    return Recipe(
        spec=architecture.to_dict(),
        start="" if weights is None else hashlib.sha256(weights).hexdigest(),
        data=request.data,
        fingerprint=dataset.fingerprint,
        training=request.training,
        steps=steps,
        average=request.average,
        seed=request.seed,
        importance=request.importance,  # type: ignore[arg-type]  # checked by the command line
        channel_multiple=request.channel_multiple,
    )


def _qat_epochs(request: Request, lowest: int) -> int:
    """Epochs at the final bits; raises UserError where none are left for few bits."""
    if lowest == FLOAT_BITS:
        return 0
    if request.qat_epochs is None:
        epochs = request.training.epochs
        return max(1, epochs // (10 if request.from_scratch else 3)) if lowest < 8 else 0
    if lowest < 8 and not request.qat_epochs:
        raise UserError(f"{lowest} bits need --qat-epochs, training at these bits; without it little is left")
    return request.qat_epochs


def _check_reach(
    request: Request, architecture: Architecture, targets: tuple[Prune, ...], measure: Latency | None
) -> None:
    """Raise UserError where even all that can be pruned is not enough."""
    graph = architecture.build_graph()
    groups = channel_groups(graph)
    for target in targets:
        order = removal_order(
            graph, groups, np.zeros(groups.count), stage=target.stage, multiple=request.channel_multiple
        )
        keep = np.ones(groups.count, dtype=bool)
        keep[[group for portion in order for group in portion]] = False
        least = prune_architecture(architecture, groups, keep).with_bits(*(request.bits or bits_of(architecture)))
        if target.stage is not None:
            figure = stage_macs(least.build_graph(), target.stage)
        else:
            figure = _figure(target.figure, least, measure)
        if figure > target.at_most:
            where = "" if target.stage is None else f" of stage {target.stage}"
            hint = " (--channel-multiple 1 leaves less)" if request.channel_multiple > 1 else ""
            numbers = [f"{number:,.0f}" if number >= 100 else f"{number:.3g}" for number in (figure, target.at_most)]
            raise UserError(
                f"{request.source.name}: pruning leaves at least {numbers[0]} {target.figure}{where}, "
                f"asked for are {numbers[1]}{hint}"
            )


def _targets(request: Request, final: Architecture, measure: Latency | None) -> tuple[Prune, ...]:
    """Absolute targets, each step the same share smaller than the one before."""
    steps = range(1, request.prune_steps + 1)
    macs = known_costs(final.build_graph())["macs"]
    if len(request.prune) == 1:
        kept = 1 - request.prune[0]
        return tuple(Prune(at_most=macs * kept ** (step / len(steps))) for step in steps)
    if request.prune:
        graph = final.build_graph()
        found = {number: stage_macs(graph, number) for number in range(1, len(request.prune) + 1)}
        if not all(found.values()) or stage_macs(graph, len(request.prune) + 1):
            raise UserError(f"--prune: {len(request.prune)} shares do not fit the stages of {request.source.name}")
        return tuple(
            Prune(at_most=found[number] * (1 - share) ** (step / len(steps)), stage=number)
            for step in steps
            for number, share in enumerate(request.prune, start=1)
        )
    targets = []
    for limit in request.prune_to:
        now = _figure(limit.objective, final, measure)
        if now <= limit.value:
            continue
        targets += [
            Prune(figure=limit.objective, at_most=now * (limit.value / now) ** (step / len(steps))) for step in steps
        ]
    return tuple(targets)


def _figure(name: str, architecture: Architecture, measure: Latency | None) -> float:
    objective = OBJECTIVES[name]
    if objective.compute is not None:
        return float(objective.compute(architecture.build_graph()))
    if measure is None:
        raise UserError(f"--prune-to {name}: is not measured here")
    return measure(architecture)
