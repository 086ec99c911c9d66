"""Real HTTP servers as peers, on a unix socket or over TLS, well-behaved and hostile."""

from __future__ import annotations

import contextlib
import json
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests.patience import HANGS


class Handler(BaseHTTPRequestHandler):
    """One exchange, answered by the server's behaviour."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.requested.append(self.path)
        self.server.behaviour(self)

    def send(self, status: int, body: bytes, content_type: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


Behaviour = Callable[[Handler], None]


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """A threaded server; `requested` lists the paths, `stopped` ends waiting behaviours."""

    daemon_threads = True
    behaviour: Behaviour
    requested: list[str]
    stopped: threading.Event

    def handle_error(self, *_: object) -> None:
        """Print nothing: clients of these tests close their connections early on purpose."""


class _UnixServer(Server):
    address_family = socketserver.socket.AF_UNIX  # type: ignore[attr-defined]

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)


@contextlib.contextmanager
def _running(server: Server, behaviour: Behaviour) -> Iterator[Server]:
    server.behaviour, server.requested, server.stopped = behaviour, [], threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.stopped.set()
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def on_socket(path: Path, behaviour: Behaviour) -> Iterator[Server]:
    """Serve on a unix socket."""
    with _running(_UnixServer(str(path), Handler), behaviour) as server:  # type: ignore[arg-type]
        yield server


@contextlib.contextmanager
def over_tls(context: ssl.SSLContext, behaviour: Behaviour) -> Iterator[Server]:
    """Serve on a free port of 127.0.0.1; `server.server_address[1]` is the port."""
    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    with _running(server, behaviour):
        yield server


def answering(routes: Mapping[str, Any], content_type: str = "application/json") -> Behaviour:
    """Return a behaviour that answers each path with its document or `(status, document)`.

    Other paths get 404, as from Go's mux. Bytes are sent as they are.
    """

    def behave(handler: Handler) -> None:
        answer = routes.get(handler.path)
        if answer is None and handler.path not in routes:
            handler.send(404, b"404 page not found\n", "text/plain; charset=utf-8")
            return
        status, document = answer if isinstance(answer, tuple) else (200, answer)
        handler.send(
            status,
            document if isinstance(document, bytes) else json.dumps(document).encode(),
            content_type,
        )

    return behave


def silent(handler: Handler) -> None:
    """Accept and read the request, but never answer."""
    handler.server.stopped.wait(HANGS)


def half(handler: Handler) -> None:
    """Announce more than is sent, and close the connection."""
    handler.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n[{"id": 1, "spec"')
    handler.close_connection = True


def rubbish(handler: Handler) -> None:
    """Send another protocol."""
    handler.wfile.write(b"\x00\xff220 mail.example ESMTP\r\n\r\n" * 20)
    handler.close_connection = True


def flood(handler: Handler) -> None:
    """Send 100 MB of numbers."""
    handler.wfile.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n["
    )
    for _ in range(100):
        handler.wfile.write(b"0," * 500_000)
    handler.close_connection = True


def drip(handler: Handler) -> None:
    """Send a byte now and then, each within a timeout that every byte restarts."""
    handler.wfile.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
    )
    while not handler.server.stopped.wait(0.05):
        handler.wfile.write(b" ")
    handler.close_connection = True


def drip_headers(handler: Handler) -> None:
    """Send header after header, slowly."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not handler.server.stopped.wait(0.05):
        handler.wfile.write(b"X: ")
    handler.close_connection = True


HOSTILE = (silent, half, rubbish, flood, drip, drip_headers)
