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


def probed(behave: Callable[[socket.socket], None], speaks: str) -> tuple[bool | None, str]:
    with serving(behave) as port:
        target = Target("127.0.0.1", port, speaks)
        found = probe.probe([target])[target]
    assert (found.milliseconds is not None) is bool(found.answered)
    assert found.result.isprintable()
    return found.answered, found.result


@pytest.mark.parametrize(
    ("behave", "speaks", "answered", "expected"),
    [
        (http, "http", True, "HTTP: status 204"),
        (http, "tcp", True, "connected"),
        (over_tls, "https", True, "HTTP over TLSv1.3: status 204"),
        (rubbish, "http", True, "connected, but the answer is not HTTP"),
        (rubbish, "tcp", True, "connected; the server sent data first"),
        (mute, "tcp", True, "connected"),
        (mute, "http", False, "no answer within 2 s"),
        (
            hang_up,
            "tcp",
            False,
            "connection closed immediately: no program answers in K3s's namespace",
        ),
        (
            hang_up,
            "http",
            False,
            "connection closed immediately: no program answers in K3s's namespace",
        ),
        (
            hang_up,
            "https",
            False,
            "connection closed immediately: no program answers in K3s's namespace",
        ),
    ],
)
def test_the_result_describes_what_answers(
    behave: Callable[[socket.socket], None],
    speaks: str,
    answered: bool,  # noqa: FBT001 (a column of the table)
    expected: str,
) -> None:
    assert (answered, expected) == probed(behave, speaks)


def test_a_server_without_tls_has_answered() -> None:
    answered, result = probed(http, "https")

    assert answered
    assert result.startswith("connected, but TLS failed: ")


def test_a_connection_to_a_closed_port_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    targets = [Target("127.0.0.1", port, speaks) for speaks in ("tcp", "http", "https", "udp")]

    found = probe.probe(targets)

    assert [False] * 4 == [found[one].answered for one in targets]
    assert "connection refused: no process listens on the port" == found[targets[0]].result


def test_a_udp_probe_does_not_claim_delivery() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute_socket:
        mute_socket.bind(("127.0.0.1", 0))
        target = Target("127.0.0.1", mute_socket.getsockname()[1], "udp")

        found = probe.probe([target])[target]

        assert b"" == mute_socket.recv(10)
    assert (
        None,
        "sent; UDP does not confirm delivery",
        None,
    ) == (found.answered, found.result, found.milliseconds)


def test_many_targets_are_probed_at_once_and_within_a_limit() -> None:
    with serving(mute) as port:
        targets = [Target("127.0.0.1", port, "http")] + [
            Target(f"127.0.0.{one}", port, "http") for one in range(1, 2)
        ]
        others = [Target("127.0.0.1", port, f"tcp{number}") for number in range(500)]
        begun = time.monotonic()

        found = probe.probe([*targets, *others], seconds=1.0)

    assert time.monotonic() - begun < PATIENCE
    # On a busy machine, the second can pass before the first answer.
    results = {one.result for one in found.values()}
    assert {"not tested: the time limit of 1 s was reached"} == results - {"connected"}
    assert {} == probe.probe([])
