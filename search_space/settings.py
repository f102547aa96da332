"""Tables of settings: frozen dataclasses whose values are checked by their types when they are made.

A number has its bounds in its type, `Annotated[int, Field(ge=1, le=100)]`. Every mistake is one line that names the
key, the value and what is allowed, whether it comes from a file, an option or a program.
"""

import dataclasses
from collections.abc import Callable, Mapping
from types import UnionType
from typing import Any, TypeVar, Union, cast, dataclass_transform, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass

from .errors import UserError, shown, unknown_name

T = TypeVar("T")

_CONFIG = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
_KINDS = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "string_type": "a text",
    "string_pattern_mismatch": "a text",
    "tuple_type": "a list",
    "dict_type": "a table",
}
"""pydantic's name of a mistake -> what was wanted."""


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(dataclasses.field,))
def settings(cls: type[T]) -> type[T]:
    """Make a class a table of settings; making one with a wrong value raises UserError."""
    table = cast(Any, pydantic_dataclass(frozen=True, kw_only=True, config=_CONFIG)(cls))
    check: Callable[..., None] = table.__init__

    def __init__(self: T, **values: Any) -> None:  # noqa: N807
        try:
            check(self, **values)
        except ValidationError as error:
            raise _mistake(error, table) from None

    table.__init__ = __init__
    return cast(type[T], table)


def read_settings(cls: type[T], values: Mapping[str, Any], path: tuple[str, ...] = ()) -> T:
    """Return settings from plain values as TOML or JSON has them.

    Raises UserError that names the key by its path: `training.epochs: must be from 1 to 10,000, not 0`.
    """
    hints = get_type_hints(cls)
    read = dict[str, Any]()
    for key, value in values.items():
        where = (*path, key)
        if key not in hints:
            known = unknown_name("key", key, [field.name for field in dataclasses.fields(cast(Any, cls))])
            raise UserError(f"{'.'.join(where)}: unknown key; {known.partition('; ')[2]}")
        read[key] = _read(hints[key], value, where)
    try:
        return cls(**read)
    except UserError as error:
        raise UserError(".".join((*path, str(error)))) from None


def _read(hint: Any, value: Any, where: tuple[str, ...]) -> Any:
    """Return the value of a key, with tables of settings in the place of plain ones."""
    entry = get_args(hint)[1] if get_origin(hint) is dict else None
    table = _table_in(hint if entry is None else entry)
    if table is None or dataclasses.is_dataclass(value) or (value is None and table is not hint):
        return _tuples(value)
    if not isinstance(value, Mapping):
        raise UserError(f"{'.'.join(where)}: must be a table, not {shown(value)}")
    if entry is not None:
        return {name: _read(entry, found, (*where, name)) for name, found in value.items()}
    return read_settings(table, value, where)


def _table_in(hint: Any) -> type | None:
    """Return the table of settings that a key holds, or may hold; None for any other type."""
    kinds = [hint, *get_args(hint)] if get_origin(hint) in (Union, UnionType) else [hint]
    return next((cast(type, kind) for kind in kinds if dataclasses.is_dataclass(kind)), None)


def _mistake(error: ValidationError, table: Any) -> UserError:
    """Return the first mistake in one line; an error of the table's own check is returned as it is."""
    first = error.errors()[0]
    kind, where = first["type"], ".".join(part for part in first["loc"] if isinstance(part, str))
    if kind == "value_error" and isinstance(found := first["ctx"]["error"], UserError):
        return UserError(f"{where}.{found}") if where else found
    if kind in ("missing", "unexpected_keyword_argument"):
        return UserError(f"{where}: {'is missing' if kind == 'missing' else 'unknown key'}")
    if kind in ("greater_than_equal", "less_than_equal", "finite_number") and (bounds := _bounds(table, first["loc"])):
        return UserError(f"{where}: must be {bounds}, not {first['input']}")
    if kind == "literal_error":
        return UserError(f"{where}: must be {first['ctx']['expected']}, not {shown(first['input'])}")
    wanted = _KINDS.get(kind)
    return UserError(f"{where}: {f'must be {wanted}' if wanted else first['msg']}, not {shown(first['input'])}")


def _bounds(table: Any, loc: tuple[Any, ...]) -> str:
    """Return `from LEAST to MOST` of a number, nothing where its type has no bounds."""
    schema = table.__pydantic_fields__[loc[0]]
    parts = [schema, *getattr(schema.annotation, "__args__", ())]
    found = [bound for part in parts for bound in getattr(part, "metadata", getattr(part, "__metadata__", ()))]
    found += [inner for bound in found for inner in getattr(bound, "metadata", ())]
    low = next((bound.ge for bound in found if getattr(bound, "ge", None) is not None), None)
    high = next((bound.le for bound in found if getattr(bound, "le", None) is not None), None)
    if low is None or high is None:
        return ""
    return f"from {low:g} to {f'{high:,}' if isinstance(high, int) and high >= 10_000 else f'{high:g}'}"


def _tuples(value: Any) -> Any:
    """Lists become tuples, which the tables hold because they cannot change."""
    return tuple(_tuples(entry) for entry in value) if isinstance(value, list) else value
