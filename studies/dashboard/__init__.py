"""Which page shows a study while it runs? `serve` answers it, with Dash, to browsers on this machine.

It reads studies and never writes to them, but for exports, which go below a study's `exports/`.
"""

import logging
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import waitress

from .address import listen_socket
from .app import create_app
from .exports import Exporter
from .guard import MAX_BODY_BYTES, protect
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
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a page asks for several things at once
        server = waitress.create_server(
            app.server,
            sockets=[listening],
            threads=THREADS,
            ident="resfront",
            max_request_body_size=MAX_BODY_BYTES + 1,
        )
        try:
            on_ready(f"http://{_shown(host)}:{port}/{name or ''}{f'?token={quote(token)}' if token else ''}")
            server.run()
        finally:
            server.close()
            exporter.close()


def _shown(host: str) -> str:
    """The host as it stands in an address that a browser can open."""
    if host in ("0.0.0.0", "::"):
        return socket.gethostname()
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
