"""How do networks fare on equal terms? All trained by one recipe, at one bit-width unless they have their own."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from objectives import known_costs
from runners.config import DataConfig, TrainingConfig
from runners.datasets import load_dataset
from runners.network_cache import Trained
from runners.recipe import trained_recipe
from runners.train_once import train_all
from search_space.counting import count_of

from .comparison import Comparison, Contender
from .final.request import check_images


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
    costs = [known_costs(contender.architecture.build_graph()) for contender in comparison.contenders]
    losses = [
        (-contender.accuracy, latency, cost["file_bytes"])
        for contender, latency, cost in zip(comparison.contenders, latencies, costs, strict=True)
    ]
    return tuple(
        Standing(
            contender=contender,
            costs=costs[i],
            latency_ms=latencies[i],
            dominated_by=tuple(
                other.name
                for j, other in enumerate(comparison.contenders)
                if other.from_study and j != i and _dominates(losses[j], losses[i])
            ),
        )
        for i, contender in enumerate(comparison.contenders)
    )


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    if any(math.isnan(value) for value in (*one, *other)):
        return False
    return all(a <= b for a, b in zip(one, other, strict=True)) and one != other
