"""How do networks fare on equal terms? All trained by one recipe, at one bit-width unless they have their own."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from objectives import known_costs
from runners.config import DataConfig, TrainingConfig
from runners.datasets import load_dataset
from runners.networks.network_cache import Trained
from runners.networks.train_once import train_all
from runners.recipes.recipe import trained_recipe
from search_space.graph import FLOAT_BITS
from search_space.texts.counting import count_of

from ..final.sources import check_images
from .device_comparison import Comparison, Contender


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One network beside the others."""

    contender: Contender
    costs: dict[str, float]
    latency_ms: float
    """On the first device; NaN where it cannot run there."""
    dominated_by: tuple[str, ...]
    """Networks of the front that are no worse in accuracy, latency and size, and better in one of them."""


def train_contenders(
    contenders: Sequence[Contender],
    data: DataConfig,
    training: TrainingConfig,
    *,
    seed: int = 0,
    average: float = 0.998,
    workers: int = 1,
    threads: int = 1,
    device: str = "cpu",
    progress: Callable[[str], None] = lambda line: None,
) -> list[Contender]:
    """The contenders with the accuracy on held-out images after the same training; what is trained once is kept.

    Raises UserError for a network that does not take the data's images.
    """
    dataset = load_dataset(data.name, data.path, resolution=data.resolution)
    for contender in contenders:
        check_images(contender.name, contender.architecture, dataset)
    recipes = [
        trained_recipe(
            contender.architecture, data, training, fingerprint=dataset.fingerprint, seed=seed, average=average
        )
        for contender in contenders
    ]

    def tell(position: int, found: Trained) -> None:
        name = contenders[position].name
        progress(f"{name}: {100 * found.accuracy:.2f} % after {count_of(found.epochs, 'epoch')}, {found.seconds:.0f} s")

    found = train_all(recipes, workers=workers, threads=threads, device=device, on_network=tell)
    return [replace(contender, accuracy=one.accuracy) for contender, one in zip(contenders, found, strict=True)]


def standings(comparison: Comparison) -> tuple[Standing, ...]:
    """Every network, and by which of the front it is dominated on the first device."""
    latencies = comparison.columns[0].latency_ms
    found = [
        Standing(contender=one, costs=known_costs(one.architecture.build_graph()), latency_ms=latency, dominated_by=())
        for one, latency in zip(comparison.contenders, latencies, strict=True)
    ]
    front = [one for one in found if one.contender.from_study]
    return tuple(
        replace(one, dominated_by=tuple(other.contender.name for other in front if _dominates(other, one)))
        for one in found
    )


def conclusion(found: Sequence[Standing]) -> str:
    """Return what the standings say of the study's front against the others; empty where there are not both.

    What speaks against the front: a network that dominates one of it, and one that is more accurate than all of it.
    """
    whole = [one for one in found if not any(map(math.isnan, _losses(one)))]
    front = [one for one in whole if one.contender.from_study]
    others = [one for one in whole if not one.contender.from_study]
    if not front or not others:
        return ""
    beaten = []
    for other in others:
        names = [one.contender.name for one in front if _dominates(other, one)]
        if names:
            beaten.append(f"{other.contender.name} dominates {', '.join(names)} of the front")
    lines = beaten or ["no other network dominates one of the front"]
    lowest = [
        {min(node.bits for node in one.contender.architecture.build_graph().nodes) for one in group}
        for group in (front, others)
    ]
    if FLOAT_BITS not in lowest[0] and lowest[1] == {FLOAT_BITS}:
        lines.append("the others are in float, and the front is not: --bits 8 compares them at 8 bits")
    ours, theirs = (max(group, key=lambda one: one.contender.accuracy) for group in (front, others))
    if (ahead := 100 * (theirs.contender.accuracy - ours.contender.accuracy)) > 0:
        lines.append(
            f"the most accurate is {theirs.contender.name}, {ahead:.1f} points above {ours.contender.name}, the best "
            f"of the front, at {theirs.latency_ms / ours.latency_ms:.2g} times the latency and "
            f"{theirs.costs['file_bytes'] / ours.costs['file_bytes']:.2g} times the size"
        )
    return "; ".join(lines)


def _dominates(one: Standing, other: Standing) -> bool:
    ours, theirs = _losses(one), _losses(other)
    if any(math.isnan(value) for value in (*ours, *theirs)):
        return False
    return ours != theirs and all(a <= b for a, b in zip(ours, theirs, strict=True))


def _losses(one: Standing) -> tuple[float, float, float]:
    return -one.contender.accuracy, one.latency_ms, one.costs["file_bytes"]
