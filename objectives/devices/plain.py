"""Profiles as plain values: what a TOML file holds, and what a study keeps of those that its figures came from."""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from search_space.errors import shown
from search_space.settings import read_settings

from .profile import DeviceError, DeviceProfile
from .runtimes import built_in_runtime

_PROFILE = TypeAdapter(DeviceProfile)
_SAYS_NOTHING = ("source", "description", "name")
"""Keys whose values no estimate depends on."""


def profile_to_dict(profile: DeviceProfile) -> dict[str, Any]:
    """Return the profile as plain values, ready for JSON."""
    plain: dict[str, Any] = _PROFILE.dump_python(profile, mode="json")
    return plain


def profile_from_dict(values: Mapping[str, Any]) -> DeviceProfile:
    """Return the profile of plain values, whose runtime may be the name of a built-in one.

    Raises UserError that names the key for anything else.
    """
    runtime = values.get("runtime", {})
    if isinstance(runtime, str):
        values = {**values, "runtime": built_in_runtime(runtime)}
    elif not isinstance(runtime, Mapping):
        raise DeviceError(f"runtime: must be a text, not {shown(runtime)}")
    return read_settings(DeviceProfile, values)


def changed_figures(old: DeviceProfile, new: DeviceProfile) -> list[str]:
    """Return the keys of what estimates depend on and the two profiles do not have in common; sources are no matter."""
    before, after = _flat(profile_to_dict(old)), _flat(profile_to_dict(new))
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


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
