"""The command line, `resfront COMMAND`: a function for each command, in files by what the commands are about.

README.md has the table of exit codes. Data goes to stdout, progress and errors to stderr.
"""

import os
import sys
from functools import partial
from importlib.metadata import version
from typing import Annotated

import typer

from search_space.errors import UserError

from .endings import ending_of
from .network_commands.compare import compare
from .network_commands.devices import devices
from .network_commands.final import compress, train
from .network_commands.latency import calibrate, measure
from .network_commands.quality import fidelity, sensitivity
from .network_commands.show import references, show
from .option_groups import with_groups
from .streams import guard_streams
from .study_commands.budgets import budgets
from .study_commands.dashboard import dashboard
from .study_commands.prior import prior
from .study_commands.recommend import recommend
from .study_commands.results import export, pareto, report, status
from .study_commands.search import search
from .study_commands.settings import plugins, presets, validate
from .study_commands.studies_list import studies

COMMANDS = (
    *(search, studies, status, pareto, report, export, dashboard, recommend, budgets, prior),
    *(
        show,
        references,
        train,
        compress,
        sensitivity,
        fidelity,
        measure,
        calibrate,
        compare,
        devices,
        plugins,
        presets,
        validate,
    ),
)
app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"resfront {version('resfront')}")
        raise typer.Exit


@app.callback()
def common(
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Search lightweight ResNets for edge devices: trace the Pareto front, pick a network, take it home."""


for command in COMMANDS:
    app.command()(with_groups(command))


def main() -> None:
    """Run the command line, and end with the exit code of how it went."""
    # OpenMP's threads spin while they wait for each other: beside other work that makes training many times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    guard_streams()
    sys.exit(ending_of(partial(_run, sys.argv[1:] or ["--help"])))


def _run(arguments: list[str]) -> None:
    """Parse and run, without typer's own endings: it takes a broken pipe of any kind for a closed stdout."""
    _check_arguments(arguments)
    command = typer.main.get_command(app)
    with command.make_context("resfront", arguments) as context:
        command.invoke(context)


def _check_arguments(arguments: list[str]) -> None:
    """Raise UserError for an argument that is no text: no file of a study could hold it, no message show it."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise UserError(f"{os.fsencode(argument)!r}: is not UTF-8; rename it") from None
