"""How does a line of several parts fit a terminal? It drops whole parts, the least important first."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a line."""

    text: str
    rank: int = 0
    """Parts of the highest rank are dropped first; rank 0 stays whatever the width."""
    before: str = "  "
    """What separates it from the part before it."""


def fitted_line(parts: Sequence[Part], width: int | None = None) -> str:
    """Join the parts in at most `width` columns, if those of rank 0 have room; all of them without a width."""
    kept = [part for part in parts if part.text]
    while width is not None and len(_joined(kept)) > width and any(part.rank for part in kept):
        least = max(part.rank for part in kept)
        kept = [part for part in kept if part.rank < least]
    return _joined(kept)


def _joined(parts: Sequence[Part]) -> str:
    return "".join(part.before * (number > 0) + part.text for number, part in enumerate(parts))
