"""resfront: search lightweight ResNet variants for a device, from Python.

    import resfront

    study = resfront.search("cifar10", trials=20, max={"file_bytes": "350kB"})
    study.plot_front()
    study.export(study.best(), "my-network")

Everything here is public and documented. Names are imported when they are first used, so that `import resfront` is
light: no torch until something trains.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from objectives import OBJECTIVES, Objective, known_costs, metric
    from objectives.base import cost
    from objectives.limits import Limit
    from runners.candidate import Candidate, Epoch, Evaluation
    from runners.datasets import Dataset, load_dataset
    from runners.datasets.base import dataset
    from runners.engines.base import Engine, engine
    from runners.own_training import evaluator
    from runners.provenance import evaluation_of
    from runners.quantization.post_training import quantize
    from runners.samplers import sampler
    from runners.training.batches import DeviceImages
    from runners.training.load_images import candidate_images
    from search_space.backends.torch_network import build_network
    from search_space.blocks import block
    from search_space.errors import UserError
    from search_space.references import reference, reference_names
    from search_space.references.base import network
    from search_space.space import SearchSpace
    from search_space.spec import ArchSpec, StageSpec

    from .measuring import measure
    from .searching import open_study, search
    from .study import Study

_HOMES = {
    "OBJECTIVES": "objectives",
    "Objective": "objectives",
    "known_costs": "objectives",
    "metric": "objectives",
    "cost": "objectives.base",
    "dataset": "runners.datasets.base",
    "Engine": "runners.engines.base",
    "engine": "runners.engines.base",
    "sampler": "runners.samplers",
    "block": "search_space.blocks",
    "network": "search_space.references.base",
    "Limit": "objectives.limits",
    "Candidate": "runners.candidate",
    "Epoch": "runners.candidate",
    "Evaluation": "runners.candidate",
    "evaluator": "runners.own_training",
    "evaluation_of": "runners.provenance",
    "quantize": "runners.quantization.post_training",
    "DeviceImages": "runners.training.batches",
    "candidate_images": "runners.training.load_images",
    "Dataset": "runners.datasets",
    "load_dataset": "runners.datasets",
    "build_network": "search_space.backends.torch_network",
    "UserError": "search_space.errors",
    "reference": "search_space.references",
    "reference_names": "search_space.references",
    "SearchSpace": "search_space.space",
    "ArchSpec": "search_space.spec",
    "StageSpec": "search_space.spec",
    "measure": "resfront.measuring",
    "Study": "resfront.study",
    "open_study": "resfront.searching",
    "search": "resfront.searching",
}
"""Public name -> the module that has it."""

__all__ = [
    "OBJECTIVES",
    "ArchSpec",
    "Candidate",
    "Dataset",
    "DeviceImages",
    "Engine",
    "Epoch",
    "Evaluation",
    "Limit",
    "Objective",
    "SearchSpace",
    "StageSpec",
    "Study",
    "UserError",
    "block",
    "build_network",
    "candidate_images",
    "cost",
    "dataset",
    "engine",
    "evaluation_of",
    "evaluator",
    "known_costs",
    "load_dataset",
    "measure",
    "metric",
    "network",
    "open_study",
    "quantize",
    "reference",
    "reference_names",
    "sampler",
    "search",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'resfront' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
