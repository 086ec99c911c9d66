from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from k3s_rootless import rest
from k3s_rootless.errors import PeerError
from k3s_rootless.rest import Answer, TlsPeer, UnixPeer, refusal
from tests.leaves.wire import LATE, Behaviour, dripping, on_port, on_socket, sending
from tests.patience import PATIENCE

OK = b"HTTP/1.1 200 OK\r\n"


def ask(tmp_path: Path, behave: Behaviour, timeout: float = 5) -> Answer:
    path = tmp_path / "api.sock"
    with on_socket(path, behave):
        return UnixPeer(path).get("/v1/ports", timeout=timeout)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (OK + b"Content-Length: 2\r\n\r\nok", Answer(200, b"ok")),
        (OK + b"Content-Length: 0\r\n\r\n", Answer(200, b"")),
        (
            OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            Answer(200, b"abc"),
        ),
        (b"HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nno\n", Answer(500, b"no\n")),
        (b"HTTP/1.1 204 Empty\r\n\r\n", Answer(204, b"")),
        (
            b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nok",
            Answer(200, b"ok"),
        ),
    ],
    ids=["length", "empty", "chunks", "refusal", "no content", "continue"],
)
def test_an_answer_is_read_from_a_connection_that_stays_open(
    tmp_path: Path, sent: bytes, expected: Answer
) -> None:
    start = time.monotonic()

    assert expected == ask(tmp_path, sending(sent, linger=LATE))
    assert time.monotonic() - start < PATIENCE


def test_an_answer_without_a_length_ends_with_the_connection(tmp_path: Path) -> None:
    assert Answer(200, b"all of it") == ask(tmp_path, sending(b"HTTP/1.0 200 OK\r\n\r\nall of it"))


def test_a_large_answer_is_read_whole(tmp_path: Path) -> None:
    body = bytes(range(256)) * 100_000

    assert ask(tmp_path, sending(OK + b"Content-Length: 25600000\r\n\r\n" + body)).body == body


def test_the_request_is_a_plain_get(tmp_path: Path) -> None:
    asked: list[bytes] = []

    def behave(connection: socket.socket, question: bytes) -> None:
        asked.append(question)
        connection.sendall(OK + b"Content-Length: 0\r\n\r\n")

    ask(tmp_path, behave)

    head = asked[0].decode().split("\r\n")
    assert "GET /v1/ports HTTP/1.1" == head[0]
    assert {"Host: localhost", "Accept: application/json"} < set(head)


@pytest.mark.parametrize(
    "behave",
    [
        sending(b"", linger=LATE),
        sending(OK, linger=LATE),
        sending(OK + b"Content-Length: 9\r\n\r\nhalf", linger=LATE),
        dripping(b"", b"H"),
        dripping(OK, b"A: b\r\n"),
        dripping(OK + b"A: ", b"b"),
        dripping(OK + b"Content-Length: 100000\r\n\r\n", b" "),
        dripping(b"HTTP/1.0 200 OK\r\n\r\n", b" "),
        dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
        dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=[
        *(
            "silence",
            "half a head",
            "half a body",
            "status line drips",
            "headers drip",
            "a header drips",
        ),
        *(
            "body drips",
            "endless body drips",
            "chunk size drips",
            "chunks drip",
            "endless continue",
        ),
    ],
)
def test_one_deadline_holds_for_the_whole_exchange(tmp_path: Path, behave: Behaviour) -> None:
    start = time.monotonic()

    with pytest.raises(PeerError, match=r"gave no answer within 0\.3 s$"):
        ask(tmp_path, behave, timeout=0.3)

    assert 0.25 < time.monotonic() - start < PATIENCE


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b"", "closed connection without response"),
        (OK + b"Content-Length: 9\r\n\r\nhalf", "the answer is incomplete"),
        (OK + b"Content-Length: 9\r\n\r\n", "the answer is incomplete"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", "the answer is incomplete"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", "the answer is incomplete"),
        (
            OK + b"Transfer-Encoding: chunked\r\n\r\nzz\x1b[2J\r\nab",
            "the answer is incomplete",
        ),
        (b"220 mail.example ESMTP\r\n\r\n", "the answer is not valid HTTP"),
        (b"\x1b[2J\x1b]0;owned\x07\r\n\r\n", "the answer is not valid HTTP"),
        (b"\0\xff" * 5000, "the answer is not valid HTTP"),
        (b"x" * 200_000, "the answer is not valid HTTP"),
        (b"HTTP/1.1 9999 OK\r\n\r\n", "the answer is not valid HTTP"),
        (OK + b"A: b\r\n" * 200 + b"\r\n", "more than 100 headers"),
        (OK + b"A: " + b"b" * 70_000 + b"\r\n\r\n", "the answer is not valid HTTP"),
    ],
    ids=[
        *(
            "nothing",
            "half",
            "head only",
            "half a chunk",
            "no last chunk",
            "no chunk",
            "mail",
            "escapes",
            "bytes",
            "long line",
        ),
        *("status", "headers", "long header"),
    ],
)
def test_an_incomplete_answer_is_refused_and_not_quoted(
    tmp_path: Path, sent: bytes, why: str
) -> None:
    with pytest.raises(PeerError) as caught:
        ask(tmp_path, sending(sent))

    assert caught.value.message.startswith(f"cannot query the socket {tmp_path}/api.sock: ")
    assert why in caught.value.message
    assert caught.value.message.isprintable()


def test_an_answer_above_the_limit_is_refused(tmp_path: Path) -> None:
    def flood(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
        for _part in range(100):
            connection.sendall(bytes(1_000_000))

    with pytest.raises(PeerError, match=f"the answer is longer than {rest.LARGEST_ANSWER} bytes"):
        ask(tmp_path, flood)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("none", "no such file or directory"),
        ("dead", "connection refused"),
        ("x" * 120, "path too long"),
    ],
    ids=["none", "dead", "too long"],
)
def test_a_socket_without_a_server_is_reported(tmp_path: Path, name: str, why: str) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "dead"))

    with pytest.raises(PeerError, match=f"^cannot query the socket .*: .*{why}$"):
        UnixPeer(tmp_path / name).get("/", timeout=PATIENCE)


CA = trustme.CA()


def context(authority: trustme.CA = CA) -> ssl.SSLContext:
    made = ssl.create_default_context()
    authority.configure_trust(made)
    return made


def served(*names: str) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CA.issue_cert(*names).configure_cert(made)
    return made


def test_an_answer_comes_over_tls() -> None:
    with on_port(sending(OK + b"Content-Length: 2\r\n\r\nok"), served("127.0.0.1")) as port:
        assert Answer(200, b"ok") == TlsPeer("127.0.0.1", port, context()).get(
            "/readyz", timeout=PATIENCE
        )


@pytest.mark.parametrize(
    ("names", "trusted", "why"),
    [
        (["127.0.0.1"], trustme.CA, "certificate verify failed"),
        (["k3s.example"], lambda: CA, "ip address mismatch"),
    ],
    ids=["wrong CA", "wrong name"],
)
def test_an_unverified_server_gets_no_request(
    names: list[str], trusted: Callable[[], trustme.CA], why: str
) -> None:
    asked: list[bytes] = []

    with on_port(lambda _, question: asked.append(question), served(*names)) as port:
        with pytest.raises(PeerError, match=why) as caught:
            TlsPeer("127.0.0.1", port, context(trusted())).get("/readyz", timeout=PATIENCE)

        assert caught.value.message.startswith(f"cannot query https://127.0.0.1:{port}: ")
    assert asked in ([], [b""])


@pytest.mark.parametrize(
    "behave",
    [sending(b"", linger=LATE), dripping(b"", b"\x16"), dripping(b"\x16\x03\x03\x40\x00", b"\x02")],
    ids=["silence", "bytes drip", "a record drips"],
)
def test_an_endless_handshake_times_out(behave: Behaviour) -> None:
    start = time.monotonic()

    with on_port(behave) as port, pytest.raises(PeerError):
        TlsPeer("127.0.0.1", port, context()).get("/readyz", timeout=0.3)

    assert time.monotonic() - start < PATIENCE


@pytest.mark.parametrize(
    "behave",
    [sending(b"", linger=LATE), dripping(OK, b"A: b\r\n")],
    ids=["silence", "headers drip"],
)
def test_the_deadline_holds_over_tls_as_well(behave: Behaviour) -> None:
    start = time.monotonic()

    with (
        on_port(behave, served("127.0.0.1")) as port,
        pytest.raises(PeerError, match=r"gave no answer within 0\.3 s$"),
    ):
        TlsPeer("127.0.0.1", port, context()).get("/readyz", timeout=0.3)

    assert time.monotonic() - start < PATIENCE


def test_a_server_without_tls_is_refused() -> None:
    with (
        on_port(sending(OK + b"Content-Length: 2\r\n\r\nok")) as port,
        pytest.raises(PeerError, match="wrong version number"),
    ):
        TlsPeer("127.0.0.1", port, context()).get("/readyz", timeout=PATIENCE)


def test_a_port_without_a_server_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    with pytest.raises(
        PeerError, match=f"^cannot query https://127.0.0.1:{port}: connection refused$"
    ):
        TlsPeer("127.0.0.1", port, context()).get("/readyz", timeout=PATIENCE)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"kind": "Status", "message": "Unauthorized"}', "Unauthorized"),
        (b'{"message": "a\\u001b[0mb"}', "a\ufffd[0mb"),
        (b'{"message": 5}', '{"message": 5}'),
        (b"[1]", "[1]"),
        (b" panic\n", "panic"),
        (b"\xff", "\ufffd"),
        (b"x" * 1000, "x" * 300),
        (b"", "no reason given"),
    ],
    ids=["Status", "control", "number", "list", "text", "no UTF-8", "long", "empty"],
)
def test_a_refusal_is_read_from_any_body(body: bytes, expected: str) -> None:
    assert f"{expected} (HTTP status 403)" == refusal(Answer(403, body))
