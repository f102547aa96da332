"""Which architecture does a spec's dict mean? A point of the search space, a published network, or a pruned one."""

from collections.abc import Mapping
from typing import Any

from .errors import SpecError, shown
from .pruning.pruned import pruned_from_dict
from .references.base import ReferenceSpec
from .spec import Architecture, ArchSpec


def architecture_from_dict(data: Mapping[str, Any]) -> Architecture:
    """The inverse of any architecture's `to_dict`; raises SpecError for what is not one."""
    if not isinstance(data, Mapping):
        raise SpecError(f"spec: must be an object, not {shown(data)}")
    if "pruned" in data:
        return pruned_from_dict(data, architecture_from_dict(data["pruned"]))
    return ReferenceSpec.from_dict(data) if "reference" in data else ArchSpec.from_dict(data)
