"""What can a user type? `resfront COMMAND`: one file for each group of commands, imported when it is needed.

Exit codes: 0 done, 1 a bug, 2 usage or configuration, 3 not found or exists already, 4 storage, 5 no feasible
candidate, 130 interrupted and resumable. Data goes to stdout, progress and errors to stderr.
"""

import os
import sys

import typer

from search_space.errors import UserError

from . import (
    budgets,
    compare,
    dashboard,
    devices,
    final,
    latency,
    networks,
    quality,
    recommend,
    search,
    settings,
    study,
)

app = typer.Typer(
    help="Search lightweight ResNets for edge devices: trace the Pareto front, pick a network, take it home.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    search,
    study,
    dashboard,
    recommend,
    budgets,
    networks,
    final,
    quality,
    latency,
    compare,
    devices,
    settings,
):
    module.register(app)


def main() -> None:
    """Run the command line; a user's mistake is one line on stderr."""
    # OpenMP's threads spin while they wait for each other: beside other work that makes training many times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
    except UserError as error:
        code = _complain(str(error), error.exit_code)
    except typer.TyperException as error:
        code = _complain(error.format_message() if hasattr(error, "format_message") else str(error), 2)
    except (KeyboardInterrupt, typer.Abort):
        code = _complain("interrupted", 130)
    except BrokenPipeError:
        code = 1  # the reader of stdout has gone, as in `resfront references | head`
    sys.exit(code)


def _complain(message: str, code: int) -> int:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return code
