from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import trustme

from k3s_rootless.ports.sources import probe
from k3s_rootless.ports.sources.probe import Target
from tests.patience import PATIENCE

HTTP = b"HTTP/1.1 204 No \x1b[2JContent\r\nContent-Length: 0\r\n\r\n"


@contextlib.contextmanager
def serving(behave: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve on loopback; `behave` handles each connection in a separate thread."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def run() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    threading.Thread(target=behave, args=(connection,), daemon=True).start()

        threading.Thread(target=run, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def http(connection: socket.socket) -> None:
    with connection:
        connection.recv(4096)
        connection.sendall(HTTP)


def hang_up(connection: socket.socket) -> None:
    connection.close()


def mute(connection: socket.socket) -> None:
    with connection:
        connection.recv(4096)
        time.sleep(5)


def rubbish(connection: socket.socket) -> None:
    with connection, contextlib.suppress(OSError):
        connection.sendall(b"\x00\xff\x1b[2J220 mail\r\n" * 100_000)


def over_tls(connection: socket.socket) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("elsewhere.example").configure_cert(context)
    with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as wrapped:
        wrapped.recv(4096)
        wrapped.sendall(HTTP)


def said(behave: Callable[[socket.socket], None], speaks: str) -> tuple[bool | None, str]:
    with serving(behave) as port:
        target = Target("127.0.0.1", port, speaks)
        found = probe.probe([target])[target]
    assert (found.milliseconds is not None) is bool(found.well)
    assert found.said.isprintable()
    return found.well, found.said


@pytest.mark.parametrize(
    ("behave", "speaks", "well", "expected"),
    [
        (http, "http", True, "HTTP: status 204"),
        (http, "tcp", True, "connected"),
        (over_tls, "https", True, "HTTP over TLSv1.3: status 204"),
        (rubbish, "http", True, "connected, and what it said is no HTTP"),
        (rubbish, "tcp", True, "connected, and it spoke first"),
        (mute, "tcp", True, "connected"),
        (mute, "http", False, "no answer within 2 s"),
        (
            hang_up,
            "tcp",
            False,
            "the connection was taken and closed at once: nobody answers inside",
        ),
        (
            hang_up,
            "http",
            False,
            "the connection was taken and closed at once: nobody answers inside",
        ),
        (
            hang_up,
            "https",
            False,
            "the connection was taken and closed at once: nobody answers inside",
        ),
    ],
)
def test_a_connection_tells_who_is_there(
    behave: Callable[[socket.socket], None],
    speaks: str,
    well: bool,  # noqa: FBT001 (a column of the table)
    expected: str,
) -> None:
    assert (well, expected) == said(behave, speaks)


def test_who_speaks_no_tls_is_there_all_the_same() -> None:
    well, words = said(http, "https")

    assert well
    assert words.startswith("connected, and no TLS: ")


def test_where_nobody_listens_the_connection_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    targets = [Target("127.0.0.1", port, speaks) for speaks in ("tcp", "http", "https", "udp")]

    found = probe.probe(targets)

    assert [False] * 4 == [found[one].well for one in targets]
    assert "nobody listens there: connection refused" == found[targets[0]].said


def test_udp_is_sent_and_no_more_is_claimed() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute_socket:
        mute_socket.bind(("127.0.0.1", 0))
        target = Target("127.0.0.1", mute_socket.getsockname()[1], "udp")

        found = probe.probe([target])[target]

        assert b"" == mute_socket.recv(10)
    assert (
        None,
        "sent; UDP does not tell whether it arrived",
        None,
    ) == (found.well, found.said, found.milliseconds)


def test_many_are_asked_at_once_and_within_a_limit() -> None:
    with serving(mute) as port:
        targets = [Target("127.0.0.1", port, "http")] + [
            Target(f"127.0.0.{one}", port, "http") for one in range(1, 2)
        ]
        others = [Target("127.0.0.1", port, f"tcp{number}") for number in range(500)]
        begun = time.monotonic()

        found = probe.probe([*targets, *others], seconds=1.0)

    assert time.monotonic() - begun < PATIENCE
    # On a busy machine, the second can pass before the first answer.
    said = {one.said for one in found.values()}
    assert {"not tried: 1 s were over"} == said - {"connected"}
    assert {} == probe.probe([])
