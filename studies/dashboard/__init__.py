"""Which page shows a study while it runs? `serve` answers it, with Dash, to browsers on this machine.

It reads studies and never writes to them, but for exports, which go below a study's `exports/`.
"""

import secrets
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import waitress

from .address import is_loopback, listen_socket
from .app import create_app
from .exports import Exporter
from .guard import protect
from .library import Library

THREADS = 8


def serve(
    runs: Path,
    name: str | None,
    *,
    host: str,
    port: int,
    token: str | None,
    on_ready: Callable[[str], None],
) -> None:
    """Serve until the process is interrupted; `on_ready` is told the page's address.

    Raises UserError where the port is taken, the host cannot be listened on, or another machine could read without a
    token.
    """
    with listen_socket(host, port, token) as listening:
        library, exporter = Library(runs), Exporter(runs)
        if name is not None:
            library.look(name)  # so that the page has it when it opens
        app = create_app(library, exporter, secrets.token_urlsafe(32))
        port = listening.getsockname()[1]
        protect(app.server, host=host, port=port, token=token, script_hashes=app.csp_hashes)
        server = waitress.create_server(app.server, sockets=[listening], threads=THREADS, ident="resfront")
        shown = "127.0.0.1" if is_loopback(host) else host
        try:
            on_ready(f"http://{shown}:{port}/{name or ''}{f'?token={quote(token)}' if token else ''}")
            server.run()
        finally:
            server.close()
            exporter.close()
