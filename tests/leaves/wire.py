"""Peer of one connection that sends arbitrary bytes, which an HTTP server cannot do."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.patience import HANGS

LATE = HANGS
"""Seconds; longer than every deadline of these tests.

A connection that its client closes ends immediately.
"""
Behaviour = Callable[[socket.socket, bytes], None]


def sending(answer: bytes, linger: float = 0) -> Behaviour:
    """Send the answer, then close the connection after `linger` seconds or with the client."""

    def behave(connection: socket.socket, _: bytes) -> None:
        connection.sendall(answer)
        _wait(connection, linger)

    return behave


def dripping(first: bytes, drop: bytes) -> Behaviour:
    """Send the first bytes, then a drop at intervals, until the client closes the connection."""

    def behave(connection: socket.socket, _: bytes) -> None:
        connection.sendall(first)
        for _drop in range(int(LATE / 0.02)):
            connection.sendall(drop)
            if _wait(connection, 0.02):
                return

    return behave


@contextlib.contextmanager
def on_socket(path: Path, behave: Behaviour) -> Iterator[None]:
    """Serve one connection on a unix socket."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        with _serving(server, behave, None):
            yield


@contextlib.contextmanager
def on_port(behave: Behaviour, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve one connection on a free port of 127.0.0.1; without a context, without TLS."""
    with socket.create_server(("127.0.0.1", 0)) as server, _serving(server, behave, context):
        yield server.getsockname()[1]


@contextlib.contextmanager
def _serving(
    server: socket.socket, behave: Behaviour, context: ssl.SSLContext | None
) -> Iterator[None]:
    server.settimeout(LATE)

    def serve() -> None:
        # Clients in these tests close connections early on purpose.
        with contextlib.suppress(OSError), contextlib.closing(server.accept()[0]) as plain:
            plain.settimeout(LATE)
            with (
                context.wrap_socket(plain, server_side=True)
                if context
                else contextlib.nullcontext(plain) as connection
            ):
                behave(connection, connection.recv(65536))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _wait(connection: socket.socket, seconds: float) -> bool:
    """Wait until the client closes the connection, and return whether it did."""
    connection.settimeout(seconds or None)
    try:
        return seconds > 0 and connection.recv(65536) == b""
    except TimeoutError:
        return False
    finally:
        connection.settimeout(LATE)
