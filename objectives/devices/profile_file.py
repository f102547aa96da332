"""How does a TOML table become a checked value? Each mistake is one line that names the file, the key, the allowed."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from search_space.errors import shown, unknown_name
from search_space.texts.parsing import TextError, parse_toml, read_text

from .profile import DeviceError, Figure


class Table:
    """A TOML table under check; `where` is its dotted key, empty for the whole file."""

    def __init__(self, path: Path, where: str, values: Any) -> None:
        self.path = path
        self.where = where
        if not isinstance(values, dict):
            raise self.error("", f"must be a table, not {shown(values)}")
        self.values: dict[str, Any] = values

    @classmethod
    def of_file(cls, path: Path) -> "Table":
        """The whole file; raises DeviceError where it cannot be read or is no TOML."""
        try:
            return cls(path, "", parse_toml(read_text(path)))
        except OSError as error:
            raise DeviceError(f"{path}: cannot be read: {error.strerror or error}") from None
        except (UnicodeDecodeError, TextError) as error:
            raise DeviceError(f"{path}: is not TOML: {error}") from None

    def error(self, key: str, what: str) -> DeviceError:
        dotted = ".".join(part for part in (self.where, key) if part)
        return DeviceError(f"{self.path.name}: {dotted}: {what}" if dotted else f"{self.path.name}: {what}")

    def check_keys(self, allowed: Iterable[str], required: Iterable[str] = ()) -> None:
        """Raise DeviceError for a key that is not allowed, or a required one that is missing."""
        allowed = tuple(allowed)
        for key in self.values:
            if key not in allowed:
                raise self.error("", unknown_name("key", key, allowed))
        for key in required:
            if key not in self.values:
                raise self.error(key, "is missing")

    def table(self, key: str) -> "Table":
        return Table(self.path, f"{self.where}.{key}" if self.where else key, self.values.get(key, {}))

    def text(self, key: str) -> str:
        value = self.values[key]
        if not isinstance(value, str) or not value.strip():
            raise self.error(key, f"must be a text, not {shown(value)}")
        return value

    def choice(self, key: str, allowed: Iterable[str]) -> str:
        value, allowed = self.text(key), tuple(allowed)
        if value not in allowed:
            raise self.error(key, f"must be one of {', '.join(allowed)}, not '{value}'")
        return value

    def flag(self, key: str) -> bool:
        value = self.values[key]
        if not isinstance(value, bool):
            raise self.error(key, f"must be true or false, not {shown(value)}")
        return value

    def number(self, key: str, low: float, high: float, *, default: float | None = None) -> float:
        """A number within [low, high], both included; `default` where the key is left out."""
        value: Any = self.values.get(key, default)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not low <= value <= high:
            raise self.error(key, f"must be a number from {low:g} to {high:g}, not {shown(value)}")
        return float(value)

    def figure(self, key: str, low: float, high: float) -> Figure:
        """`{ value = ..., source = "..." }`."""
        table = self.table(key)
        table.check_keys(("value", "source"), required=("value", "source"))
        return Figure(table.number("value", low, high), table.text("source"))
