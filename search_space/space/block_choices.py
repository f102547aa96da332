"""Names of blocks in a search space: every registered block, with and without Squeeze-and-Excitation."""

from collections.abc import Iterator, Mapping

from ..blocks import BLOCKS

DEFAULT_BLOCKS = (
    *("basic", "bottleneck", "depthwise", "ghost"),
    *("se", "se_bottleneck", "se_depthwise", "se_ghost"),
)
"""The choices of a space that names none; blocks of plug-ins must be named."""


class BlockChoices(Mapping[str, tuple[str, bool]]):
    """Name in a space -> block, and whether it has Squeeze-and-Excitation."""

    def __getitem__(self, name: str) -> tuple[str, bool]:
        block = "basic" if name == "se" else name.removeprefix("se_")
        if block not in BLOCKS or name != self.name_of(block, block != name):
            raise KeyError(name)
        return block, block != name

    def __iter__(self) -> Iterator[str]:
        return (self.name_of(block, se) for se in (False, True) for block in BLOCKS)

    def __len__(self) -> int:
        return 2 * len(list(BLOCKS))

    @staticmethod
    def name_of(block: str, se: bool) -> str:
        """Return the choice that means `block`, with or without Squeeze-and-Excitation."""
        return block if not se else "se" if block == "basic" else f"se_{block}"


BLOCK_CHOICES = BlockChoices()
