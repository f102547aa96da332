"""Where the dashboard listens, and every reason why it cannot, in one line that says how to go on."""

import errno
import re
import socket
from collections.abc import Iterator

import pytest

from studies.dashboard.address import DashboardError, is_loopback, listen_socket


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of 127.0.0.1 on which somebody listens; the next one is taken, too."""
    for _ in range(50):
        with socket.create_server(("127.0.0.1", 0)) as first:
            port = first.getsockname()[1]
            if port == 65535:
                continue
            try:
                second = socket.create_server(("127.0.0.1", port + 1))
            except OSError:
                continue
            with second:
                yield port
                return
    raise AssertionError("no two ports in a row are free")


def complaint(host: str, port: int, token: str | None = "secret") -> str:
    with pytest.raises(DashboardError) as caught:
        listen_socket(host, port, token)
    assert caught.value.exit_code == 2
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
def test_it_listens(host: str) -> None:
    with listen_socket(host, 0, None) as sock:
        address = sock.getsockname()
        assert address[0] == {"localhost": "127.0.0.1"}.get(host, host)
        with socket.create_connection(address, timeout=5):
            sock.accept()[0].close()


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_it_listens_on_ipv6(host: str) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listen_socket(host, 0, None) as sock:
        assert sock.getsockname()[0] == "::1"
        with socket.create_connection(sock.getsockname()[:2], timeout=5):
            sock.accept()[0].close()


def test_a_port_in_use_is_named_with_one_that_is_free(taken: int) -> None:
    message = complaint("127.0.0.1", taken)
    found = re.fullmatch(rf"port {taken} is in use; port (\d+) is free: --port \1", message)
    assert found, message
    assert int(found[1]) > taken + 1
    listen_socket("127.0.0.1", int(found[1]), None).close()


def test_a_port_that_was_just_left_is_not_in_use() -> None:
    """The dashboard may be started again at once, while old connections are still being closed."""
    with listen_socket("127.0.0.1", 0, None) as sock:
        port = sock.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port), timeout=5)
        accepted = sock.accept()[0]
        accepted.close()
        client.close()
    listen_socket("127.0.0.1", port, None).close()


def test_no_port_above_is_free(monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    monkeypatch.setattr("studies.dashboard.address.NEAR", 1)
    found = re.search(r"port (\d+) is free", complaint("127.0.0.1", taken))
    assert found and int(found[1]) not in (taken, taken + 1)


@pytest.mark.parametrize(
    ("number", "host", "port", "expected"),
    [
        (errno.EACCES, "127.0.0.1", 80, r"port 80 needs an administrator's rights; port 8\d+ is free: --port 8\d+"),
        (errno.EADDRNOTAVAIL, "127.0.0.1", 8050, "--host 127.0.0.1: this machine has no such address; .*"),
        (errno.EAFNOSUPPORT, "::1", 8050, "--host ::1: this machine has no such address; .*"),
        (errno.ENOBUFS, "127.0.0.1", 8050, "--host 127.0.0.1 --port 8050: No buffer space available"),
    ],
)
def test_what_the_system_refuses(
    monkeypatch: pytest.MonkeyPatch, number: int, host: str, port: int, expected: str
) -> None:
    create = socket.create_server

    def refuse(address: tuple[str, int], **options: object) -> socket.socket:
        if address[1] == port:
            raise OSError(number, errno.errorcode[number] if number != errno.ENOBUFS else "No buffer space available")
        return create(("127.0.0.1", address[1]))

    monkeypatch.setattr(socket, "create_server", refuse)
    assert re.fullmatch(expected, complaint(host, port))


def test_an_address_of_another_machine() -> None:
    assert complaint("192.0.2.1", 8050).startswith("--host 192.0.2.1: this machine has no such address")


@pytest.mark.parametrize("host", ["no-such-host.invalid", "x" * 70 + ".org", "http://localhost", "127.0.0.1:8050", ""])
def test_what_is_no_host(host: str) -> None:
    message = complaint(host, 8050)
    assert message.startswith(f"--host {host}: no such host"), message


@pytest.mark.parametrize("port", [-1, 65536, 10**12])
def test_what_is_no_port(port: int) -> None:
    assert complaint("127.0.0.1", port).startswith(f"--port {port}: use a number from 1 to 65535")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "somewhere.example"])
@pytest.mark.parametrize("token", [None, ""])
def test_other_machines_need_a_token(host: str, token: str | None) -> None:
    message = complaint(host, 8050, token)
    assert message.startswith(f"--host {host}: whoever reaches this machine could use the dashboard")
    assert "--token" in message and "ssh -L 8050:localhost:8050" in message


def test_with_a_token_other_machines_are_served() -> None:
    with listen_socket("0.0.0.0", 0, "secret") as sock:
        assert sock.getsockname()[0] == "0.0.0.0"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LocalHost", True),
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.3", False),
        ("localhost.example.org", False),
        ("127.0.0.1.example.org", False),
        ("", False),
    ],
)
def test_what_only_this_machine_reaches(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
