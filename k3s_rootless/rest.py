"""The HTTP client: requests with limits, and streams of lines, over a unix socket or TLS.

All HTTP requests go through this module. It uses the client of the standard library: importing it
adds 5 % to the instructions that click and dbus-next need, while httpx2 doubles them and lightkube
makes them 3.8 times as many (callgrind, Python 3.13, November 2026); the limit for `status` is 1.6.
"""

from __future__ import annotations

import functools
import http.client
import io
import json
import socket
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from k3s_rootless.errors import PeerError
from k3s_rootless.printable import LONGEST, printable

if TYPE_CHECKING:
    import ssl

    from _typeshed import WriteableBuffer

LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes. 10,000 Services are about 20 MiB; a peer that sends more is not the expected server."""
LONGEST_LINE = 4 * 1024 * 1024
"""Bytes of one line of a stream. etcd accepts objects up to 1.5 MiB (its --max-request-bytes)."""
_CHUNK = 256 * 1024
_LONGEST_REFUSAL = 64 * 1024
CONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of an answer, and the peer's certificate (DER) if it came over TLS."""

    status: int
    body: bytes
    certificate: bytes = field(default=b"", repr=False, compare=False)


class Peer(Protocol):
    """A server that answers GET requests."""

    def get(self, path: str, *, timeout: float) -> Answer:
        """Request `path`; the whole exchange takes at most about `timeout` seconds.

        Raises PeerError.
        """

    def stream(self, path: str, *, timeout: float) -> Generator[bytes, None, None]:
        """Request `path` and yield the lines of the answer as they arrive.

        The request ends after at most `timeout` seconds. The connection stays open until the
        generator is closed: use contextlib.closing. The iterator ends with the answer. Raises
        PeerError.
        """


@dataclass(frozen=True, slots=True)
class UnixPeer:
    """An HTTP server on a unix socket, such as rootlesskit's API."""

    socket: Path

    def get(self, path: str, *, timeout: float) -> Answer:
        """Request `path`; see Peer."""
        return _get(
            _UnixConnection(self.socket, timeout), path, timeout, f"the socket {self.socket}"
        )

    def stream(self, path: str, *, timeout: float) -> Generator[bytes, None, None]:
        """Yield the lines of `path`; see Peer."""
        return _stream(
            _UnixConnection(self.socket, CONNECT_SECONDS),
            path,
            timeout,
            f"the socket {self.socket}",
        )


@dataclass(frozen=True, slots=True)
class TlsPeer:
    """An HTTPS server with a certificate that the context verifies, such as K3s's API server.

    `authorization` is the value of the header of this name, empty for none.
    """

    host: str
    port: int
    context: ssl.SSLContext
    authorization: str = field(default="", repr=False)

    def get(self, path: str, *, timeout: float) -> Answer:
        """Request `path`; see Peer."""
        connection = http.client.HTTPSConnection(
            self.host, self.port, timeout=timeout, context=self.context
        )
        request = _Request(authorization=self.authorization)
        return _get(connection, path, timeout, f"https://{self.host}:{self.port}", request)

    def change(
        self, method: str, path: str, body: bytes = b"", kind: str = "", *, timeout: float
    ) -> Answer:
        """Send a request that changes something, with a body of the content type `kind`.

        `timeout` is as for `get`. Raises PeerError.
        """
        connection = http.client.HTTPSConnection(
            self.host, self.port, timeout=timeout, context=self.context
        )
        request = _Request(method, body, kind, self.authorization)
        return _get(connection, path, timeout, f"https://{self.host}:{self.port}", request)

    def stream(self, path: str, *, timeout: float) -> Generator[bytes, None, None]:
        """Yield the lines of `path`; see Peer."""
        connection = http.client.HTTPSConnection(
            self.host, self.port, timeout=CONNECT_SECONDS, context=self.context
        )
        return _stream(connection, path, timeout, f"https://{self.host}:{self.port}")


@dataclass(frozen=True, slots=True)
class _Request:
    method: str = "GET"
    body: bytes = field(default=b"", repr=False)
    kind: str = ""
    authorization: str = field(default="", repr=False)

    @property
    def headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json"}
        if self.kind:
            headers["Content-Type"] = self.kind
        if self.authorization:
            headers["Authorization"] = self.authorization
        return headers


_READ = _Request()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _Received(io.RawIOBase):
    """The bytes that a socket receives until the deadline."""

    def __init__(self, received: io.RawIOBase, sock: socket.socket, deadline: float) -> None:
        self._received = received
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        # The timeout of a socket restarts with each read. A peer that sends one byte a second must
        # not block this program without limit.
        self._sock.settimeout(_left(self._deadline))
        return self._received.readinto(buffer)

    def close(self) -> None:
        self._received.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """A response with one deadline for head and body together."""

    def __init__(
        self,
        sock: socket.socket,
        *args: Any,  # noqa: ANN401 (the signature of http.client)
        deadline: float,
        **options: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_Received(self.fp.detach(), sock, deadline))
        shown = getattr(sock, "getpeercert", None)
        self.certificate: bytes = (shown(binary_form=True) or b"") if shown else b""


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


@contextmanager
def _requested(
    connection: http.client.HTTPConnection,
    path: str,
    timeout: float,
    peer: str,
    request: _Request = _READ,
) -> Iterator[_Response]:
    deadline = time.monotonic() + timeout
    respond = functools.partial(_Response, deadline=deadline)
    connection.response_class = respond  # type: ignore[assignment]
    try:
        connection.connect()
        connection.sock.settimeout(_left(deadline))
        connection.request(request.method, path, request.body or None, request.headers)
        # An answer without a length takes over the socket of its connection, so closing the
        # connection is not enough.
        with closing(connection.getresponse()) as response:
            yield cast("_Response", response)
    except TimeoutError:
        raise PeerError(f"{peer} gave no answer within {timeout:.3g} s") from None
    except (OSError, http.client.HTTPException) as error:
        raise PeerError(f"cannot query {peer}: {_reason(error)}") from error
    finally:
        connection.close()


def _get(
    connection: http.client.HTTPConnection,
    path: str,
    timeout: float,
    peer: str,
    request: _Request = _READ,
) -> Answer:
    with _requested(connection, path, timeout, peer, request) as response:
        return Answer(response.status, _body(response), response.certificate)


def _stream(
    connection: http.client.HTTPConnection, path: str, timeout: float, peer: str
) -> Generator[bytes, None, None]:
    with _requested(connection, path, timeout, peer) as response:
        if response.status != 200:
            # The reason is in the body, which has no length limit. The caller repeats the request
            # without streaming.
            raise PeerError(
                f"cannot watch {peer}: HTTP status {response.status}", status=response.status
            )
        while line := response.readline(LONGEST_LINE + 1):
            if len(line) > LONGEST_LINE:
                raise http.client.HTTPException(f"a line is longer than {LONGEST_LINE} bytes")
            if line.strip():
                yield line


def _body(response: http.client.HTTPResponse) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := response.read(_CHUNK):
        parts.append(part)
        size += len(part)
        if size > LARGEST_ANSWER:
            raise http.client.HTTPException(f"the answer is longer than {LARGEST_ANSWER} bytes")
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    return b"".join(parts)


def _reason(error: OSError | http.client.HTTPException) -> str:
    if isinstance(error, http.client.IncompleteRead):
        return "the answer is incomplete"
    if isinstance(error, http.client.HTTPException) and not isinstance(error, ConnectionError):
        # http.client includes data from the peer in some messages, which must not reach the
        # terminal.
        return (
            str(error)
            if type(error) is http.client.HTTPException
            else f"the answer is not valid HTTP ({type(error).__name__})"
        )
    return (error.strerror or str(error)).lower() if error.errno else str(error)


def refusal(answer: Answer) -> str:
    """Return the reason of a refused request, with its status.

    The reason is the `message` of a rootlesskit error or a Kubernetes Status, with any
    Content-Type, or else the start of the body. rootlesskit sets its header after the status, so
    its JSON arrives as text/plain (its pkg/api/router, 0.14 to 2.3).
    """
    why = printable(_message(answer.body).strip()) or "no reason given"
    return f"{why} (HTTP status {answer.status})"


def _message(body: bytes) -> str:
    try:
        parsed = json.loads(body[:_LONGEST_REFUSAL])
    except (ValueError, RecursionError):
        parsed = None
    message = parsed.get("message") if isinstance(parsed, dict) else None
    if isinstance(message, str) and message:
        return message
    return body[:LONGEST].decode("utf-8", "replace")
