"""What the dashboard does not answer: a real Dash application behind the real server, asked in every wrong way."""

import base64
import contextlib
import hashlib
import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import waitress
from dash import Dash, Input, Output, State, clientside_callback, dcc, html
from flask import Flask
from waitress import wasyncore
from werkzeug.exceptions import Forbidden

from studies.dashboard.guard import MAX_BODY_BYTES, check_page_token, protect

PAGE_TOKEN, TOKEN = "of this page", "sécret; =1"
CALLBACK = {
    "output": "answer.children",
    "outputs": {"id": "answer", "property": "children"},
    "inputs": [{"id": "ask", "property": "n_clicks", "value": 1}],
    "changedPropIds": ["ask.n_clicks"],
    "state": [{"id": "page-token", "property": "data", "value": PAGE_TOKEN}],
}


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def line(self) -> str:
        """The one line of a refusal."""
        text = self.body.decode()
        assert self.headers["Content-Type"].startswith("text/plain")
        assert text.endswith("\n") and text.count("\n") == 1 and len(text) > 10
        return text


class Served:
    """The address of a server, and how to ask it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.origin = f"http://127.0.0.1:{port}"

    def raw(self, request: bytes) -> Answer:
        """The answer to exactly these bytes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(request)
            response = http.client.HTTPResponse(connection)
            response.begin()
            return Answer(response.status, response.headers, response.read())

    def ask(self, path: str, method: str = "GET", *, body: bytes | None = None, **headers: str | None) -> Answer:
        """An answer; `Host` is the server's own unless given, None leaves a header out."""
        given = {"Host": f"127.0.0.1:{self.port}", "Connection": "close"}
        given |= {key.replace("_", "-"): value for key, value in headers.items()}
        if body is not None:
            given.setdefault("Content-Length", str(len(body)))
        lines = [f"{method} {path} HTTP/1.1", *(f"{key}: {value}" for key, value in given.items() if value is not None)]
        return self.raw("\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b""))

    def call_back(self, path: str = "/_dash-update-component", **headers: str | None) -> Answer:
        """What the page itself sends."""
        own = {"Origin": self.origin, "Content_Type": "application/json", "Sec_Fetch_Site": "same-origin"}
        return self.ask(path, "POST", body=json.dumps(CALLBACK).encode(), **{**own, **headers})


def make_app(tmp_path: Any, server: Flask | bool = True, **options: Any) -> Dash:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "style.css").write_text("p { color: red }")
    (tmp_path / "secret.txt").write_text("secret")
    app = Dash("resfront", server=server, assets_folder=str(tmp_path / "assets"), add_log_handler=False, **options)
    app.layout = html.Div(
        [dcc.Store(id="page-token"), html.Button(id="ask"), html.P(id="answer"), html.P(id="broken"), html.P(id="b")]
    )

    @app.callback(Output("answer", "children"), Input("ask", "n_clicks"), State("page-token", "data"))
    def answer(_: int, given: Any) -> str:
        check_page_token(given, PAGE_TOKEN)
        return "done"

    @app.callback(Output("broken", "children"), Input("ask", "n_clicks"))
    def broken(_: int) -> str:
        raise ZeroDivisionError("a secret")

    clientside_callback("function(n) { return n }", Output("b", "children"), Input("ask", "n_clicks"))
    return app


@contextlib.contextmanager
def serving(app: Dash, host: str = "127.0.0.1", token: str | None = None) -> Iterator[Served]:
    """The application behind waitress on a free port of this machine, protected as if bound to `host`."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        protect(app.server, host=host, port=port, token=token, script_hashes=app.csp_hashes)
        sockets: dict[int, Any] = {}
        server = waitress.create_server(app.server, map=sockets, sockets=[listening], threads=2)
        over = threading.Event()

        def run() -> None:
            while not over.is_set():
                wasyncore.loop(timeout=0.02, map=sockets, count=1)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield Served(port)
        finally:
            over.set()
            thread.join()
            server.task_dispatcher.shutdown()
            for channel in list(sockets.values()):
                channel.close()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A dashboard on this machine's own address, without a token."""
    with serving(make_app(tmp_path_factory.mktemp("own"))) as served:
        yield served


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A dashboard that other machines reach under the name `Lab.Example`, with a token."""
    with serving(make_app(tmp_path_factory.mktemp("shared")), "Lab.Example", TOKEN) as served:
        yield served


@pytest.fixture
def cookie(shared: Served) -> str:
    answer = shared.ask("/?token=s%C3%A9cret%3B+%3D1")
    return answer.headers["Set-Cookie"].partition("; HttpOnly")[0]


# --- what a page needs ----------------------------------------------------------------------------


def test_a_page_gets_what_it_asks_for(own: Served) -> None:
    page = own.ask("/")
    assert page.status == 200
    for path in ("/drone?trial=3", "/_dash-layout", "/_dash-dependencies", "/_favicon.ico", "/assets/style.css"):
        assert own.ask(path, Sec_Fetch_Site="same-origin", Sec_Fetch_Mode="cors").status == 200, path
    scripts = re.findall(r'<script src="([^"]+)"', page.body.decode())
    assert len(scripts) > 3
    for path in scripts:
        answer = own.ask(path, Sec_Fetch_Site="same-origin", Sec_Fetch_Mode="no-cors", Sec_Fetch_Dest="script")
        assert answer.status == 200 and len(answer.body) > 1000, path
    answer = own.call_back()
    assert (answer.status, json.loads(answer.body)["response"]) == (200, {"answer": {"children": "done"}})


def test_a_head_request_is_answered(own: Served) -> None:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", own.port, timeout=10)) as connection:
        connection.request("HEAD", "/")
        assert connection.getresponse().status == 200


# --- under which name -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_names_of_this_machine(own: Served, shared: Served, cookie: str, name: str) -> None:
    assert own.ask("/", Host=f"{name}:{own.port}").status == 200
    assert shared.ask("/", Host=f"{name}:{shared.port}", Cookie=cookie).status == 200


NO_NAMES = [
    "evil.example:{port}",
    "localhost.evil.example:{port}",
    "127.0.0.1.evil.example:{port}",
    "localhost:{port}.evil.example",
    "user@localhost:{port}",
    "localhost:{port}@evil.example",
    "evil.example, localhost:{port}",
    "localhost:{port}/",
    "localhost:1",
    "localhost:0{port}0",
    "localhost:",
    "localhost",
    "127.0.0.1",
    "2130706433:{port}",
    "127.1:{port}",
    "[::1:{port}",
    ":{port}",
    "",
    None,
]


@pytest.mark.parametrize("name", NO_NAMES)
def test_other_names_are_refused(own: Served, shared: Served, cookie: str, name: str | None) -> None:
    for served, token in ((own, None), (shared, cookie)):
        host = None if name is None else name.format(port=served.port)
        for answer in (
            served.ask("/", Host=host, Cookie=token),
            served.ask("/_dash-layout", Host=host, Cookie=token),
            served.call_back(Host=host, Cookie=token, Origin=f"http://{host}"),
        ):
            assert answer.status == 403
            assert f"http://localhost:{served.port}" in answer.line


@pytest.mark.parametrize("name", ["192.168.0.3", "10.1.2.3", "[fe80::1]", "lab.example", "LAB.EXAMPLE"])
def test_names_under_which_others_reach_it(own: Served, shared: Served, cookie: str, name: str) -> None:
    assert shared.ask("/", Host=f"{name}:{shared.port}", Cookie=cookie).status == 200
    assert own.ask("/", Host=f"{name}:{own.port}").status == 403


def test_the_machines_own_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "GPU7")
    monkeypatch.setattr(socket, "getfqdn", lambda: "gpu7.lab.example")
    with serving(make_app(tmp_path), "0.0.0.0", TOKEN) as served:
        for name, status in (("gpu7", 401), ("gpu7.lab.example", 401), ("gpu8", 403)):
            assert served.ask("/", Host=f"{name}:{served.port}").status == status


def test_the_machines_own_name_is_not_that_of_a_loopback_address(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "gpu7")
    with serving(make_app(tmp_path)) as served:
        assert served.ask("/", Host=f"gpu7:{served.port}").status == 403


def test_another_loopback_address_is_its_own_name(tmp_path: Any) -> None:
    with serving(make_app(tmp_path), "127.0.0.2") as served:
        for name, status in (("127.0.0.2", 200), ("127.0.0.1", 200), ("127.0.0.3", 403)):
            assert served.ask("/", Host=f"{name}:{served.port}").status == status


@pytest.mark.parametrize("port", [80, 8050])
def test_port_80_may_be_left_out(tmp_path: Any, port: int) -> None:
    app = make_app(tmp_path)
    protect(app.server, host="127.0.0.1", port=port, token=None, script_hashes=app.csp_hashes)
    for host in ("localhost", "127.0.0.1", "[::1]"):
        answer = app.server.test_client().get("/", headers={"Host": host})
        assert answer.status_code == (200 if port == 80 else 403)


def test_forwarded_names_count_for_nothing(own: Served) -> None:
    ours, other = f"localhost:{own.port}", "evil.example"
    for header in ("X_Forwarded_Host", "X_Forwarded_Server", "Forwarded"):
        assert own.ask("/", Host=other, **{header: ours}).status == 403
        assert own.ask("/", **{header: other}).status == 200


def test_forwarded_names_count_for_nothing_whatever_the_server_passes_on(tmp_path: Any) -> None:
    app = make_app(tmp_path)
    protect(app.server, host="127.0.0.1", port=8050, token=None, script_hashes=app.csp_hashes)
    client = app.server.test_client()
    for host, forwarded, status in (
        ("evil.example", "localhost:8050", 403),
        ("localhost:8050", "evil.example", 200),
    ):
        answer = client.get("/", headers={"Host": host, "X-Forwarded-Host": forwarded})
        assert answer.status_code == status


def test_two_names_or_a_whole_url(own: Served) -> None:
    ours = f"Host: 127.0.0.1:{own.port}\r\n".encode()
    for first, headers in (
        (b"GET / HTTP/1.1", ours + b"Host: evil.example\r\n"),
        (b"GET / HTTP/1.1", b"Host: evil.example\r\n" + ours),
        (b"GET / HTTP/1.0", b""),
        (f"GET http://127.0.0.1:{own.port}/ HTTP/1.1".encode(), b"Host: evil.example\r\n"),
    ):
        assert own.raw(first + b"\r\n" + headers + b"Connection: close\r\n\r\n").status == 403


# --- from which site ------------------------------------------------------------------------------

OTHER_SITES = ["http://evil.example", "null", "", "http://127.0.0.1", "http://localhost:{port}", "http://127.0.0.1:1",
               "file://", "ftp://127.0.0.1:{port}", "http://127.0.0.1:{port}.evil.example", "127.0.0.1:{port}",
               "http://127.0.0.1:{port}/", "http://127.0.0.1:{port} http://evil.example"]  # fmt: skip


@pytest.mark.parametrize("origin", OTHER_SITES)
def test_another_sites_page_is_refused(own: Served, origin: str) -> None:
    given = origin.format(port=own.port)
    assert own.call_back(Origin=given, Sec_Fetch_Site=None).status == 403
    assert own.ask("/_dash-layout", Origin=given).status == 403
    assert "other sites" in own.ask("/", Origin=given).line


def test_its_own_page_may_say_where_it_comes_from(own: Served) -> None:
    for origin in (own.origin, own.origin.upper(), own.origin.replace("http", "https")):
        assert own.call_back(Origin=origin).status == 200
        assert own.ask("/_dash-layout", Origin=origin).status == 200


def test_what_changes_something_has_to_say_where_it_comes_from(own: Served) -> None:
    for site in (None, "same-origin"):
        answer = own.call_back(Origin=None, Sec_Fetch_Site=site)
        assert answer.status == 403
        assert "(Origin)" in answer.line


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
def test_what_browsers_mark_as_foreign(own: Served, site: str) -> None:
    marked: dict[str, str | None] = {"Sec_Fetch_Site": site}
    assert own.call_back(**marked).status == 403
    for mode, dest in (("cors", "empty"), ("no-cors", "script"), ("no-cors", "image"), ("navigate", "iframe"),
                       ("navigate", "object"), ("websocket", "empty")):  # fmt: skip
        assert own.ask("/", Sec_Fetch_Mode=mode, Sec_Fetch_Dest=dest, **marked).status == 403, (mode, dest)
    assert own.ask("/", **marked).status == 403
    link: dict[str, str | None] = {**marked, "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    assert own.ask("/drone?trial=3", **link).status == 200
    assert own.call_back(**link).status == 403


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_what_browsers_mark_as_own(own: Served, site: str) -> None:
    assert own.ask("/_dash-layout", Sec_Fetch_Site=site, Sec_Fetch_Mode="cors", Sec_Fetch_Dest="empty").status == 200


# --- which methods, which bodies ------------------------------------------------------------------


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "PROPFIND"])
def test_other_methods_are_refused(own: Served, method: str) -> None:
    for path in ("/", "/_dash-update-component"):
        assert own.ask(path, method, Origin=own.origin).status == 403
    assert "Access-Control-Allow-Origin" not in own.ask("/", method, Origin=own.origin).headers


@pytest.mark.parametrize("path", ["/", "/drone", "/_dash-layout", "/_dash-update-component/", "/assets/style.css"])
def test_nothing_is_sent_elsewhere(own: Served, path: str) -> None:
    assert own.call_back(path).status == 403


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json"]
)
def test_callbacks_are_json(own: Served, kind: str | None) -> None:
    """What a form, or a script without asking first, can send to another site is none of it."""
    answer = own.call_back(Content_Type=kind)
    assert answer.status == 415
    assert answer.line == "Callbacks are JSON.\n"


def test_json_may_have_a_charset(own: Served) -> None:
    assert own.call_back(Content_Type="application/json; charset=utf-8").status == 200


def test_bodies_have_a_limit(own: Served) -> None:
    def send(size: int, *, chunked: bool = False) -> Answer:
        body = json.dumps(CALLBACK).encode().ljust(size)
        headers: dict[str, str | None] = {"Origin": own.origin, "Content_Type": "application/json"}
        if chunked:
            headers |= {"Transfer_Encoding": "chunked", "Content_Length": None}
            body = f"{size:x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
        return own.ask("/_dash-update-component", "POST", body=body, **headers)

    assert send(MAX_BODY_BYTES).status == 200
    assert send(1000, chunked=True).status == 200
    for chunked in (False, True):
        answer = send(MAX_BODY_BYTES + 1, chunked=chunked)
        assert answer.status == 413
        assert "8,000,000 bytes" in answer.line


# --- which paths ----------------------------------------------------------------------------------

UNNEEDED = ("/static/file.txt", "/_plugin", "/_mcp", "/health", "/_reload-hash")
PATHS = ["/assets/../secret.txt", "/assets/%2e%2e/secret.txt", "/assets/%2e%2e%2fsecret.txt", "/assets/..%2fsecret.txt",
         "/assets/..%5csecret.txt", "/assets/..\\secret.txt", "/assets/./style.css", "/assets//style.css",
         "/assets/%2fetc/passwd", "/assets//etc/passwd", "/assets/style.css%00.txt", "/../../etc/passwd",
         "/%2e%2e/%2e%2e/etc/passwd", "/..", "/.", "/drone/..", "/_dash-component-suites/dash/../../flask/app.py",
         "/_dash-component-suites/dash/%2e%2e/%2e%2e/flask/app.py", "//evil.example", "//evil.example/..",
         "///evil.example", "/drone//x", "/%5cevil.example", "/%0d%0aX-Evil:1", "/%09/evil.example",
         "/a%7fb"]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_paths_that_lead_elsewhere(own: Served, shared: Served, path: str) -> None:
    answer = own.ask(path)
    assert answer.status == 404
    assert "not found" in answer.line
    answer = shared.ask(f"{path}?token=s%C3%A9cret%3B+%3D1")
    assert answer.status == 404
    assert "Location" not in answer.headers


@pytest.mark.parametrize("path", ["//evil.example", "/%2fevil.example"])
def test_no_path_leads_a_browser_to_another_host(tmp_path: Any, path: str) -> None:
    """Whatever a server in between makes of it."""
    app = make_app(tmp_path)
    protect(app.server, host="127.0.0.1", port=8050, token=TOKEN, script_hashes=app.csp_hashes)
    environ = {"PATH_INFO": "//evil.example", "HTTP_HOST": "localhost:8050", "REQUEST_URI": path}
    answer = app.server.test_client().get("/", query_string={"token": TOKEN}, environ_overrides=environ)
    assert answer.status_code == 404


@pytest.mark.parametrize(
    "path",
    ["dash/dash.py", "dash/version.py", "flask/app.py", "dash/<script>alert(1)</script>", "studies/cli/__main__.py"],
)
def test_only_registered_files_of_packages(own: Served, path: str) -> None:
    answer = own.ask(f"/_dash-component-suites/{path}")
    assert answer.status == 404
    assert "not found" in answer.line and "script" not in answer.line


@pytest.mark.parametrize("path", ["/assets/none.css", "/assets/secret.txt", "/_reload-hash"])
def test_what_is_not_there(own: Served, path: str) -> None:
    assert "not found" in own.ask(path).line


def test_routes_that_no_page_needs(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flask serves `static` of the working directory, Dash may serve an MCP server, plug-ins whatever they like."""
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "file.txt").write_text("secret")
    monkeypatch.chdir(tmp_path)
    app = make_app(tmp_path, health_endpoint="health")
    for rule in ("/_plugin", "/_mcp"):
        app.server.add_url_rule(rule, endpoint=rule, view_func=lambda: "secret", methods=["GET", "POST", "DELETE"])
    known = {path: app.server.url_map.bind("").match(path) for path in UNNEEDED}
    assert len({endpoint for endpoint, _ in known.values()}) == len(UNNEEDED)  # not the page, which answers the rest
    with serving(app) as served:
        for path in UNNEEDED:
            assert "not found" in served.ask(path).line, path
        assert "not found" in served.call_back("/_mcp").line


# --- with a token ---------------------------------------------------------------------------------


def test_without_the_token_nothing_is_answered(shared: Served) -> None:
    for path in ("/", "/drone", "/_dash-layout", "/_dash-dependencies", "/assets/style.css", "/_favicon.ico"):
        for wrong in ("", "?token=", "?token=secret", "?Token=s%C3%A9cret%3B+%3D1", "?token=s%C3%A9cret%3B+%3D12"):
            answer = shared.ask(path + wrong)
            assert answer.status == 401, (path, wrong)
            assert "token" in answer.line
            assert "Set-Cookie" not in answer.headers
    for cookie in ("", "wrong", "s%C3%A9cret%3B+%3D1"):
        assert shared.ask("/", Cookie=f"resfront_{shared.port}={cookie}").status == 401
    assert shared.call_back().status == 401


def test_the_token_becomes_a_cookie(shared: Served) -> None:
    answer = shared.ask("/drone%20%3F/x?trial=3&token=s%C3%A9cret%3B+%3D1&a=%26b&a=")
    assert answer.status == 302
    assert answer.headers["Location"] == "/drone%20%3F/x?trial=3&a=%26b&a="
    assert answer.headers["Cache-Control"] == "no-store"
    name, *attributes = answer.headers["Set-Cookie"].split("; ")
    assert name.startswith(f"resfront_{shared.port}=")
    assert sorted(attributes) == ["HttpOnly", "Path=/", "SameSite=Strict"]
    assert shared.ask(answer.headers["Location"], Cookie=name).status == 200
    assert shared.ask("/?token=s%C3%A9cret%3B+%3D1").headers["Location"] == "/"


def test_with_the_cookie_everything_is_answered(shared: Served, cookie: str) -> None:
    for path in ("/", "/drone", "/_dash-layout", "/assets/style.css", "/?token=old"):
        assert shared.ask(path, Cookie=f"other=1; {cookie}").status == 200
    assert shared.call_back(Cookie=cookie).status == 200
    assert shared.ask("/", Cookie=cookie.replace(str(shared.port), "1")).status == 401


def test_the_cookie_does_not_open_the_door_to_other_sites(shared: Served, cookie: str) -> None:
    assert shared.call_back(Cookie=cookie, Origin="http://evil.example").status == 403
    assert shared.ask("/", Cookie=cookie, Host="evil.example").status == 403


def test_files_take_the_token_as_it_is(shared: Served) -> None:
    answer = shared.ask("/assets/style.css?token=s%C3%A9cret%3B+%3D1")
    assert (answer.status, answer.headers.get("Set-Cookie")) == (200, None)


# --- what goes with every answer ------------------------------------------------------------------


def answers(own: Served) -> dict[str, Answer]:
    return {
        "page": own.ask("/"),
        "layout": own.ask("/_dash-layout"),
        "callback": own.call_back(),
        "asset": own.ask("/assets/style.css"),
        "refusal": own.ask("/", Host="evil.example"),
        "missing": own.ask("/assets/none.css"),
    }


def test_headers(own: Served) -> None:
    for kind, answer in answers(own).items():
        found = {key: answer.headers.get_all(key) for key in (
            "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "Cross-Origin-Opener-Policy",
            "Cross-Origin-Resource-Policy")}  # fmt: skip
        assert list(found.values()) == [["nosniff"], ["DENY"], ["same-origin"], ["same-origin"], ["same-origin"]], kind
        policy = dict(rule.split(" ", 1) for rule in answer.headers["Content-Security-Policy"].split("; "))
        scripts = policy.pop("script-src").split()
        assert scripts[0] == "'self'"
        assert len(scripts) == (3 if kind == "page" else 1)  # the renderer and one function
        assert policy == {
            "default-src": "'self'",
            "style-src": "'self' 'unsafe-inline'",
            "img-src": "'self' data: blob:",
            "font-src": "'self' data:",
            "connect-src": "'self'",
            "object-src": "'none'",
            "base-uri": "'none'",
            "form-action": "'self'",
            "frame-ancestors": "'none'",
        }


def test_the_policy_lets_the_pages_own_scripts_run(tmp_path: Any) -> None:
    """Also where the first request was refused, before Dash had set itself up."""
    with serving(make_app(tmp_path)) as served:
        assert served.ask("/", Host="evil.example").status == 403
        page = served.ask("/")
    text, policy = (
        re.sub(r"<!--.*?-->", "", page.body.decode(), flags=re.DOTALL),
        page.headers["Content-Security-Policy"],
    )
    inline = re.findall(r"<script(?![^>]*(?:src=|application/json))[^>]*>(.*?)</script>", text, re.DOTALL)
    assert len(inline) == 2
    for script in inline:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_what_is_kept(own: Served) -> None:
    found = {kind: answer.headers.get_all("Cache-Control") for kind, answer in answers(own).items()}
    assert found.pop("asset") == ["no-cache"]
    assert found == {kind: ["no-store"] for kind in ("page", "layout", "callback", "refusal", "missing")}
    scripts = re.findall(r'<script src="(/_dash-component-suites/[^"]+)"', own.ask("/").body.decode())
    for path in scripts:
        assert own.ask(path).headers.get_all("Cache-Control") == ["public, max-age=31536000, immutable"]
        plain = own.ask(re.sub(r"\.v[\w-]+m[0-9a-f]+\.", ".", path))
        assert plain.status == 200
        assert "Cache-Control" not in plain.headers and plain.headers["ETag"]
    missing = scripts[0].replace(".min.", ".none.").replace(".js", ".jsx")
    assert own.ask(missing).headers["Cache-Control"] == "no-store"


# --- callbacks that write -------------------------------------------------------------------------


@pytest.mark.parametrize("given", [None, "", "of another page", PAGE_TOKEN + " ", "é", 3, [PAGE_TOKEN], {}])
def test_a_wrong_page_token(given: object) -> None:
    with pytest.raises(Forbidden, match="load it again"):
        check_page_token(given, PAGE_TOKEN)
    check_page_token(PAGE_TOKEN, PAGE_TOKEN)


def test_a_page_of_an_earlier_start_is_told_so(own: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CALLBACK["state"][0], "value", "old")  # type: ignore[index,arg-type]
    answer = own.call_back()
    assert answer.status == 403
    assert "load it again" in answer.line


def test_a_bug_says_nothing_about_itself(own: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CALLBACK, "output", "broken.children")
    monkeypatch.setitem(CALLBACK, "outputs", {"id": "broken", "property": "children"})
    monkeypatch.setitem(CALLBACK, "state", [])
    answer = own.call_back()
    assert answer.status == 500
    assert "secret" not in answer.line and "Zero" not in answer.line
