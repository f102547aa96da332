"""A server of files on this machine, some of whose paths misbehave."""

import http.server
import threading
import time

import pytest

BODY = bytes(range(256)) * 9000


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `server.files`; some paths misbehave."""

    def do_GET(self):
        name = self.path.removeprefix("/")
        self.server.asked.append(name)
        if name == "slow":
            time.sleep(0.6)
            return
        if name not in self.server.files and name != "cut":
            self.send_error(404)
            return
        body = self.server.files.get(name, BODY)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:1000] if name == "cut" else body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.files, running.asked = {"good": BODY}, []
        running.url = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()
