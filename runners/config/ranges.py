"""Checks of numbers in a configuration."""

from search_space.errors import UserError

MOST_EPOCHS, MOST_THREADS = 10_000, 1024
MOST_IMAGES, MOST_TRIALS, MOST_SECONDS = 10**9, 10**6, 10**9
FORBID_UNKNOWN_KEYS = {"extra": "forbid"}
"""Of pydantic, for every table."""


def check_range(config: object, name: str, low: float, high: float) -> None:
    value = getattr(config, name)
    if not low <= value <= high:
        raise UserError(f"{name}: must be from {low:g} to {high:g}, not {value}")


def check_at_least(config: object, name: str, low: float, most: int) -> None:
    """Like `check_range`, for what has an upper bound only because nothing holds more."""
    value = getattr(config, name)
    if value > most:
        raise UserError(f"{name}: is too large: must be at most {most:,}, not {value}")
    if not low <= value:
        raise UserError(f"{name}: must be at least {low:g}, not {value}")
