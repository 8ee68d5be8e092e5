"""A server with planned responses, for the tests of the load generators."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

Plan = Callable[[int], int | None]
"""Returns the status of the n-th request, from 1; None closes the connection without a response."""


class PlannedServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, plan: Plan) -> None:
        super().__init__(("127.0.0.1", 0), PlannedHandler)
        self.plan = plan
        self.bodies: list[bytes] = []
        self.connections: set[tuple[str, int]] = set()
        self.lock = threading.Lock()

    @property
    def port(self) -> int:
        return self.server_address[1]

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class PlannedHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: PlannedServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.bodies.append(body)
            self.server.connections.add(self.client_address)
            status = self.server.plan(len(self.server.bodies))
        if status is None:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", "2")
        if self.headers.get("Connection") == "close":
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def planned() -> Iterator[Callable[[Plan], PlannedServer]]:
    servers = []

    def start(plan: Plan) -> PlannedServer:
        server = PlannedServer(plan)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()
