"""What `resfront compare` prints and writes."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from search_space.texts.counting import count_of

from ..options import print_table

if TYPE_CHECKING:
    from runners.config import DataConfig

    from ...comparison.device_comparison import Comparison


def write_plot(found: "Comparison", output: Path, images: "DataConfig | None", epochs: int | None) -> None:
    from runners.storage.study_files import write_atomically

    from ...comparison.device_figure import plot_devices
    from ...comparison.same_recipe import standings
    from ...comparison.same_recipe_figure import draw_equal_terms

    if images is None:
        figure = plot_devices(found)
    else:
        training = f"{count_of(epochs or 0, 'epoch')} on {images.name}"
        subtitle = f"{training}, one recipe; the larger the marker, the larger the network"
        device = f"{found.columns[0].device}, {found.columns[0].kind}"
        figure = draw_equal_terms(standings(found), subtitle=subtitle, device=device)
    write_atomically(output, figure.to_html(include_plotlyjs=True).encode())


def print_standings(found: "Comparison") -> None:
    """Most accurate first, and which of the study's networks dominate each."""
    from objectives import OBJECTIVES

    from ...comparison.same_recipe import conclusion, standings
    from ...texts.wording import describe_spec, format_value

    has_front = any(contender.from_study for contender in found.contenders)
    standing = standings(found)
    rows = []
    for one in sorted(standing, key=lambda one: -one.contender.accuracy):
        figures = [format_value(OBJECTIVES[name], one.costs[name]) for name in ("macs", "params", "file_bytes")]
        latency = "cannot" if one.latency_ms != one.latency_ms else f"{one.latency_ms:.3g} ms"
        dominated = ", ".join(one.dominated_by[:3]) + (" ..." if len(one.dominated_by) > 3 else "")
        name = f"{one.contender.name} *" if one.contender.from_study else one.contender.name
        network = describe_spec(one.contender.architecture.to_dict())
        of_study = [dominated] if has_front else []
        rows.append([name, f"{100 * one.contender.accuracy:.2f} %", latency, *figures, *of_study, network])
    device = found.columns[0]
    heads = [
        "network",
        "accuracy",
        f"{device.device}, {device.kind}",
        "MACs",
        "params",
        "size",
        *(["dominated by"] if has_front else []),
        "what it is",
    ]
    print_table(heads, rows)
    note = "\nall trained from random weights by one recipe; weights of directories are not used"
    if has_front:
        note += (
            "\n*: of the study's front; dominated: no better in accuracy, latency and size than a network of the front"
        )
    typer.echo(note)
    if said := conclusion(standing):
        typer.echo(f"\n{said}")


def print_comparison(found: "Comparison") -> None:
    from ...texts.wording import describe_spec

    rows = []
    for index, contender in enumerate(found.contenders):
        accuracy = "" if contender.accuracy != contender.accuracy else f"{100 * contender.accuracy:.2f} %"
        cells = [f"{column.latency_ms[index]:.3g} ms".replace("nan ms", "cannot") for column in found.columns]
        rows.append([contender.name, accuracy, *cells, describe_spec(contender.architecture.to_dict())])
    heads = [f"{column.device}, {column.kind}" for column in found.columns]
    print_table(["network", "accuracy", *heads, "what it is"], rows)
    runtimes = [f"{c.device} with {c.runtime}" for c in found.columns if c.kind == "estimated"]
    estimated = f"; estimated for {', '.join(runtimes)}" if runtimes else ""
    typer.echo(f"\nbatch 1, {count_of(found.threads, 'thread')}{estimated}")
    reasons = {
        f"{contender.name} on {column.device}: {reason}"
        for column in found.columns
        for contender, reason in zip(found.contenders, column.reasons, strict=True)
        if reason
    }
    if reasons:
        typer.echo("\n" + "\n".join(sorted(reasons)))


def comparison_as_json(found: "Comparison") -> dict[str, Any]:
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
