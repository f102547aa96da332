"""The configuration of a study, from a preset or a TOML file; `search_space/settings.py` checks it key by key."""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, cast

import tomlkit

from runners.config import StudyConfig
from runners.own_training import load_evaluator
from search_space.errors import UserError, cut
from search_space.named_files import NamedFiles
from search_space.settings import read_settings
from search_space.texts.parsing import MOST_LEVELS, TextError, TextTooLarge, parse_toml, read_text

PRESETS = NamedFiles("preset", Path(__file__).parent / "presets", plugins="presets")


KEYS = {
    "objectives": "objectives",
    "data": "data.name",
    "data_dir": "data.path",
    "evaluator": "training.evaluator",
    "trials": "search.trials",
    "sampler": "search.sampler",
    "references": "search.references",
    "like": "search.like",
    "seed": "search.seed",
    "timeout_s": "search.timeout_s",
    "engine": "workers.engine",
    "workers": "workers.workers",
    "threads": "workers.threads",
    "device": "workers.device",
}
"""Option of the command line, and keyword of a program -> key of the configuration."""


class ConfigError(UserError):
    """Error of a configuration that cannot be used; the message names file, key, value and what is allowed."""


def preset_names() -> tuple[str, ...]:
    """The presets that come with the package, and those of plug-ins."""
    return tuple(PRESETS.paths)


def preset_path(name: str) -> Path:
    """The file of the preset `name`; raises ConfigError with the closest known name."""
    try:
        return PRESETS[name]
    except UserError as error:
        raise ConfigError(str(error)) from None


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file; raises ConfigError where it is missing or malformed."""
    try:
        return parse_toml(read_text(path))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (UnicodeDecodeError, TextError) as error:
        raise ConfigError(f"{path}: {error}") from None


def load_config(
    source: str, settings: Iterable[str], given: Mapping[tuple[str, ...], Any] | None = None
) -> StudyConfig:
    """The configuration of a preset or a TOML file (a study's own included), with what the command line sets.

    `settings` are `--set key.path=value`, `given` maps paths of keys to values. Raises ConfigError.
    """
    tables, name = _load_tables(source, settings, given)
    return parse_config(tables, name)


def load_metrics(source: str, settings: Iterable[str], given: Mapping[tuple[str, ...], Any]) -> None:
    """Import the training of the user's own that a configuration names, so that its metrics are known as objectives.

    Call it before limits on these metrics are read. The arguments are those of `load_config`. Raises ConfigError, and
    UserError where there is no such training.
    """
    tables, _ = _load_tables(source, settings, given)
    training = tables.get("training")
    name = training.get("evaluator") if isinstance(training, dict) else None
    if isinstance(name, str) and name:
        load_evaluator(name)


def _load_tables(
    source: str, settings: Iterable[str], given: Mapping[tuple[str, ...], Any] | None
) -> tuple[dict[str, Any], str]:
    """Return the tables with all changes, and the name of their file."""
    path = Path(source) if source.endswith(".toml") or "/" in source else preset_path(source)
    tables = read_toml(path)
    tables.pop("resolved", None)  # of a study.toml
    tables = apply_overrides(tables, settings)
    for keys, value in (given or {}).items():
        _set(tables, keys, value, ".".join(keys))
    return tables, path.name


def parse_config(tables: Mapping[str, Any], source: str) -> StudyConfig:
    """A checked configuration; raises ConfigError that names `source` and the key at fault."""
    try:
        return read_settings(StudyConfig, tables)
    except UserError as error:
        raise ConfigError(f"{source}: {error}") from None


def apply_overrides(tables: Mapping[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """`tables` with each `key.path=value` of the command line; values are TOML, bare words are strings."""
    result = deepcopy(dict(tables))
    for setting in settings:
        path, separator, text = setting.partition("=")
        keys = path.strip().split(".", MOST_LEVELS)
        if not separator or not all(keys):
            raise ConfigError(f"--set {cut(setting)}: write key.path=value, for example training.epochs=3")
        option = f"--set {cut(setting)}"
        _set(result, keys, _toml_value(text.strip(), option), option)
    return result


def to_tables(config: StudyConfig) -> dict[str, Any]:
    """Plain tables, ready for TOML: what is None is left out."""
    return cast(dict[str, Any], _plain(config))


def dump_toml(tables: Mapping[str, Any]) -> str:
    """TOML text of plain tables."""
    return tomlkit.dumps(tables)


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """One line for each key whose value differs, for example `space.depth: [18, 110] -> [18, 56]`."""
    lines: list[str] = []
    for key in sorted(set(old) | set(new)):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) or isinstance(after, dict):
            lines += differences(before or {}, after or {}, f"{prefix}{key}.")
        elif before != after:
            lines.append(f"{prefix}{key}: {before} -> {after}")
    return lines


def _set(tables: dict[str, Any], keys: Sequence[str], value: Any, source: str) -> None:
    table = tables
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{source}: {key} is a value, not a table")
    table[keys[-1]] = value


def _toml_value(text: str, source: str) -> Any:
    try:
        found = parse_toml(f"value = {text}")
    except TextTooLarge as error:
        raise ConfigError(f"{source}: {error}") from None
    except TextError:
        return text
    if len(found) > 1:
        raise ConfigError(f"{source}: give one value; several settings need an option --set each")
    return found["value"]


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        entries = {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
        return {key: entry for key, entry in entries.items() if entry is not None}
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, Path) else value
