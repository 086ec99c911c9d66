"""Peers on a unix socket that break the D-Bus protocol, one behaviour each."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

Behaviour = Callable[[socket.socket], None]


@contextlib.contextmanager
def on_socket(path: Path, behaviour: Behaviour) -> Iterator[None]:
    """Serve one connection after another; the connection is closed when the behaviour returns."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=_serve, args=(listener, behaviour))
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(listener: socket.socket, behaviour: Behaviour) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, contextlib.suppress(OSError):
            connection.settimeout(8)
            behaviour(connection)


def _line(connection: socket.socket) -> None:
    received = b""
    while not received.endswith(b"\r\n"):
        received += connection.recv(4096)


def hang_up(connection: socket.socket) -> None:
    """Close the connection without an answer."""
    _line(connection)


def hang_up_in_a_line(connection: socket.socket) -> None:
    """Close the connection in the middle of a line of the answer."""
    _line(connection)
    connection.sendall(b"OK 0123")


def silent(connection: socket.socket) -> None:
    """Read, and never answer."""
    while connection.recv(4096):
        pass


def endless(connection: socket.socket) -> None:
    """Send a line that never ends."""
    _line(connection)
    while True:
        connection.sendall(b"O" * 1000)


def reject(connection: socket.socket) -> None:
    """Reject the only authentication mechanism."""
    _line(connection)
    connection.sendall(b"REJECTED ANONYMOUS\r\n")
    connection.recv(4096)


def another_protocol(connection: socket.socket) -> None:
    """Answer in another protocol."""
    _line(connection)
    connection.sendall(b"220 mail.example ESMTP\r\n")
    connection.recv(4096)


def _authenticate(connection: socket.socket) -> bytes:
    _line(connection)
    connection.sendall(b"OK 0123456789abcdef0123456789abcdef\r\n")
    received = b""
    while b"Hello" not in received:
        received += connection.recv(4096)
    return received


def silent_after_hello(connection: socket.socket) -> None:
    """Authenticate, and never answer Hello."""
    _authenticate(connection)
    silent(connection)


def hang_up_after_hello(connection: socket.socket) -> None:
    """Authenticate, and close the connection."""
    _authenticate(connection)


def rubbish_after_hello(connection: socket.socket) -> None:
    """Authenticate, and send bytes that are not a D-Bus message."""
    _authenticate(connection)
    connection.sendall(b"\xff" * 64)
    silent(connection)


def refuse_hello(connection: socket.socket) -> None:
    """Authenticate, and answer Hello with an error, as a full bus does."""
    _authenticate(connection)
    connection.sendall(_error(1, "org.freedesktop.DBus.Error.LimitsExceeded", "the bus is full"))
    silent(connection)


def _error(serial: int, name: str, text: str) -> bytes:
    from dbus_next import Message, MessageType

    message = Message(
        message_type=MessageType.ERROR,
        error_name=name,
        reply_serial=serial,
        serial=1,
        signature="s",
        body=[text],
    )
    return bytes(message._marshall())  # noqa: SLF001 (the library has no other way to bytes)
