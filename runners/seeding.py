"""Where does a search begin? Named references as points of the space, so that they are evaluated first."""

from typing import Any

from search_space.errors import UserError
from search_space.references import reference
from search_space.space import SearchSpace
from search_space.spec import ArchSpec


def reference_params(space: SearchSpace, name: str) -> dict[str, Any]:
    """The sampler's parameters for the reference `name`, at the space's largest resolution and its first bits.

    Raises UserError where it is unknown or no point of the space.
    """
    spec = reference(
        name, num_classes=space.num_classes, in_channels=space.in_channels, resolution=max(space.resolution)
    )
    if not isinstance(spec, ArchSpec):
        raise UserError(f"search.references: '{name}' is no point of the space: it is not made of stages")
    try:
        return space.params_of(spec.with_bits(space.bits[0]))
    except UserError as error:
        message = f"search.references: '{name}' is no point of the space: {error}; --references '' leaves them out"
        raise UserError(message) from None
