"""Where a network and its teacher come from: by name, or from an exported directory."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from runners.config import DataConfig, TrainingConfig
from runners.datasets import Dataset, load_dataset
from runners.networks.train_once import OnEpoch, train_once
from runners.recipes.recipe import TeacherConfig, check_distillation, trained_recipe
from runners.storage.study_files import WEIGHTS
from search_space.architectures import architecture_from_dict
from search_space.errors import UserError, unknown_name
from search_space.graph import FLOAT_BITS
from search_space.references import reference, reference_names
from search_space.spec import Architecture

from ..export.models import class_names_of
from ..study.spec_file import check_weights, read_spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A network to start from."""

    name: str
    architecture: Architecture
    weights: bytes | None = None
    class_names: tuple[str, ...] | None = None
    """What its weights tell apart, where that is known."""


def check_images(name: str, architecture: Architecture, dataset: Dataset) -> None:
    """Raise UserError unless the network takes the data set's images and tells its classes apart."""
    for what, ours, theirs in (
        ("input channels", architecture.in_channels, dataset.in_channels),
        ("classes", architecture.num_classes, dataset.num_classes),
    ):
        if ours != theirs:
            raise UserError(f"{name}: has {ours} {what}, and {dataset.name} {theirs}")


def check_classes(source: Source, dataset: Dataset) -> None:
    """Raise UserError where the network's weights tell other classes apart than the data set's."""
    if source.class_names not in (None, dataset.class_names):
        theirs, ours = (", ".join(names[:3]) for names in (source.class_names or (), dataset.class_names))
        raise UserError(
            f"{source.name}: its weights tell {theirs} ... apart, and the classes of {dataset.name} are {ours} ...; "
            "train its spec on these images instead"
        )


def named_source(name: str, dataset: Dataset, resolution: int | None = None) -> Source:
    """A named network made to fit the data, at the images' resolution unless it is given; raises UserError."""
    architecture = reference(
        name,
        resolution=resolution or dataset.resolution,
        num_classes=dataset.num_classes,
        in_channels=dataset.in_channels,
    )
    return Source(name=name, architecture=architecture)


def directory_source(path: Path) -> Source:
    """The network of a spec file or of a directory with spec.json, its weights with it; raises UserError."""
    weights = path / WEIGHTS
    return Source(
        name=path.resolve().name if path.is_dir() else path.stem,
        architecture=read_spec(path),
        weights=weights.read_bytes() if weights.exists() else None,
        class_names=class_names_of(path),
    )


def teacher_of(
    name: str,
    data: DataConfig,
    training: TrainingConfig,
    *,
    resolution: int,
    temperature: float = 4.0,
    hard_weight: float = 0.3,
    average: float = 0.998,
    seed: int = 0,
    device: str = "cpu",
    on_epoch: OnEpoch = lambda point: None,
) -> TeacherConfig:
    """The teacher called `name`: an exported directory as it is, a named network trained with `training`, once.

    A known name is never a directory; `./resnet20` is one.

    Raises UserError for one that does not fit the data.
    """
    check_distillation(temperature, hard_weight)  # before anything is trained for it
    dataset = load_dataset(data.name, data.path, resolution=data.resolution)
    is_named = name.partition("@")[0] in reference_names()
    if not is_named and not Path(name).exists():
        raise UserError(f"--distill-from: {unknown_name('reference', name, reference_names())}, and no directory")
    source = named_source(name, dataset, resolution) if is_named else directory_source(Path(name))
    check_images(name, source.architecture, dataset)
    if not is_named:
        path, architecture = Path(name) / WEIGHTS, source.architecture
        if source.weights is None:
            raise UserError(f"{name}: has no {WEIGHTS}; a teacher must be trained")
        check_classes(source, dataset)
        check_weights(name, architecture, source.weights)
    else:
        recipe = trained_recipe(
            source.architecture.with_bits(FLOAT_BITS),
            data,
            training,
            fingerprint=dataset.fingerprint,
            seed=seed,
            average=average,
        )
        found = train_once(recipe, device=device, on_epoch=on_epoch)
        path, architecture = found.weights, architecture_from_dict(found.spec)
    return TeacherConfig(
        name=source.name,
        spec=architecture.to_dict(),
        weights=str(path.resolve()),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        temperature=temperature,
        hard_weight=hard_weight,
    )
