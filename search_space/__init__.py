"""What can be built? Specs, graphs, blocks, references, the space of a study, and graph -> torch module.

Imports no other package of the project. torch is imported only when `build_network` is first asked for.
"""

from typing import TYPE_CHECKING, Any

from .architectures import architecture_from_dict
from .errors import SpecError, UserError
from .graph import Graph, GraphBuilder
from .references import reference, reference_names
from .space import SearchSpace
from .spec import Architecture, ArchSpec, StageSpec

if TYPE_CHECKING:
    from .backends.torch_network import GraphNetwork, build_network

__all__ = [
    "ArchSpec",
    "Architecture",
    "Graph",
    "GraphBuilder",
    "GraphNetwork",
    "SearchSpace",
    "SpecError",
    "StageSpec",
    "UserError",
    "architecture_from_dict",
    "build_network",
    "reference",
    "reference_names",
]


def __getattr__(name: str) -> Any:
    if name in ("GraphNetwork", "build_network"):
        from .backends import torch_network as network

        return getattr(network, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
