"""Which published networks have a name? `reference("resnet56")`, `reference("mobilenetv2@0.5", bits=8)`.

Those that are points of the search space come as an `ArchSpec`, the others as a `ReferenceSpec`; both are an
`Architecture`. One file each (the ResNets share one), imported on first use. Imports the graph, never torch.
"""

from contextlib import suppress
from dataclasses import replace
from typing import Any

from ..errors import SpecError, UserError, unknown_name
from ..spec import Architecture
from .base import NETWORKS, POINTS, ReferenceSpec, check_width_multiplier, layers_on_main_path

__all__ = [
    "SMALL_INPUT_BELOW",
    "ReferenceSpec",
    "layers_on_main_path",
    "reference",
    "reference_names",
    "references_for",
]

SMALL_INPUT_BELOW = 96
"""Below this resolution `reference` takes the `small_input` variant; MobileNetV2 is published down to 96."""


def reference_names() -> tuple[str, ...]:
    """Return the names of the published networks that `reference` knows.

    Returns
    -------
    tuple of str
        The names, sorted. Each may be followed by a width multiplier, as in ``mobilenetv2@0.5``.
    """
    return tuple(sorted({*POINTS, *NETWORKS}))


def reference(
    name: str,
    *,
    resolution: int | None = None,
    num_classes: int | None = None,
    in_channels: int | None = None,
    bits: int | None = None,
) -> Architecture:
    """Return a published network by its name.

    A ResNet keeps its stem at any resolution. The other networks leave out their first two reductions below 96 pixels.

    Parameters
    ----------
    name
        One of `reference_names`, which may be followed by a width multiplier: ``mobilenetv2@0.5``.
    resolution
        Height and width of the image, in pixels; None is as published.
    num_classes
        Number of classes; None is as published.
    in_channels
        Channels of the image; None is as published.
    bits
        Bit-width of weights and activations (2, 3, 4, 6, 8 or 32); None is 32, float.

    Returns
    -------
    Architecture
        An `ArchSpec` if the network is a point of the search space, as the ResNets are, else a `ReferenceSpec`.

    Raises
    ------
    UserError
        If the name is unknown, the multiplier is no number, or a value is out of range.
    """
    base, width_multiplier = _parse(name)
    given = {"resolution": resolution, "num_classes": num_classes, "in_channels": in_channels}
    changes: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
    if base in POINTS:
        point = replace(POINTS[base](width_multiplier), **changes)
        return point if bits is None else point.with_bits(bits)
    if bits is not None:
        changes["bits"] = bits
    spec = ReferenceSpec(name=base, width_multiplier=width_multiplier, small_input=False, **changes)
    return replace(spec, small_input=spec.resolution < SMALL_INPUT_BELOW)


def references_for(resolution: int, num_classes: int, in_channels: int) -> dict[str, Architecture]:
    """Every named network that can be built for such images, by name; some are too deep for small ones."""
    found = {}
    for name in reference_names():
        with suppress(SpecError):
            found[name] = reference(name, resolution=resolution, num_classes=num_classes, in_channels=in_channels)
    return found


def _parse(name: str) -> tuple[str, float]:
    """`mobilenetv2@0.5` -> ("mobilenetv2", 0.5); without a multiplier it is 1."""
    base, at, text = name.partition("@")
    if base not in POINTS and base not in NETWORKS:
        raise UserError(unknown_name("reference", base, reference_names()))
    if not at:
        return base, 1.0
    try:
        width_multiplier = float(text)
    except ValueError:
        raise SpecError(f"width_multiplier: must be a number, as in '{base}@0.5', not {text!r}") from None
    check_width_multiplier(width_multiplier)
    return base, width_multiplier
