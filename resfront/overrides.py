"""Changes of a configuration that a call asks for, by the names that the command line uses."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from objectives.limits import Limit, parse_limit
from search_space.errors import UserError, unknown_name
from studies.study.config import KEYS


def changes_of(
    settings: Mapping[str, Any] | None = None, overrides: Mapping[str, Any] = MappingProxyType({})
) -> dict[tuple[str, ...], Any]:
    """Return path of a key -> value; raises UserError for an unknown keyword."""
    found = dict[tuple[str, ...], Any]()
    for name, value in overrides.items():
        if name not in KEYS:
            raise UserError(unknown_name("keyword", name, [*KEYS, "name", "runs", "max", "min", "settings"]))
        if value is not None:
            found[tuple(KEYS[name].split("."))] = _plain(value)
    return found | {tuple(key.split(".")): _plain(value) for key, value in (settings or {}).items()}


def limit_changes(
    max: Mapping[str, float | str] | None, min: Mapping[str, float | str] | None
) -> dict[tuple[str, ...], Any]:
    """Return path of a key -> value for limits; raises UserError for an unknown objective or amount."""
    limits = [*limits_of("max", max), *limits_of("min", min)]
    return {("limits", limit.kind, limit.objective): limit.value for limit in limits}


def limits_of(kind: Literal["max", "min"], amounts: Mapping[str, float | str] | None) -> list[Limit]:
    """Return the limits that a mapping from objectives to amounts means; raises UserError."""
    if not isinstance(amounts, Mapping | None):
        raise UserError(f'{kind}: must map objectives to amounts, for example {{"file_bytes": "350kB"}}')
    return [parse_limit(kind, f"{name}={amount}", option=kind) for name, amount in (amounts or {}).items()]


def _plain(value: Any) -> Any:
    """Return the value as a TOML file would give it."""
    if isinstance(value, tuple | list):
        return [_plain(entry) for entry in value]
    return value if isinstance(value, str | int | float | bool | dict) else str(value)
