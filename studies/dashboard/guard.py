"""Whose requests are answered? Those that the dashboard's own pages make, at an address that is its own.

Every page that a browser has open can send requests to a server on the same machine, and can give that server a
name of its own (DNS rebinding). So a request has to name a host that is ours, must not come from another site, and
reaches only the routes that a Dash application needs; beyond the machine it has to carry a token too. Whoever can
run programs on this machine is trusted, unless a token is set.
"""

import hmac
import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from urllib.parse import quote, urlencode

from dash.exceptions import DependencyException
from dash.fingerprint import check_fingerprint
from flask import Flask, Response, redirect, request
from werkzeug.exceptions import (
    Forbidden,
    HTTPException,
    NotFound,
    RequestEntityTooLarge,
    Unauthorized,
    UnsupportedMediaType,
)
from werkzeug.wrappers import Response as AnyResponse

from .address import is_loopback

MAX_BODY_BYTES = 8_000_000
"""Of a callback's request."""
CALLBACKS = "/_dash-update-component"
SUITES = "/_dash-component-suites/"
ASSETS = "/assets/"
PAGES = ("/", "/<path:path>")
ROUTES = {
    *PAGES,
    CALLBACKS,
    "/_dash-layout",
    "/_dash-dependencies",
    "/_favicon.ico",
    f"{SUITES}<string:package_name>/<path:fingerprinted_path>",
    f"{ASSETS}<path:filename>",
}
"""What a Dash application needs. Flask's own `static`, an MCP server and whatever a plug-in adds are not in it."""
POLICY = {
    "default-src": "'self'",
    "script-src": "'self'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "connect-src": "'self'",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_AUTHORITY = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::([0-9]{1,5}))?")
_NO_PATH = re.compile(r"//|\\|[\x00-\x1f\x7f]|/\.{1,2}(/|$)")


def protect(
    server: Flask, *, host: str, port: int, token: str | None, script_hashes: Callable[[], Sequence[str]]
) -> None:
    """Let `server`, bound to `host` and `port`, answer only what it should; every refusal is one line of text.

    With a token every request has to carry it, in the address (`?token=`, which a page swaps for a cookie) or in the
    cookie. `script_hashes` are those of the page's inline scripts, as `Dash.csp_hashes` gives them.
    """
    names, any_address = _own_names(host), not is_loopback(host)

    @server.before_request
    def check() -> AnyResponse | None:
        _check_host(names, any_address, port)
        _check_site()
        _check_path()
        answer = _check_token(token, f"resfront_{port}") if token else None
        if request.method == "POST":
            _check_body()
        return answer

    @server.after_request
    def add_headers(response: Response) -> Response:
        is_page = response.mimetype == "text/html"
        response.headers.update(HEADERS)
        response.headers["Content-Security-Policy"] = _policy(script_hashes() if is_page else ())
        _set_cache(response)
        return response

    @server.errorhandler(HTTPException)
    def say(error: HTTPException) -> Response:
        return Response(f"{error.description}\n", error.code, mimetype="text/plain")

    @server.errorhandler(DependencyException)
    def no_such_file(_: DependencyException) -> Response:
        return say(NotFound())


def check_page_token(given: object, expected: str) -> None:
    """Raise Forbidden unless a callback that writes was given the token of a page of this very run."""
    if not isinstance(given, str) or not _same(given, expected):
        raise Forbidden("This page is from an earlier start of the dashboard; load it again.")


def _own_names(host: str) -> frozenset[str]:
    """What this server may be called, in lower case, apart from addresses."""
    names = {"localhost", "127.0.0.1", "::1", host.strip("[]").lower()}
    if not is_loopback(host):
        names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
    return frozenset(names)


def _check_host(names: frozenset[str], any_address: bool, port: int) -> None:
    """Refuse a name that is not ours: another site may have pointed it here. X-Forwarded-Host counts for nothing."""
    given = request.environ.get("HTTP_HOST", "").lower()
    match = _AUTHORITY.fullmatch(given)
    name = (match[1] or match[2]) if match else ""
    if match is None or int(match[3] or 80) != port or not (name in names or (any_address and _is_address(name))):
        raise Forbidden(
            f"The dashboard does not answer under this address; open http://localhost:{port} "
            f"(through a tunnel: ssh -L {port}:localhost:{port})."
        )


def _check_site() -> None:
    """Refuse what another site's page sends; it may only link to us."""
    if request.method not in ("GET", "HEAD", "POST"):
        raise Forbidden("The dashboard answers GET, HEAD and POST only.")
    host, origin = request.environ["HTTP_HOST"].lower(), request.headers.get("Origin")
    if origin is None and request.method == "POST":
        raise Forbidden("A request that changes something has to say where it comes from (Origin).")
    if origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}"):
        raise Forbidden("The dashboard does not answer to other sites.")
    fetch = {key: request.headers.get(f"Sec-Fetch-{key}") for key in ("Site", "Mode", "Dest")}
    follows_link = request.method == "GET" and (fetch["Mode"], fetch["Dest"]) == ("navigate", "document")
    if fetch["Site"] not in (None, "same-origin", "none") and not follows_link:
        raise Forbidden("The dashboard does not answer to other sites.")


def _check_path() -> None:
    """Refuse paths that mean something else to a browser or to a file system, and routes that no page needs."""
    raw = (request.environ["PATH_INFO"], request.environ.get("REQUEST_URI", ""))
    is_known = request.url_rule is None or request.url_rule.rule in ROUTES
    if _NO_PATH.search(raw[0]) or raw[1].startswith("//") or not is_known:
        raise NotFound()
    if request.method == "POST" and request.path != CALLBACKS:
        raise Forbidden("Nothing can be sent there.")


def _check_token(token: str, cookie: str) -> AnyResponse | None:
    """Refuse a request without the token; a page asked for with `?token=` is asked for again with the cookie."""
    if _same(request.args.get("token"), token):
        if request.url_rule is None or request.url_rule.rule not in PAGES:
            return None
        rest = urlencode([(key, value) for key, value in request.args.items(multi=True) if key != "token"])
        answer = redirect(quote(request.path) + (f"?{rest}" if rest else ""))
        answer.set_cookie(cookie, token, httponly=True, samesite="Strict", path="/")
        return answer
    if not _same(request.cookies.get(cookie), token):
        # A browser that followed another site's link leaves the cookie out, even after the redirect.
        raise Unauthorized("Paste what `resfront dashboard` printed, with its ?token=..., into the address bar.")
    return None


def _check_body() -> None:
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("Callbacks are JSON.")
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise RequestEntityTooLarge(f"A request may have {MAX_BODY_BYTES:,} bytes.")


def _policy(hashes: Sequence[str]) -> str:
    sources = {**POLICY, "script-src": " ".join([POLICY["script-src"], *hashes])}
    return "; ".join(f"{kind} {source}" for kind, source in sources.items())


def _set_cache(response: Response) -> None:
    """Nothing that tells of a study is kept; files with a fingerprint in their name are kept for good."""
    is_file = response.status_code in (200, 206, 304)
    if is_file and request.path.startswith(SUITES):
        if check_fingerprint(request.path)[1]:  # type: ignore[no-untyped-call]
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    elif not (is_file and request.path.startswith(ASSETS)):
        response.headers["Cache-Control"] = "no-store"


def _same(given: str | None, expected: str) -> bool:
    """Whether they are equal, in a time that does not tell how far."""
    if given is None:
        return False
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode("utf-8", "surrogatepass"))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
