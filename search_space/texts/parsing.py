"""How does a text that a user wrote become plain values? JSON and TOML within bounds, each key once.

Whatever reads a user's file or option goes through here, so that no text can exhaust memory or the parser's stack.
"""

import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..errors import UserError

MOST_BYTES = 64 * 2**20
MOST_LEVELS = 50
MOST_INTEGER = 2**63 - 1


class TextError(UserError):
    """A text that is no JSON or TOML; says what is wrong, without the file's name."""


class TextTooLarge(TextError):
    """A text that exceeds the bounds on size, nesting or numbers."""


def read_text(path: Path) -> str:
    """Return a file's text; raises OSError, UnicodeDecodeError, and TextTooLarge for more than 64 MiB."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except ValueError as error:  # a null byte in the path
        raise TextError(str(error)) from None
    if len(content) > MOST_BYTES:
        raise TextTooLarge(f"is too large: more than {MOST_BYTES // 2**20} MiB")
    return content.decode("utf-8")


def parse_json(text: str) -> Any:
    """Return the value of a JSON text; raises TextError, also for a key that is given twice."""
    if not text.strip():
        raise TextError("is empty")
    return _parsed(lambda: json.loads(text, object_pairs_hook=_object))


def parse_toml(text: str) -> dict[str, Any]:
    """Return the tables of a TOML text; raises TextError."""
    tables: dict[str, Any] = _parsed(lambda: tomllib.loads(text))
    return tables


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise TextError(f"key '{twice}' is given twice")
    return values


def _parsed(parse: Callable[[], Any]) -> Any:
    try:
        value = parse()
    except RecursionError:
        raise _too_deep() from None
    except (json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        raise TextError(str(error)) from None
    except TextError:
        raise
    except ValueError:  # Python reads whole numbers of up to 4,300 digits.
        raise _too_large() from None
    _check_bounds(value)
    return value


def _check_bounds(value: Any) -> None:
    """Raise TextTooLarge for values whose readers would recurse too deep, or numbers that cannot be shown."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MOST_LEVELS:
            raise _too_deep()
        inner: list[Any] = []
        for entry in level:
            if isinstance(entry, Mapping):
                inner += entry.values()
            elif isinstance(entry, list):
                inner += entry
            elif isinstance(entry, int) and abs(entry) > MOST_INTEGER:
                raise _too_large()
        level = inner


def _too_deep() -> TextTooLarge:
    return TextTooLarge(f"is nested too deep: more than {MOST_LEVELS} levels")


def _too_large() -> TextTooLarge:
    return TextTooLarge(f"a whole number is too large: at most {MOST_INTEGER:,}")
