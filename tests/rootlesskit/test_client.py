from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from k3s_rootless.errors import PeerError
from k3s_rootless.rest import UnixPeer
from k3s_rootless.rootlesskit import client
from k3s_rootless.rootlesskit.facts import Forward, RootlessKit
from tests.patience import PATIENCE
from tests.ports import peers

DATA = Path(__file__).parents[1] / "data"
UID = os.getuid()


def sample(name: str) -> Any:
    return json.loads((DATA / name).read_text())


def forwards_of(path: Path, document: Any, *, timeout: float = 5) -> tuple[Forward, ...]:
    with peers.on_socket(path, peers.answering({"/v1/ports": document})):
        return client.forwards(UnixPeer(path), timeout)


def test_the_forwards_of_a_running_k3s_are_read(tmp_path: Path) -> None:
    found = forwards_of(tmp_path / "api.sock", sample("rootlesskit-ports.json"))

    assert (
        Forward("tcp", "", 6443, 6443, ""),
        Forward("tcp", "", 10080, 80, ""),
        Forward("tcp", "", 10443, 443, ""),
        Forward("tcp", "", 8080, 8080, ""),
        Forward("tcp", "", 11024, 1024, ""),
    ) == found


def test_addresses_of_a_forward_are_read(tmp_path: Path) -> None:
    spec = {
        "proto": "udp4",
        "parentIP": "127.0.0.1",
        "parentPort": 53,
        "childPort": 5353,
        "childIP": "10.41.0.100",
    }

    found = forwards_of(tmp_path / "api.sock", [{"id": 7, "spec": spec, "unheard": "of"}])

    assert (Forward("udp4", "127.0.0.1", 53, 5353, "10.41.0.100"),) == found


@pytest.mark.parametrize("document", [None, []])
def test_an_empty_list_can_be_null(tmp_path: Path, document: Any) -> None:
    assert () == forwards_of(tmp_path / "api.sock", document)


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        pytest.param(b"", "not valid JSON", id="empty"),
        pytest.param(b"<html>", "not valid JSON", id="no JSON"),
        pytest.param({"ports": []}, "list", id="no list"),
        pytest.param([0], "0: ", id="a number"),
        pytest.param([True, 0], "0: must be an object", id="a truth value"),
        pytest.param(
            b'[{"spec": {"proto": "tcp", "parentPort": 1, "childPort": 1}}',
            "the list is not closed",
            id="half",
        ),
        pytest.param(b"[] []", "there is data after the list", id="two lists"),
        pytest.param(b"[\xff]", "not valid UTF-8", id="no UTF-8"),
        pytest.param([{"id": 1}], "0.spec: required field is missing", id="no spec"),
        pytest.param(
            [{"spec": {"proto": "t", "parentPort": "80", "childPort": 1}}],
            "0.parentPort: must be an integer",
            id="a string",
        ),
        pytest.param(
            [{"spec": {"proto": "tcp", "parentPort": 70000, "childPort": 80}}],
            "65535",
            id="not a port",
        ),
        pytest.param(b"[" * 100_000, "nested too deeply", id="deep"),
        pytest.param(
            [{"spec": {"proto": "tcp", "parentPort": 1, "childPort": 1}}] * 140_000,
            "131070",
            id="too many",
        ),
    ],
)
def test_an_invalid_list_of_forwards_is_refused_with_the_first_reason(
    tmp_path: Path, document: Any, complaint: str
) -> None:
    with pytest.raises(
        PeerError, match=r"^cannot parse rootlesskit's list of forwards: "
    ) as caught:
        forwards_of(tmp_path / "api.sock", document)

    assert complaint.lower() in caught.value.message.lower()


def test_a_long_invalid_answer_is_refused_at_the_first_error(tmp_path: Path) -> None:
    start = time.monotonic()

    with pytest.raises(PeerError, match="cannot parse"):
        forwards_of(tmp_path / "api.sock", b"[" + b"0," * 10_000_000 + b"0]", timeout=PATIENCE)

    assert time.monotonic() - start < PATIENCE


@pytest.mark.parametrize("behaviour", peers.HOSTILE)
def test_a_request_to_a_hostile_peer_ends_in_time(
    tmp_path: Path, behaviour: peers.Behaviour
) -> None:
    path = tmp_path / "api.sock"
    start = time.monotonic()

    with peers.on_socket(path, behaviour):
        with pytest.raises(PeerError):
            client.forwards(UnixPeer(path), 1.0)

        assert time.monotonic() - start < PATIENCE


def test_a_refused_request_is_read_from_plain_text(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    refusal = {"/v1/ports": (500, {"message": "the driver \x1b[31mdied"})}

    with (
        peers.on_socket(path, peers.answering(refusal, "text/plain")),
        pytest.raises(PeerError) as caught,
    ):
        client.forwards(UnixPeer(path), 5)

    assert (
        "cannot query rootlesskit for the forwards: the driver \ufffd[31mdied (HTTP status 500)"
        == caught.value.message
    )
    assert 500 == caught.value.status


def test_the_information_of_rootlesskit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"

    with peers.on_socket(path, peers.answering({"/v1/info": sample("rootlesskit-info.json")})):
        found = client.info(UnixPeer(path), 5)

    assert (
        RootlessKit("0.14.0", "/tmp/rootless1953596273", 5173, "slirp4netns", "builtin", None)
        == found
    )


@pytest.mark.parametrize(
    ("routes", "expected"), [({}, None), ({"/v1/info": {}}, RootlessKit(*[None] * 6))]
)
def test_older_releases_report_less(
    tmp_path: Path, routes: Any, expected: RootlessKit | None
) -> None:
    path = tmp_path / "api.sock"

    with peers.on_socket(path, peers.answering(routes)):
        assert expected == client.info(UnixPeer(path), 5)


def listen(path: Path) -> socket.socket:
    path.parent.mkdir(parents=True, exist_ok=True)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    return server


def test_the_live_socket_is_found_among_many(tmp_path: Path) -> None:
    """Each unclean stop of an older release leaves a directory."""
    dead, live = tmp_path / "rootless1" / "api.sock", tmp_path / "rootless2" / "api.sock"
    listen(dead).close()
    live.parent.mkdir()

    with peers.on_socket(live, peers.answering({"/v1/info": sample("rootlesskit-info.json")})):
        found = client.live_peer(
            [tmp_path / "rootless0" / "api.sock", dead, live], uid=UID, timeout=PATIENCE
        )

    assert found == UnixPeer(live)


def test_a_rootlesskit_without_info_is_found(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"

    with peers.on_socket(path, peers.answering({"/v1/ports": None})):
        assert client.live_peer([path], uid=UID, timeout=PATIENCE) == UnixPeer(path)


def test_without_a_live_socket_each_reason_is_listed(tmp_path: Path) -> None:
    listen(tmp_path / "dead").close()
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("dead")
    start = time.monotonic()

    with (
        peers.on_socket(tmp_path / "other", peers.answering({})),
        peers.on_socket(tmp_path / "mute", peers.silent),
    ):
        candidates = [tmp_path / name for name in ("none", "dead", "file", "link", "other", "mute")]
        with pytest.raises(PeerError) as caught:
            client.live_peer(candidates, uid=UID, timeout=0.5)

    message = caught.value.message
    for reason in (
        "none: no such file",
        "dead: connection refused",
        "file: it is not a socket",
        "link: it is not a socket",
    ):
        assert reason in message
    assert "other: HTTP status 404" in message
    assert "mute gave no answer" in message
    assert caught.value.hint is not None
    assert time.monotonic() - start < PATIENCE


def test_a_socket_of_another_user_is_not_queried(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"

    with peers.on_socket(path, peers.answering({"/v1/ports": None})) as server:
        with pytest.raises(PeerError, match=f"belongs to uid {UID}, not to uid {UID + 1}"):
            client.live_peer([path], uid=UID + 1, timeout=PATIENCE)

        assert [] == server.requested


def test_a_path_that_is_too_long_for_a_socket_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PeerError, match="the limit for Unix sockets is 107"):
        client.live_peer([tmp_path / ("x" * 120) / "api.sock"], uid=UID, timeout=PATIENCE)


def test_without_candidates_the_error_says_so() -> None:
    with pytest.raises(PeerError, match="no state directory was found"):
        client.live_peer((), uid=UID, timeout=1)


def test_importing_the_reader_loads_nothing_heavy() -> None:
    readers = (
        "rootlesskit.client ports.sources.services linux.sockets ports.rules.exposure cluster.api"
        " cluster.kubeconfig.connection journal.sources.journald"
    )
    imports = "; ".join(f"import k3s_rootless.{name}" for name in readers.split())
    program = (
        f"{imports}; import sys; print([name for name in ('pydantic', 'pyroute2', 'yaml') if name"
        " in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert "[]" == done.stdout.strip()
