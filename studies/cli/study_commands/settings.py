"""`resfront presets`, `validate` and `plugins`: the configurations and the parts that there are."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ..options import JSON, print_json, print_table


def presets(
    name: Annotated[str | None, typer.Argument(help="Print this preset's file.")] = None,
    as_json: JSON = False,
) -> None:
    """List the presets, or print one to start a configuration of your own from."""
    from ...study.config import preset_names, preset_path

    if name is not None:
        typer.echo(preset_path(name).read_text(encoding="utf-8"), nl=False)
        return
    first_lines = {
        preset: preset_path(preset).read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
        for preset in preset_names()
    }
    if as_json:
        print_json([{"name": preset, "description": line} for preset, line in first_lines.items()])
    else:
        print_table(["preset", "what it is"], [[preset, line] for preset, line in first_lines.items()])


def validate(
    file: Annotated[Path, typer.Argument(help="A study's TOML configuration or a network's spec.json.")],
    as_json: JSON = False,
) -> None:
    """Check a configuration or a spec without running anything."""
    summary = _spec_summary(file) if file.suffix == ".json" else _config_summary(file)
    if as_json:
        print_json({"file": str(file), "valid": True, **summary})
    else:
        typer.echo(f"{file}: valid; " + "; ".join(f"{key} {_words(value)}" for key, value in summary.items()))


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def _spec_summary(file: Path) -> dict[str, Any]:
    from ...study.spec_file import read_spec

    architecture = read_spec(file)
    return {"kind": "spec", "key": architecture.key, "resolution": architecture.resolution}


def _config_summary(file: Path) -> dict[str, Any]:
    from ...study.config import load_config, load_metrics

    load_metrics(str(file), (), {})
    config = load_config(str(file), [])
    return {
        "kind": "study",
        "networks": config.space.size,
        "parameters": list(config.space.choices),
        "objectives": list(config.objectives),
    }


def plugins(as_json: JSON = False) -> None:
    """List the installed plug-ins, and say why one could not be loaded."""
    from dataclasses import asdict

    from objectives.base import OBJECTIVES
    from objectives.devices import profile_names, runtime_names
    from runners.datasets import dataset_names
    from runners.engines.base import ENGINES
    from runners.samplers import SAMPLERS
    from search_space.blocks import BLOCKS
    from search_space.plugins import LOADED
    from search_space.references import reference_names
    from search_space.texts.counting import count_of

    from ...study.config import preset_names

    kinds = {
        "blocks": list(BLOCKS),
        "references": reference_names(),
        "objectives": list(OBJECTIVES),
        "datasets": dataset_names(),
        "devices": profile_names(),
        "runtimes": runtime_names(),
        "samplers": list(SAMPLERS),
        "engines": list(ENGINES),
        "presets": preset_names(),
    }
    found = sorted(LOADED.values(), key=lambda plugin: (plugin.group, plugin.name))
    if as_json:
        print_json({"known": {kind: list(names) for kind, names in kinds.items()}, "plugins": list(map(asdict, found))})
        return
    print_table(["kind", "known"], [[kind, ", ".join(names)] for kind, names in kinds.items()])
    typer.echo(f"\n{count_of(len(found), 'plug-in')}")
    if found:
        rows = [[each.group, each.name, each.package, each.module, each.problem or "loaded"] for each in found]
        print_table(["adds to", "name", "package", "module", ""], rows)
