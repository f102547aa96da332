"""Options that several commands share, and the few ways in which they print."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..texts.strict_json import strict_json

NAME = Annotated[str, typer.Argument(metavar="NAME", help="The study's name.")]


def parse_path(text: str) -> Path:
    """Return the path of an option; an empty one, which Python takes for the current directory, is refused."""
    if not str(text).strip():
        raise typer.BadParameter("is empty")
    return Path(text)


RUNS = Annotated[
    Path,
    typer.Option(
        "--runs", envvar="RESFRONT_RUNS", metavar="DIR", parser=parse_path, help="Directory that holds the studies."
    ),
]
WITHOUT = Annotated[
    list[str] | None,
    typer.Option("--without", metavar="FILE", help="Leave out a model file, for example model.pt2; may be repeated."),
]
JSON = Annotated[bool, typer.Option("--json", help="Print strict JSON for scripts.")]
DEFAULT_RUNS = Path("runs")
MOST_EPOCHS = 10_000  # as `runners.config` has it, which is too slow to import for every --help


def print_json(data: Any) -> None:
    """JSON on stdout, strictly valid: what is not a number (NaN, Infinity) becomes null."""
    typer.echo(strict_json(data))


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> None:
    """A plain table on stdout: the first `left` columns and the last aligned left, the others right."""
    widths = [max(len(row[i]) for row in [headers, *rows]) for i in range(len(headers))]
    for row in [headers, *rows]:
        cells = [
            cell.ljust(width) if i < left or i == len(row) - 1 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        typer.echo("  ".join(cells).rstrip())
