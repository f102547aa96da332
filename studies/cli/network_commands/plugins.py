"""`resfront plugins`: packages beside this one that add blocks, costs, data sets, devices and the like."""

from dataclasses import asdict

import typer

from search_space.texts.counting import count_of

from ..options import JSON, print_json, print_table


def plugins(as_json: JSON = False) -> None:
    """List the installed plug-ins, and say why one could not be loaded."""
    from objectives.base import OBJECTIVES
    from objectives.devices import profile_names, runtime_names
    from runners.datasets import dataset_names
    from runners.engines.base import ENGINES
    from runners.samplers import SAMPLERS
    from search_space.blocks import BLOCKS
    from search_space.plugins import LOADED
    from search_space.references import reference_names

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
