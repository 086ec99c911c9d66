"""What `http1` makes of an answer is what http.client makes of it, which is laxer where an answer ends in its head."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable

from hypothesis import example, given
from hypothesis import strategies as st

from k3s_rootless import http1

ENDS = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n"])
LINES = st.lists(
    st.sampled_from([b"A: b", b"Content-Type: application/json", b"X-Empty:", b"content-length: 5", b"Content-Length:  3 "])
)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """Give answers as servers make them."""
    end, body = draw(ENDS), draw(st.binary(max_size=40))
    status = draw(st.sampled_from([b"200 OK", b"200", b"404 Not Found", b"500 \xc3\xa9", b"204 No Content", b"304 Same"]))
    lines = draw(LINES)
    # Without a body by its status, an answer has no chunks (RFC 9112, 6.1); http.client would read them.
    how = draw(st.sampled_from(["length", "end"] if status[:3] in {b"204", b"304"} else ["length", "chunks", "end"]))
    if how == "length":
        lines.append(b"Content-Length: %d" % len(body))
    elif how == "chunks":
        lines.append(draw(st.sampled_from([b"Transfer-Encoding: chunked", b"transfer-encoding:Chunked"])))
        at = draw(st.integers(0, len(body)))
        pieces = [piece for piece in (body[:at], body[at:]) if piece]
        size = draw(st.sampled_from([b"%x", b"%X", b"%x;a=b", b"0%x"]))
        body = b"".join(size % len(piece) + b"\r\n" + piece + b"\r\n" for piece in pieces) + b"0\r\n\r\n"
    announced = draw(st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n"]))
    return announced + b"HTTP/1.%d " % draw(st.integers(0, 1)) + end.join([status, *lines, b"", body])


def ours(connection: socket.socket) -> tuple[int, bytes] | None:
    incoming = http1.received(connection, time.monotonic() + 60)
    try:
        status, headers = http1.head(incoming)
        return status, b"".join(http1.body(incoming, status, headers))
    except http1.Malformed:
        return None


def theirs(connection: socket.socket) -> tuple[int, bytes] | None:
    response = http.client.HTTPResponse(connection, method="GET")
    try:
        response.begin()
        return response.status, response.read()
    except http.client.HTTPException:
        return None
    finally:
        response.close()


def heard(read: Callable[[socket.socket], tuple[int, bytes] | None], answer: bytes) -> tuple[int, bytes] | None:
    sender, receiver = socket.socketpair()
    with receiver:
        with sender:
            sender.sendall(answer)
        return read(receiver)


@given(answers())
@example(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n2\r\nab\r\n0\r\n\r\n")
def test_it_reads_what_http_client_reads(answer: bytes) -> None:
    assert heard(ours, answer) == heard(theirs, answer)


@given(answers(), st.integers(0, 200), st.binary(max_size=3))
def test_of_an_answer_that_is_cut_or_spoilt_it_reads_what_http_client_reads_or_nothing(
    answer: bytes, at: int, spoilt: bytes
) -> None:
    found = heard(ours, answer[:at] + spoilt)

    assert found is None or found == heard(theirs, answer[:at] + spoilt)


def test_a_million_small_chunks_take_no_longer_than_they_are_long() -> None:
    def taken(count: int) -> float:
        sender, receiver = socket.socketpair()
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

        def send() -> None:
            with sender:
                sender.sendall(head + b"1\r\nx\r\n" * count + b"0\r\n\r\n")

        thread = threading.Thread(target=send)
        thread.start()
        with receiver:
            begun = time.process_time()
            assert (200, b"x" * count) == ours(receiver)
            seconds = time.process_time() - begun
        thread.join()
        return seconds

    small, large = taken(100_000), taken(1_000_000)

    assert large < 30 * small, (small, large)
