"""What are a study's figures made with? Its database keeps that from the beginning, to be checked later.

`study.toml`, device profiles and images are files that anybody may edit, move or replace. What all trials share is
therefore written once into the database, beside the trials: the settings that may not change, and the device profiles
as they were read. Figures of a study stay readable when all of these files are gone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from objectives.base import Objective
from objectives.device_costs.latency_ms import estimated_latency
from objectives.devices import DeviceProfile, load_profile, profile_names
from objectives.devices.plain import changed_figures, profile_from_dict, profile_to_dict
from runners.config import StudyConfig
from runners.storage.study_files import DATABASE, StorageError, open_study, traces_of_trials
from search_space.errors import UserError

from .config import ConfigError, differences
from .database import read_contents

ATTRIBUTE = "foundations"
"""Attribute of the study in its database."""


@dataclass(frozen=True, kw_only=True)
class Foundations:
    """What all trials of one study share."""

    settings: Mapping[str, Any]
    """Tables of `study.toml`: recipe, data, space, and what was resolved when the study was made."""
    profiles: Mapping[str, DeviceProfile]
    """By the name of the device."""

    def figures(self, config: StudyConfig) -> tuple[Objective, ...]:
        """Return the figures of the study's configuration, estimated with its own profiles."""
        return tuple(
            estimated_latency(figure.device, self.profiles[figure.device])
            if figure.device is not None and figure.device in self.profiles
            else figure
            for figure in config.figures
        )


def profiles_of(config: StudyConfig) -> dict[str, DeviceProfile]:
    """Return the profiles that a configuration names, as their files are now; raises DeviceError."""
    names = [figure.device for figure in config.figures if figure.source == "estimated" and figure.device is not None]
    return {name: load_profile(name) for name in names}


def write_foundations(directory: Path, config: StudyConfig, foundations: Foundations) -> None:
    """Make the study's database, or take one without trials, and write the foundations into it."""
    study = open_study(directory, config.optimised)
    profiles = {name: profile_to_dict(profile) for name, profile in foundations.profiles.items()}
    study.set_user_attr(ATTRIBUTE, {"settings": dict(foundations.settings), "profiles": profiles})


def read_foundations(directory: Path) -> Foundations | None:
    """Return what the database of a study keeps; None where the study has not begun.

    Raises StorageError where the database is missing or empty though there have been trials, or is of another version.
    """
    path = directory / DATABASE
    trials, attributes = read_contents(path)
    if not trials and (traces := traces_of_trials(directory)):
        what = "holds no trials" if path.exists() else "is missing"
        raise StorageError(
            f"{path}: {what}, though its folder has {' and '.join(traces)}; put the study's own database back, "
            "or start a new study; nothing was changed"
        )
    found = attributes.get(ATTRIBUTE)
    if found is None and not trials:
        return None
    try:
        assert isinstance(found, dict)
        profiles = {name: profile_from_dict(values) for name, values in found["profiles"].items()}
        return Foundations(settings=found["settings"], profiles=profiles)
    except (AssertionError, KeyError, AttributeError):
        raise StorageError(
            f"{path}: does not say what the study was made with; it is of an earlier version of resfront, or damaged; "
            "start a new study"
        ) from None


def readable_figures(directory: Path, config: StudyConfig) -> tuple[Objective, ...]:
    """Return the figures of a study for its tables, which have to be readable whatever has become of its files."""
    try:
        found = read_foundations(directory)
    except UserError:
        found = None
    return config.figures if found is None else found.figures(config)


def check_foundations(directory: Path, settings: Mapping[str, Any]) -> Foundations | None:
    """Return what the study was made with, after holding it against `settings` and the device profiles as they are now.

    A profile that is gone is no hindrance, because the study has its own. Raises ConfigError with what has changed,
    and StorageError as `read_foundations` and for the database of another study.
    """
    found = read_foundations(directory)
    if found is None:
        return None
    changed = differences(found.settings, settings)
    if any(line.startswith("resolved.created:") for line in changed):
        raise StorageError(f"{directory / DATABASE}: belongs to another study than the study.toml beside it")
    if changed:
        raise ConfigError(
            f"{directory / 'study.toml'}: differs from what the study was made with ({'; '.join(changed)}); "
            "put it back, or start a new study"
        )
    if changed := list(_changed_profiles(found.profiles)):
        raise ConfigError(
            f"{directory}: a device profile has changed since the study was made ({'; '.join(changed)}); "
            "put it back, or start a new study"
        )
    return found


def _changed_profiles(profiles: Mapping[str, DeviceProfile]) -> Iterator[str]:
    for name, profile in profiles.items():
        is_there = Path(name).exists() if name.endswith(".toml") else name in profile_names()
        if is_there and (keys := changed_figures(profile, load_profile(name))):
            yield f"{name}: {', '.join(keys)}"
