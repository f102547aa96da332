"""Errors that a user can mend: each message says what, where and how, in one line.

The command line turns a `UserError` into one line on stderr and its exit code. Everything else is a bug.
"""

from collections.abc import Iterable
from difflib import get_close_matches

MOST_SHOWN = 160
"""Characters of a value in a message."""


class UserError(ValueError):
    """Error that the caller can mend: its message, one line, names the value, where it stands, and what is allowed."""

    exit_code = 2
    """Exit code of the command line."""


class SpecError(UserError):
    """Error of a network or a search space that cannot be built; the message names field, value and what is allowed."""


def shown(value: object) -> str:
    """`value` for a message: its repr, cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python writes whole numbers of up to 4,300 digits.
        return "a number of thousands of digits"
    return cut(text)


def cut(text: str) -> str:
    """`text` for a message, without its end where it is long."""
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """One line that answers an unknown `name` with the closest known one, or with all of them."""
    names = sorted(known)
    name = cut(name)
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(names)}"
    return f"unknown {kind} '{name}'; {hint}"
