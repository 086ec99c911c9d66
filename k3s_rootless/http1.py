"""One HTTP/1.1 answer, taken apart as it comes (RFC 9112): status, headers, and a body of chunks, of a length, or to the end.

By hand, since http.client reads headers with the email package, whose loading takes an eighth of what click and dbus-next take
together (callgrind, Python 3.13, November 2026). It is for GET and whole answers: no pipelining, no trailers, no compression.
A test asks it and http.client the same.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

    from _typeshed import WriteableBuffer

LONGEST_HEAD_LINE = 64 * 1024
MOST_HEADERS = 100
_CHUNK = 256 * 1024
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: [^\r\n]*)?\r?\n")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\n")
_ENDED = "its answer ended in the middle"
_NO_HTTP = "its answer is no HTTP"


class Malformed(Exception):
    """What came is no answer; the text is ours, and quotes nothing of it."""


class _Received(io.RawIOBase):
    """What a socket receives until `deadline`."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        # A socket's timeout starts anew with each read; a peer that drips one byte a second must not hold us for ever.
        self._sock.settimeout(left(self._deadline))
        return self._sock.recv_into(buffer)


def received(sock: socket.socket, deadline: float) -> io.BufferedReader:
    """Give what a socket receives until `deadline` (time.monotonic), as a file; reading raises TimeoutError, OSError."""
    return io.BufferedReader(_Received(sock, deadline), _CHUNK)


def left(deadline: float) -> float:
    """Give the seconds until a deadline. Raises TimeoutError when it is over."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def head(incoming: io.BufferedReader) -> tuple[int, Mapping[bytes, bytes]]:
    """Read the status, and the headers by their names in lower case. Raises Malformed, TimeoutError, OSError."""
    status = 100
    # 1xx only announce the answer.
    while status < 200:
        line = _line(incoming)
        if not line:
            raise Malformed("it hung up without an answer")
        found = _STATUS.fullmatch(line)
        if found is None:
            raise Malformed(_NO_HTTP)
        status, headers = int(found[1]), _headers(incoming)
    return status, headers


def body(incoming: io.BufferedReader, status: int, headers: Mapping[bytes, bytes]) -> Iterator[bytes]:
    """Give the parts of the body as they come. Raises Malformed when it ends too early, TimeoutError, OSError."""
    if status in {204, 304}:
        return
    if coding := headers.get(b"transfer-encoding"):
        if coding.lower() != b"chunked":
            raise Malformed("its answer has a transfer coding of its own")
        yield from _chunks(incoming)
    elif (length := headers.get(b"content-length")) is not None:
        if not _LENGTH.fullmatch(length):
            raise Malformed(_NO_HTTP)
        yield from _exactly(incoming, int(length))
    else:
        while part := incoming.read1(_CHUNK):
            yield part


def _headers(incoming: io.BufferedReader) -> Mapping[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for _ in range(MOST_HEADERS + 1):
        line = _line(incoming)
        if not line.endswith(b"\n"):
            raise Malformed(_ENDED)
        if line in {b"\r\n", b"\n"}:
            return headers
        name, _, value = line.partition(b":")
        headers.setdefault(name.lower(), value.strip())
    raise Malformed(f"its answer has more than {MOST_HEADERS} headers")


def _line(incoming: io.BufferedReader) -> bytes:
    line = incoming.readline(LONGEST_HEAD_LINE + 1)
    if len(line) > LONGEST_HEAD_LINE:
        raise Malformed(_NO_HTTP)
    return line


def _exactly(incoming: io.BufferedReader, count: int) -> Iterator[bytes]:
    while count:
        part = incoming.read1(min(count, _CHUNK))
        if not part:
            raise Malformed(_ENDED)
        count -= len(part)
        yield part


def _chunks(incoming: io.BufferedReader) -> Iterator[bytes]:
    while True:
        line = _line(incoming)
        if not line.endswith(b"\n"):
            raise Malformed(_ENDED)
        size = _CHUNK_SIZE.fullmatch(line)
        if size is None:
            raise Malformed(_NO_HTTP)
        if not int(size[1], 16):
            return
        yield from _exactly(incoming, int(size[1], 16))
        if _line(incoming).strip(b"\r\n"):
            raise Malformed(_NO_HTTP)
