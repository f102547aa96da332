"""How is a number of things written in messages, tables and pages? The same everywhere: `1 trial`, `2,000 images`."""


def count_of(number: int, noun: str, plural: str = "") -> str:
    """`1 trial`, `3 trials`; `plural` where it is not the noun with an s."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
