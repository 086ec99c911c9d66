"""The one door to HTTP: bounded GETs over a unix socket or over TLS.

The standard library's client is used on purpose: next to what dbus-next loads anyway it costs a few milliseconds, where httpx2
costs more than `status` may take as a whole, and lightkube twice that (benchmarks/imports.py measures all three).
"""

from __future__ import annotations

import http.client
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from k3s_rootless.errors import PeerError

if TYPE_CHECKING:
    import ssl

LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes. 10,000 Services are about 20 MiB; whoever sends more than this is not who we think it is."""
_CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of one answer."""

    status: int
    body: bytes


class Peer(Protocol):
    """Somebody who answers GET requests."""

    def get(self, path: str, *, timeout: float) -> Answer:
        """Ask for `path`; the whole exchange takes at most about `timeout` seconds. Raises PeerError."""


@dataclass(frozen=True, slots=True)
class UnixPeer:
    """An HTTP server on a unix socket, such as rootlesskit's API."""

    socket: Path

    def get(self, path: str, *, timeout: float) -> Answer:
        """Ask for `path`; see Peer."""
        return _get(_UnixConnection(self.socket, timeout), path, timeout, f"the socket {self.socket}")


@dataclass(frozen=True, slots=True)
class TlsPeer:
    """An HTTPS server whose certificate the context verifies, such as K3s's API server."""

    host: str
    port: int
    context: ssl.SSLContext

    def get(self, path: str, *, timeout: float) -> Answer:
        """Ask for `path`; see Peer."""
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=self.context)
        return _get(connection, path, timeout, f"https://{self.host}:{self.port}")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _get(connection: http.client.HTTPConnection, path: str, timeout: float, peer: str) -> Answer:
    deadline = time.monotonic() + timeout
    try:
        connection.request("GET", path, headers={"Accept": "application/json"})
        response = connection.getresponse()
        return Answer(response.status, _body(response, connection, deadline))
    except TimeoutError:
        raise PeerError(f"{peer} gave no answer within {timeout:g} s") from None
    except (OSError, http.client.HTTPException) as error:
        raise PeerError(f"cannot ask {peer}: {_reason(error)}") from error
    finally:
        connection.close()


def _body(response: http.client.HTTPResponse, connection: http.client.HTTPConnection, deadline: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    # A socket's timeout starts anew with each read; a peer that drips one byte a second must not hold us for ever.
    while part := response.read1(_CHUNK):
        parts.append(part)
        size += len(part)
        if size > LARGEST_ANSWER:
            raise http.client.HTTPException(f"the answer is longer than {LARGEST_ANSWER} bytes")
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if connection.sock is not None:
            connection.sock.settimeout(left)
    return b"".join(parts)


def _reason(error: OSError | http.client.HTTPException) -> str:
    if isinstance(error, http.client.HTTPException):
        return f"its answer is no HTTP ({type(error).__name__})" if not str(error) else str(error)
    return (error.strerror or str(error)).lower() if error.errno else str(error)
