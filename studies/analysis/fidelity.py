"""How well does a short training rank networks? Some of a study's are trained for longer, and the ranks compared."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from runners.config import StudyConfig, TrainingConfig
from runners.networks.train_once import train_all
from runners.recipes.recipe import Recipe, trained_recipe
from runners.trial_record import Status
from search_space.architectures import architecture_from_dict
from search_space.errors import UserError

from ..results.study_results import StudyResults
from ..study.record import StudyRecord


@dataclass(frozen=True, kw_only=True)
class LongerTrained:
    """One network, trained as in the study and for longer."""

    trial: int
    front: bool
    proxy_accuracy: float
    full_accuracy: float
    proxy_s: float
    full_s: float
    network: str


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """What the comparison says."""

    networks: tuple[LongerTrained, ...]
    epochs: int
    """Of the longer training."""
    images: int
    tau: float
    """Kendall's tau-b between the accuracies; NaN where one of them does not vary."""
    tau_front: float
    """The same among the networks of the front."""
    regret: float
    """Accuracy lost by taking, of these networks, the one that the proxy ranks first."""
    proxy_s: float
    """Mean time of a proxy training."""
    full_s: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON but for NaN."""
        return asdict(self)


def choose_networks(results: StudyResults, top: int, seed: int = 0) -> list[int]:
    """`top` trials spread over the front by accuracy, its ends included, and as many others at random.

    Raises UserError where the study has too few.
    """
    front = results.front.sort_values("accuracy")["trial"].tolist()
    evaluated = results.of_status(Status.COMPLETED)
    others = sorted(set(evaluated["trial"]) - set(front))
    if len(front) + len(others) < 3:
        raise UserError(f"{results.name}: has {len(evaluated)} evaluated networks; at least 3 are needed")
    spread = np.unique(np.linspace(0, len(front) - 1, min(top, len(front))).round().astype(int))
    rng = np.random.default_rng(seed)
    random = rng.choice(others, size=min(top, len(others)), replace=False).tolist() if others else []
    return [int(front[i]) for i in spread] + sorted(int(trial) for trial in random)


def longer_recipe(config: StudyConfig, fingerprint: str, spec: dict[str, Any], epochs: int, images: int) -> Recipe:
    """Training of a network at its own resolution and bits, on more images, for more epochs than the proxy's."""
    training: TrainingConfig = replace(
        config.training, epochs=epochs, images=images, validation_images=0, resolution_scale=1.0
    )
    architecture = architecture_from_dict(spec)
    return trained_recipe(architecture, config.data, training, fingerprint=fingerprint, seed=config.search.seed)


def measure_fidelity(
    results: StudyResults,
    record: StudyRecord,
    *,
    top: int,
    epochs: int,
    images: int = 0,
    workers: int = 1,
    threads: int = 1,
    device: str = "cpu",
    progress: Callable[[int, LongerTrained], None] = lambda done, network: None,
) -> Fidelity:
    """Train the chosen networks for longer, what is not kept already, and compare."""
    rows = results.trials.set_index("trial").loc[choose_networks(results, top)]
    config, fingerprint = record.config, record.dataset_fingerprint
    recipes = [longer_recipe(config, fingerprint, dict(record.spec), epochs, images) for record in rows["record"]]
    networks: dict[int, LongerTrained] = {}

    def take(position: int, found: Any) -> None:
        row = rows.iloc[position]
        networks[position] = LongerTrained(
            trial=int(rows.index[position]),
            front=bool(row["front"]),
            proxy_accuracy=float(row["accuracy"]),
            full_accuracy=found.accuracy,
            proxy_s=float(row["duration_s"]),
            full_s=found.seconds,
            network=str(row["network"]),
        )
        progress(len(networks), networks[position])

    train_all(recipes, workers=workers, threads=threads, device=device, on_network=take)
    return fidelity_of([networks[position] for position in range(len(recipes))], epochs, images)


def shortness(results: StudyResults, epochs: int, images: int) -> str | None:
    """What is to be said where the longer training sees no more images than the proxy; 0 `images` are all."""
    if not images or results.observation is None:
        return None
    proxy_images, proxy_epochs = results.observation.training_images, results.config["training"]["epochs"]
    if epochs * images > proxy_epochs * proxy_images:
        return None
    return (
        f"{epochs} x {images:,} images are not more than the proxy's {proxy_epochs} x {proxy_images:,}: "
        "this is no longer training, and says little"
    )


def fidelity_of(networks: Sequence[LongerTrained], epochs: int, images: int) -> Fidelity:
    """The figures of networks that have been trained."""
    table = pd.DataFrame([asdict(network) for network in networks])
    first = table.sort_values("proxy_accuracy", ascending=False).iloc[0]
    return Fidelity(
        networks=tuple(networks),
        epochs=epochs,
        images=images,
        tau=_tau(table),
        tau_front=_tau(table[table["front"]]),
        regret=float(table["full_accuracy"].max() - first["full_accuracy"]),
        proxy_s=float(table["proxy_s"].mean()),
        full_s=float(table["full_s"].mean()),
    )


def _tau(table: pd.DataFrame) -> float:
    if len(table) < 3:
        return math.nan
    return float(kendalltau(table["proxy_accuracy"], table["full_accuracy"]).statistic)
