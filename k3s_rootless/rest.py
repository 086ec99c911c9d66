"""The one door to HTTP: bounded GETs, and streams of lines, over a unix socket or over TLS.

No library does it on purpose: httpx2 doubles the instructions that click and dbus-next take, lightkube brings them to 3.8 times
(callgrind, Python 3.13, November 2026), and `status` may take 1.6; what of the standard library is too slow, see `http1`.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from k3s_rootless import http1
from k3s_rootless.errors import PeerError
from k3s_rootless.record import dataclass, field

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes. 10,000 Services are about 20 MiB; whoever sends more than this is not who we think it is."""
LONGEST_LINE = 4 * 1024 * 1024
"""Bytes of one line of a stream. etcd takes objects up to 1.5 MiB (its --max-request-bytes)."""
CONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of one answer, and the certificate (DER) of who gave it, where it came over TLS."""

    status: int
    body: bytes
    certificate: bytes = field(default=b"", repr=False, compare=False)


class Peer(Protocol):
    """Somebody who answers GET requests."""

    def get(self, path: str, *, timeout: float) -> Answer:
        """Ask for `path`; the whole exchange takes at most about `timeout` seconds. Raises PeerError."""

    def stream(self, path: str, *, timeout: float) -> Generator[bytes, None, None]:
        """Ask for `path`, and give the lines of the answer as they come, for at most `timeout` seconds. Raises PeerError.

        The connection lives as long as the generator: close it (contextlib.closing). The answer's end is the iterator's.
        """


@dataclass(frozen=True, slots=True)
class UnixPeer:
    """An HTTP server on a unix socket, such as rootlesskit's API."""

    socket: Path

    def get(self, path: str, *, timeout: float) -> Answer:
        """Ask for `path`; see Peer."""
        return _get(lambda: _to_socket(self.socket, timeout), "localhost", path, timeout, f"the socket {self.socket}")

    def stream(self, path: str, *, timeout: float) -> Generator[bytes, None, None]:
        """Give the lines of `path`; see Peer."""
        return _stream(
            lambda: _to_socket(self.socket, CONNECT_SECONDS), "localhost", path, timeout, f"the socket {self.socket}"
        )


@dataclass(frozen=True, slots=True)
class TlsPeer:
    """An HTTPS server whose certificate the context verifies, such as K3s's API server."""

    host: str
    port: int
    context: ssl.SSLContext

    def get(self, path: str, *, timeout: float) -> Answer:
        """Ask for `path`; see Peer."""
        return _get(lambda: self._connect(timeout), self._host, path, timeout, f"https://{self.host}:{self.port}")

    def stream(self, path: str, *, timeout: float) -> Generator[bytes, None, None]:
        """Give the lines of `path`; see Peer."""
        return _stream(lambda: self._connect(CONNECT_SECONDS), self._host, path, timeout, f"https://{self.host}:{self.port}")

    @property
    def _host(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def _connect(self, timeout: float) -> socket.socket:
        # As bytes: for a text, Python loads the tables of international names, 3 ms, be it the number of an address.
        name = self.host.encode("ascii" if self.host.isascii() else "idna")
        sock = socket.create_connection((cast("str", name), self.port), timeout)
        try:
            return self.context.wrap_socket(sock, server_hostname=name)
        except BaseException:
            sock.close()
            raise


def _to_socket(path: Path, timeout: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        sock.connect(str(path))
    except BaseException:
        sock.close()
        raise
    return sock


@contextmanager
def _asking(
    connect: Callable[[], socket.socket], host: str, path: str, timeout: float, peer: str
) -> Iterator[tuple[socket.socket, int, Iterator[bytes]]]:
    deadline = time.monotonic() + timeout
    question = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\nAccept-Encoding: identity\r\n\r\n"
    try:
        with connect() as sock:
            sock.settimeout(http1.left(deadline))
            sock.sendall(question.encode("ascii"))
            incoming = http1.received(sock, deadline)
            status, headers = http1.head(incoming)
            yield sock, status, http1.body(incoming, status, headers)
    except TimeoutError:
        raise PeerError(f"{peer} gave no answer within {timeout:.3g} s") from None
    except http1.Malformed as error:
        raise PeerError(f"cannot ask {peer}: {error}") from error
    except OSError as error:
        raise PeerError(f"cannot ask {peer}: {_reason(error)}") from error


def _get(connect: Callable[[], socket.socket], host: str, path: str, timeout: float, peer: str) -> Answer:
    with _asking(connect, host, path, timeout, peer) as (sock, status, body):
        parts: list[bytes] = []
        size = 0
        for part in body:
            parts.append(part)
            size += len(part)
            if size > LARGEST_ANSWER:
                raise http1.Malformed(f"the answer is longer than {LARGEST_ANSWER} bytes")
        shown = getattr(sock, "getpeercert", None)
        return Answer(status, b"".join(parts), (shown(binary_form=True) or b"") if shown else b"")


def _stream(
    connect: Callable[[], socket.socket], host: str, path: str, timeout: float, peer: str
) -> Generator[bytes, None, None]:
    with _asking(connect, host, path, timeout, peer) as (_, status, body):
        if status != 200:
            # Its words are in the body, which may be as long as it likes: the caller asks again without streaming.
            raise PeerError(f"cannot follow {peer}: HTTP status {status}", status=status)
        for line in _lines(body):
            if line.strip():
                yield line


def _lines(body: Iterator[bytes]) -> Iterator[bytes]:
    kept: list[bytes] = []
    size = 0
    for part in body:
        *whole, rest = part.split(b"\n")
        for line in whole:
            yield b"".join((*kept, line, b"\n"))
            kept, size = [], 0
        kept.append(rest)
        size += len(rest)
        if size > LONGEST_LINE:
            raise http1.Malformed(f"a line is longer than {LONGEST_LINE} bytes")
    yield b"".join(kept)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower() if error.errno else str(error)
