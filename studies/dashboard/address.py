"""Where does the dashboard listen? At one address and port, taken before anything else is set up."""

import errno
import ipaddress
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from search_space.errors import UserError

PORT = 8050
FIRST_FREE_FOR_ALL = 1024
"""Ports below are for administrators."""
NEAR = 100
"""How many ports above one that is taken are tried."""


class DashboardError(UserError):
    """The dashboard cannot be opened as asked."""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`; a name other than localhost never counts as such."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(_bare(host)).is_loopback
    except ValueError:
        return False


def listen_socket(host: str, port: int, token: str | None) -> socket.socket:
    """A listening socket, for `waitress.create_server(app, sockets=[...])`; port 0 takes any that is free.

    Raises DashboardError: other machines would need no token; a port in use, with one that is free; an address that
    this machine does not have.
    """
    if not 0 <= port <= 65535:
        raise DashboardError(f"--port {port}: use a number from 1 to 65535 (0 takes any free port)")
    if not token and not is_loopback(host):
        raise DashboardError(
            f"--host {host}: whoever reaches this machine could use the dashboard; give --token SECRET too, "
            f"or leave --host out and open a tunnel: ssh -L {port or PORT}:localhost:{port or PORT} ..."
        )
    family, address = _resolve(host)
    try:
        return _listen(family, address, port)
    except OSError as error:
        raise DashboardError(_explain(error, host, port, family, address)) from None


def _resolve(host: str) -> tuple[socket.AddressFamily, tuple[Any, ...]]:
    """The family and the socket address of `host`, IPv4 where it has both."""
    name = "127.0.0.1" if host.lower() == "localhost" else _bare(host)
    try:
        found = socket.getaddrinfo(name, 0, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise DashboardError(f"--host {host}: no such host; use an address of this machine, such as 0.0.0.0") from None
    family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return family, address


def _listen(family: socket.AddressFamily, address: tuple[Any, ...], port: int) -> socket.socket:
    return socket.create_server((address[0], port, *address[2:]), family=family, backlog=1024)


def _explain(error: OSError, host: str, port: int, family: socket.AddressFamily, address: tuple[Any, ...]) -> str:
    if error.errno == errno.EADDRINUSE:
        free = _free_port(family, address, port + 1)
        return f"port {port} is in use; port {free} is free: --port {free}"
    if error.errno == errno.EACCES:
        free = _free_port(family, address, PORT)
        return f"port {port} needs an administrator's rights; port {free} is free: --port {free}"
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return f"--host {host}: this machine has no such address; 0.0.0.0 stands for all that it has"
    return f"--host {host} --port {port}: {error.strerror}"


def _free_port(family: socket.AddressFamily, address: tuple[Any, ...], first: int) -> int:
    """The first port from `first` on that is free at this moment, or any."""
    for port in _candidates(first):
        with suppress(OSError), _listen(family, address, port) as tried:
            return int(tried.getsockname()[1])
    raise DashboardError(f"{address[0]} has no free port")


def _candidates(first: int) -> Iterator[int]:
    start = max(first, FIRST_FREE_FOR_ALL)
    yield from range(start, min(start + NEAR, 65536))
    yield 0


def _bare(host: str) -> str:
    """Without the brackets that an IPv6 address has in a URL."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host
