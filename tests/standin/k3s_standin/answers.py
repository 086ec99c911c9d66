"""Targets of forwards: real listeners inside the child's namespace, and their answers."""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass

_PATIENCE = 5.0
_METHODS = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"PATCH ", b"OPTIONS ")


@dataclass(frozen=True)
class Listener:
    """One port of one Service."""

    namespace: str
    service: str
    protocol: str
    port: int
    """Port of the Service, which answers on the node port too."""
    number: int
    """Port that the listener is bound to."""

    @property
    def is_traefik(self) -> bool:
        """Return whether the ingress controller of K3s listens here."""
        return (self.namespace, self.service) == ("kube-system", "traefik")


class Answerer:
    """Answers connections on any number of ports, with one thread."""

    def __init__(self, ingress: ssl.SSLContext) -> None:
        self._ingress = ingress
        self._selector = selectors.DefaultSelector()
        self._sockets: dict[Listener, socket.socket] = {}
        self._lock = threading.Lock()

    @property
    def listeners(self) -> set[Listener]:
        """Open listeners."""
        with self._lock:
            return set(self._sockets)

    def is_open(self, listener: Listener) -> bool:
        """Return whether this listener is open."""
        with self._lock:
            return listener in self._sockets

    def open(self, listener: Listener) -> None:
        """Open a listener; raises OSError if another Service has the port."""
        udp = listener.protocol == "udp"
        opened = socket.socket(type=socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
        try:
            if not udp:
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # All addresses of a namespace that other hosts cannot reach.
            opened.bind(("0.0.0.0", listener.number))  # noqa: S104
            if not udp:
                opened.listen(128)
        except OSError:
            opened.close()
            raise
        opened.settimeout(0)
        with self._lock:
            self._sockets[listener] = opened
            self._selector.register(
                opened, selectors.EVENT_READ, (self._echo if udp else self._accept, listener)
            )

    def close(self, listener: Listener) -> None:
        """Close the listener."""
        with self._lock:
            opened = self._sockets.pop(listener, None)
            if opened is not None:
                self._selector.unregister(opened)
                opened.close()

    def run(self, stopping: threading.Event) -> None:
        """Serve until the server stops."""
        while not stopping.is_set():
            self._serve_ready()
        for listener in self.listeners:
            self.close(listener)
        self._selector.close()

    def _serve_ready(self) -> None:
        for key, _ in self._selector.select(0.5):
            ready: Callable[[socket.socket, Listener], None]
            ready, listener = key.data
            # The listener was closed meanwhile, or the client left before it was accepted.
            with contextlib.suppress(OSError, ValueError):
                ready(key.fileobj, listener)  # type: ignore[arg-type]

    def _accept(self, listening: socket.socket, listener: Listener) -> None:
        connection, _ = listening.accept()
        connection.settimeout(_PATIENCE)
        threading.Thread(target=self._answer, args=(connection, listener), daemon=True).start()

    def _echo(self, bound: socket.socket, _listener: Listener) -> None:
        data, peer = bound.recvfrom(65535)
        bound.sendto(data, peer)

    def _answer(self, connection: socket.socket, listener: Listener) -> None:
        with contextlib.suppress(OSError):
            if listener.is_traefik and listener.port == 443:
                connection = self._ingress.wrap_socket(connection, server_side=True)
            with connection:
                request = connection.recv(65536)
                while (
                    request.startswith(_METHODS)
                    and b"\r\n\r\n" not in request
                    and (more := connection.recv(65536))
                ):
                    request += more
                connection.sendall(reply(listener, request))
                connection.shutdown(socket.SHUT_WR)


def reply(listener: Listener, request: bytes) -> bytes:
    """Return the answer to a request.

    This is a 404 for traefik, or 200 with a body that names the Service.
    """
    name = f"{listener.namespace}/{listener.service}:{listener.port}\n".encode()
    if not request.startswith(_METHODS):
        return name
    code, body = (
        (b"404 Not Found", b"404 page not found\n") if listener.is_traefik else (b"200 OK", name)
    )
    head = (
        b"HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length:"
        b" %d\r\nConnection: close\r\n\r\n"
    )
    return head % (code, len(body)) + (b"" if request.startswith(b"HEAD ") else body)
