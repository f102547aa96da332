"""`resfront devices` and `resfront compare`: what is known of devices, and how networks fare across them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search_space.errors import UserError

from .latency import THREADS
from .networks import read_spec
from .options import DEFAULT_RUNS, JSON, RUNS, print_json, print_table

if TYPE_CHECKING:
    from studies.comparison import Comparison, Contender


def register(app: typer.Typer) -> None:
    app.command()(devices)
    app.command()(compare)


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


def compare(
    specs: Annotated[
        list[Path] | None, typer.Argument(metavar="[SPEC.json]...", help="Spec files or exported directories.")
    ] = None,
    device_names: Annotated[
        str, typer.Option("--devices", metavar="A,B", help="cpu, ssh:user@host, or names of `resfront devices`.")
    ] = "cpu",
    references: Annotated[str | None, typer.Option(metavar="A,B", help="Named networks.")] = None,
    study: Annotated[str | None, typer.Option(metavar="NAME", help="The front of this study.")] = None,
    bits: Annotated[int | None, typer.Option(metavar="B", help="Bit-width of the named networks.")] = None,
    resolution: Annotated[int | None, typer.Option(metavar="R", help="Input of the named networks, in pixels.")] = None,
    classes: Annotated[int | None, typer.Option(metavar="N", help="Classes of the named networks.")] = None,
    threads: THREADS = 1,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE.html", help="Write the plot there.")
    ] = None,
    as_json: JSON = False,
    runs: RUNS = DEFAULT_RUNS,
) -> None:
    """Compare networks' latencies across devices: a table and a plot."""
    from studies.comparison import compare as compare_networks

    contenders = [
        *_from_specs(specs or []),
        *(_from_references(references, resolution, classes, bits) if references else []),
        *(_from_study(study, runs) if study else []),
    ]
    if not contenders:
        raise UserError("compare: name spec files, --references A,B or --study NAME")
    found = compare_networks(
        contenders,
        [device.strip() for device in device_names.split(",")],
        threads=threads,
        progress=lambda line: typer.echo(line, err=True),
    )
    if output is not None:
        _write_plot(found, output)
    if as_json:
        print_json(_as_json(found))
    else:
        _print_comparison(found)
        if output is not None:
            typer.echo(f"\nplot: {output}")


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


def _from_specs(paths: list[Path]) -> "list[Contender]":
    from studies.comparison import Contender

    return [Contender(name=path.stem if path.is_file() else path.name, architecture=read_spec(path)) for path in paths]


def _from_references(names: str, resolution: int | None, classes: int | None, bits: int | None) -> "list[Contender]":
    from search_space.references import reference
    from studies.comparison import Contender

    return [
        Contender(
            name=name.strip(),
            architecture=reference(name.strip(), resolution=resolution, num_classes=classes, bits=bits),
        )
        for name in names.split(",")
    ]


def _from_study(name: str, runs: Path) -> "list[Contender]":
    from search_space.architectures import architecture_from_dict
    from studies.comparison import Contender
    from studies.reading import load_results
    from studies.study import study_directory

    results = load_results(study_directory(name, runs))
    if results.front.empty:
        raise UserError(f"compare: the front of {name} is empty")
    return [
        Contender(
            name=row["label"] if isinstance(row["label"], str) else f"trial {row['trial']}",
            architecture=architecture_from_dict(dict(row["spec"])),
            accuracy=float(row["accuracy"]),
        )
        for _, row in results.front.iterrows()
    ]


def _write_plot(found: "Comparison", output: Path) -> None:
    from runners.storage import write_atomically
    from studies.figures.devices import plot_devices

    write_atomically(output, plot_devices(found).to_html(include_plotlyjs=True).encode())


def _print_comparison(found: "Comparison") -> None:
    from studies.wording import describe_spec

    rows = []
    for index, contender in enumerate(found.contenders):
        accuracy = "" if contender.accuracy != contender.accuracy else f"{100 * contender.accuracy:.2f} %"
        cells = [f"{column.latency_ms[index]:.3g} ms".replace("nan ms", "cannot") for column in found.columns]
        rows.append([contender.name, accuracy, *cells, describe_spec(contender.architecture.to_dict())])
    heads = [f"{column.device}, {column.kind}" for column in found.columns]
    print_table(["network", "accuracy", *heads, "what it is"], rows)
    runtimes = [f"{c.device} with {c.runtime}" for c in found.columns if c.kind == "estimated"]
    estimated = f"; estimated for {', '.join(runtimes)}" if runtimes else ""
    typer.echo(f"\nbatch 1, {found.threads} thread{'s' * (found.threads > 1)}{estimated}")
    reasons = {
        f"{contender.name} on {column.device}: {reason}"
        for column in found.columns
        for contender, reason in zip(found.contenders, column.reasons, strict=True)
        if reason
    }
    if reasons:
        typer.echo("\n" + "\n".join(sorted(reasons)))


def _as_json(found: "Comparison") -> dict[str, Any]:
    return {
        "devices": [{"device": column.device, "kind": column.kind} for column in found.columns],
        "networks": [
            {
                "name": contender.name,
                "accuracy": contender.accuracy,
                "spec": contender.architecture.to_dict(),
                "latency_ms": {column.device: column.latency_ms[index] for column in found.columns},
                "cannot": {c.device: c.reasons[index] for c in found.columns if c.reasons[index]},
            }
            for index, contender in enumerate(found.contenders)
        ],
    }
