"""Profiles as plain values, so that a study can keep the ones that its figures were estimated with."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from .profile import DeviceError, DeviceProfile

_PROFILE = TypeAdapter(DeviceProfile)
_SAYS_NOTHING = ("source", "description", "name")
"""Keys whose values no estimate depends on."""


def profile_to_dict(profile: DeviceProfile) -> dict[str, Any]:
    """Return the profile as plain values, ready for JSON."""
    plain: dict[str, Any] = _plain(profile)
    return plain


def profile_from_dict(values: Mapping[str, Any]) -> DeviceProfile:
    """Return the profile of `profile_to_dict`; raises DeviceError for anything else."""
    try:
        return _PROFILE.validate_python(values)
    except ValidationError as error:
        raise DeviceError(f"a stored device profile is damaged: {error.errors()[0]['msg']}") from None


def changed_figures(old: DeviceProfile, new: DeviceProfile) -> list[str]:
    """Return the keys of what estimates depend on and the two profiles do not have in common; sources are no matter."""
    before, after = _flat(profile_to_dict(old)), _flat(profile_to_dict(new))
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return _plain(value._asdict())  # type: ignore[attr-defined]
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    return value


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if key in _SAYS_NOTHING:
            continue
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}".removesuffix(".value")] = value
    return found
