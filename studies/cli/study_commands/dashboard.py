"""`resfront dashboard`: follow studies in the browser."""

import os
import signal
import sys
import webbrowser
from typing import Annotated

import typer

from search_space.errors import UserError

from ..options import DEFAULT_RUNS, RUNS


def dashboard(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A study; by default the list of all.")] = None,
    port: Annotated[int, typer.Option(metavar="P", help="Port to listen on.")] = 8050,
    host: Annotated[
        str, typer.Option(metavar="H", help="Address to listen on; other than this machine's own it needs --token.")
    ] = "127.0.0.1",
    token: Annotated[
        str | None, typer.Option(metavar="T", help="What a browser must bring along, as ?token=T.")
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the page's address.")] = False,
    runs: RUNS = DEFAULT_RUNS,
) -> None:
    """Open a page that follows a study: its front, any network, exports. Ctrl-C ends it."""
    from studies.dashboard import serve

    from ...study.record import open_study_record, study_directory

    if name is not None:
        open_study_record(study_directory(name, runs))  # says so if there is none
    elif not runs.is_dir():
        raise UserError(f"{runs}: no such directory; start a study, or name its directory with --runs")

    def ready(address: str) -> None:
        typer.echo(address)
        typer.echo("Ctrl-C ends the dashboard; studies are not touched by it", err=True)
        if not no_browser and _has_screen():
            webbrowser.open(address)

    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))  # exports in progress are ended then, too
    serve(runs, name, host=host, port=port, token=token, on_ready=ready)


def _has_screen() -> bool:
    """Whether a browser would open in a window, rather than in this terminal."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
