"""`resfront show` and `resfront references`: what networks cost, layer by layer, before anything is trained."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from search_space.errors import UserError
from search_space.spec import Architecture

from ...study.spec_file import check_size, check_weights, read_spec
from ..options import JSON, print_json, print_table


@dataclass(frozen=True)
class NetworkOptions:
    """A spec or a reference, one of the two, and what is changed of it."""

    spec: Annotated[
        Path | None,
        typer.Argument(metavar="[SPEC.json]", help="A spec file, or a directory that holds spec.json."),
    ] = None
    reference: Annotated[
        str | None, typer.Option(metavar="NAME", help="A named network, for example mobilenetv2@0.5.")
    ] = None
    bits: Annotated[
        str | None, typer.Option(metavar="B", help="Bit-width: 32, 8, 6, 4, 3 or 2, or one per stage: 8,4,4.")
    ] = None
    resolution: Annotated[int | None, typer.Option(metavar="R", help="Input size in pixels.")] = None
    classes: Annotated[int | None, typer.Option(metavar="N", help="Number of classes.")] = None

    @property
    def is_unchanged(self) -> bool:
        return (self.bits, self.resolution, self.classes) == (None, None, None)

    def chosen(self) -> tuple[str, Architecture]:
        """Return the name and the network; raises UserError."""
        from search_space.references import reference

        if (self.spec is None) == (self.reference is None):
            raise UserError("give a spec file or --reference NAME, one of the two")
        if self.spec is not None:
            name, architecture = self.spec.name, read_spec(self.spec)
            architecture = architecture.with_input(resolution=self.resolution, num_classes=self.classes)
        else:
            name = str(self.reference)
            architecture = reference(name, resolution=self.resolution, num_classes=self.classes)
        check_size(architecture)
        return name, architecture if self.bits is None else _with_bits(architecture, self.bits)


def show(
    *,
    network: NetworkOptions,
    verify: Annotated[bool, typer.Option("--verify", help="Compare with fvcore and torch.")] = False,
    as_json: JSON = False,
) -> None:
    """Show what a network costs, layer by layer."""
    name, architecture = network.chosen()
    checks = _verified(architecture) if verify else []
    if verify and network.spec is not None and network.spec.is_dir():
        _verify_weights(network.spec)
    if as_json:
        print_json(
            {
                **_summary(name, architecture),
                "spec": architecture.to_dict(),
                **({"checks": checks} if verify else {}),
            }
        )
    else:
        _print_layers(name, architecture, checks)
    if not all(check["agrees"] for check in checks):
        raise UserError(f"{name}: counts differ: {checks}")


def references(
    resolution: Annotated[
        int | None, typer.Option(metavar="R", help="Input size in pixels, instead of each its own.")
    ] = None,
    classes: Annotated[
        int | None, typer.Option(metavar="N", help="Number of classes, instead of each its own.")
    ] = None,
    bits: Annotated[int | None, typer.Option(metavar="B", help="Bit-width, instead of float.")] = None,
    as_json: JSON = False,
) -> None:
    """List the named networks with what they cost."""
    from search_space.references import reference, reference_names

    summaries = [
        _summary(name, reference(name, resolution=resolution, num_classes=classes, bits=bits))
        for name in reference_names()
    ]
    if as_json:
        print_json(summaries)
        return
    columns = ("params", "macs", "file_bytes", "peak_memory_bytes")
    rows = [
        [
            s["name"],
            str(s["depth"]),
            str(s["resolution"]),
            *(_figure(column, s[column]) for column in columns),
        ]
        for s in summaries
    ]
    print_table(["network", "depth", "px", "params", "MACs", "size", "peak memory"], rows)


def _with_bits(architecture: Architecture, text: str) -> Architecture:
    try:
        widths = [int(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"--bits {text}: write a number, or one per stage such as 8,4,4") from None
    return architecture.with_bits(*widths)


def _summary(name: str, architecture: Architecture) -> dict[str, Any]:
    from objectives import known_costs

    costs = known_costs(architecture.build_graph())
    depth = architecture.depth
    return {
        "name": name,
        "depth": depth,
        "resolution": architecture.resolution,
        "key": architecture.key,
        **costs,
    }


def _verified(architecture: Architecture) -> list[dict[str, Any]]:
    from runners.verification.counts import verify_counts

    return [
        {"figure": c.figure, "ours": c.ours, "theirs": c.theirs, "oracle": c.oracle, "agrees": c.agrees}
        for c in verify_counts(architecture)
    ]


def _verify_weights(folder: Path) -> None:
    """Raise UserError unless the folder's weights, where there are any, are those of its spec."""
    from runners.storage.study_files import WEIGHTS

    path = folder / WEIGHTS
    if path.exists():
        check_weights(str(path), read_spec(folder), path.read_bytes())
        typer.echo(f"{path}: fit the spec", err=True)


def _print_layers(name: str, architecture: Architecture, checks: list[dict[str, Any]]) -> None:
    from objectives import OBJECTIVES

    from ...texts.wording import describe_spec, notes_on

    graph = architecture.build_graph()
    rows = []
    for node in graph.nodes:
        size = "x".join(str(n) for n in node.shape)
        counts = [f"{node.macs:,}" if node.macs else "", f"{node.num_params:,}" if node.num_params else ""]
        rows.append([node.name, size, *counts, str(node.bits), _operator(node)])
    print_table(["layer", "output", "MACs", "params", "bits", "operator"], rows)
    summary = _summary(name, architecture)
    typer.echo(f"\n{name}: {describe_spec(architecture.to_dict())} · depth {summary['depth']} · key {summary['key']}")
    for objective in OBJECTIVES:
        if objective in summary:
            label = OBJECTIVES[objective].label
            typer.echo(f"  {label:32} {summary[objective]:>16,}   {_figure(objective, summary[objective])}")
    for note in notes_on(OBJECTIVES[objective] for objective in OBJECTIVES if objective in summary):
        typer.echo(f"  {note}")
    for check in checks:
        verdict = "agrees with" if check["agrees"] else "DIFFERS from"
        typer.echo(f"  {check['figure']} {check['ours']:,} {verdict} {check['oracle']} ({check['theirs']:,})")


def _operator(node: Any) -> str:
    fields = {key: value for key, value in node.op._asdict().items() if key not in ("in_channels", "out_channels")}
    text = " ".join(f"{key}={value}" for key, value in fields.items() if key != "norm")
    return " ".join(part for part in (type(node.op).__name__.lower(), text, node.act or "") if part)


def _figure(objective: str, value: float) -> str:
    from objectives import OBJECTIVES

    from ...texts.wording import format_value

    return format_value(OBJECTIVES[objective], value)
