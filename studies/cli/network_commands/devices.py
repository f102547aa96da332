"""`resfront devices`: what is known of devices."""

from typing import Annotated

import typer

from ..options import JSON, print_json, print_table


def devices(
    name: Annotated[str | None, typer.Argument(help="Show this device's figures, each with its source.")] = None,
    as_json: JSON = False,
) -> None:
    """List the devices, or show what one's profile is made of."""
    from objectives.devices import load_profile, profile_names

    if name is not None:
        _show_profile(name, as_json)
        return
    rows = [
        {"device": "cpu", "known as": "measured", "description": _host()},
        {"device": "ssh:user@host", "known as": "measured", "description": "any machine with Python and onnxruntime"},
    ]
    for profile in profile_names():
        rows.append({"device": profile, "known as": "estimated", "description": load_profile(profile).description})
    if as_json:
        print_json(rows)
    else:
        print_table(["device", "latency is", "what it is"], [list(row.values()) for row in rows], left=2)


def _host() -> str:
    from objectives.latency import timing

    return f"this host: {timing.processor()}"


def _show_profile(name: str, as_json: bool) -> None:
    from objectives.devices import load_profile

    profile = load_profile(name)
    if as_json:
        figures = {key: {"value": figure.value, "source": figure.source} for key, figure in profile.figures.items()}
        print_json({"device": profile.name, "description": profile.description, "figures": figures})
        return
    typer.echo(
        f"{profile.name}: {profile.description}\nruntime {profile.runtime.name}: {profile.runtime.description}\n"
    )
    rows = [[key, f"{figure.value:,.4g}", figure.source] for key, figure in profile.figures.items()]
    print_table(["figure", "value", "source"], rows)
