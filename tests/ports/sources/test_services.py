from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from k3s_rootless.errors import PeerError
from k3s_rootless.ports.facts import ServicePort
from k3s_rootless.ports.sources import services, wire
from k3s_rootless.rest import UnixPeer
from tests.patience import PATIENCE
from tests.ports import peers

SAMPLE = json.loads((Path(__file__).parents[2] / "data" / "services.json").read_text())
FIRST = "/api/v1/services?limit=500"


def read(tmp_path: Path, routes: Any, *, timeout: float = 5) -> tuple[ServicePort, ...]:
    path = tmp_path / "api"
    with peers.on_socket(path, peers.answering(routes)):
        return services.service_ports(UnixPeer(path), timeout)


def service(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "default", "name": name},
        "spec": spec,
        "status": {"loadBalancer": {}},
    }


def test_the_services_of_a_running_k3s_are_read(tmp_path: Path) -> None:
    found = read(tmp_path, {FIRST: SAMPLE})

    assert 9 == len(found)
    assert ServicePort("default", "kubernetes", "https", "tcp", 443, 0, "ClusterIP") == found[0]
    assert ServicePort("kube-system", "kube-dns", "dns", "udp", 53, 0, "ClusterIP") == found[1]
    assert (
        ServicePort("default", "web", "edge", "tcp", 1024, 30903, "LoadBalancer", ("127.0.0.1",))
        == found[-1]
    )


def test_all_pages_are_read(tmp_path: Path) -> None:
    port = [{"port": 80}]
    routes = {
        FIRST: {"metadata": {"continue": "a b&c=="}, "items": [service("one", ports=port)]},
        f"{FIRST}&continue=a%20b%26c%3D%3D": {"metadata": {"continue": "d"}, "items": None},
        f"{FIRST}&continue=d": {
            "metadata": {"continue": ""},
            "items": [service("two", ports=port)],
        },
    }

    assert ["one", "two"] == [port.service for port in read(tmp_path, routes)]


def test_after_an_expired_page_token_everything_is_requested_at_once(tmp_path: Path) -> None:
    expired = {
        "kind": "Status",
        "code": 410,
        "reason": "Expired",
        "message": "The provided continue parameter is too old",
    }
    routes = {
        FIRST: {"metadata": {"continue": "a"}, "items": [service("one", ports=[{"port": 80}])]},
        f"{FIRST}&continue=a": (410, expired),
        "/api/v1/services": {
            "items": [service("one", ports=[{"port": 80}]), service("two", ports=[{"port": 81}])]
        },
    }

    assert ["one", "two"] == [port.service for port in read(tmp_path, routes)]


def test_a_repeated_page_token_is_an_error(tmp_path: Path) -> None:
    page = {"metadata": {"continue": "a"}, "items": []}

    with pytest.raises(PeerError, match="sent the same page token twice"):
        read(tmp_path, {FIRST: page, f"{FIRST}&continue=a": page})


def test_missing_fields_of_a_service_have_defaults(tmp_path: Path) -> None:
    items = [
        {"metadata": {"name": "bare"}, "spec": {"ports": [{"port": 1}]}},
        service("external", type="ExternalName", externalName="example.org"),
        {
            "metadata": {"namespace": "n", "name": "lb"},
            "spec": {
                "type": "LoadBalancer",
                "ports": [{"name": "p", "port": 5, "nodePort": 30005, "protocol": "SCTP"}],
            },
            "status": {
                "loadBalancer": {"ingress": [{"hostname": "lb.example.org"}, {"ip": "::1"}]}
            },
        },
    ]

    assert (
        ServicePort("", "bare", "", "tcp", 1, 0, "ClusterIP"),
        ServicePort(
            "n", "lb", "p", "sctp", 5, 30005, "LoadBalancer", ("::1",), ("lb.example.org",)
        ),
    ) == read(tmp_path, {FIRST: {"items": items}})


@pytest.mark.parametrize(
    ("status", "message"),
    [(401, "Unauthorized"), (403, "services is forbidden"), (500, "etcdserver: request timed out")],
)
def test_a_refused_request_is_reported_with_message_and_status(
    tmp_path: Path, status: int, message: str
) -> None:
    refusal = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "code": status,
    }

    with pytest.raises(PeerError) as caught:
        read(tmp_path, {FIRST: (status, refusal)})

    assert f"cannot list the Services: {message} (HTTP status {status})" == caught.value.message
    assert status == caught.value.status


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        {"items": [{}]},
        {"items": [service("x", ports=[{"port": 0}])]},
        b"\xff",
        {"items": "x"},
        (502, b""),
    ],
)
def test_an_invalid_list_is_refused(tmp_path: Path, document: Any) -> None:
    with pytest.raises(PeerError, match=r"^cannot (parse the API server's list|list the) "):
        read(tmp_path, {FIRST: document})


@pytest.mark.parametrize("behaviour", peers.HOSTILE)
def test_a_request_to_a_hostile_peer_ends_in_time(
    tmp_path: Path, behaviour: peers.Behaviour
) -> None:
    path = tmp_path / "api"
    start = time.monotonic()

    with peers.on_socket(path, behaviour):
        with pytest.raises(PeerError):
            services.service_ports(UnixPeer(path), 1.0)

        assert time.monotonic() - start < PATIENCE


def test_ten_thousand_services_are_read_in_pages(tmp_path: Path) -> None:
    routes: dict[str, Any] = {}
    for number in range(20):
        path = FIRST + (f"&continue={number}" if number else "")
        items = [
            service(f"s{number}-{one}", ports=[{"port": 80, "nodePort": 30000 + one}])
            for one in range(500)
        ]
        routes[path] = {
            "metadata": {"continue": str(number + 1) if number < 19 else ""},
            "items": items,
        }

    assert 10_000 == len(read(tmp_path, routes, timeout=PATIENCE))


def line(kind: str, name: str, version: str, **spec: Any) -> bytes:
    item = service(name, **spec)
    item["metadata"]["resourceVersion"] = version
    return json.dumps({"type": kind, "object": item}).encode() + b"\n"


def followed(tmp_path: Path, *lines: bytes, end: bytes = b"") -> tuple[str, list[wire.Event]]:
    """Follow a watch that sends these lines, each in a separate chunk, and then ends."""
    events: list[wire.Event] = []

    def behave(handler: peers.Handler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for one in lines:
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(one), one))
        handler.wfile.write(end or b"0\r\n\r\n")
        handler.close_connection = True

    with peers.on_socket(tmp_path / "api", behave) as server:
        version = services.follow(UnixPeer(tmp_path / "api"), "7", events.append)
    assert "resourceVersion=7" in server.requested[0]
    return version, events


def test_a_watch_reports_changes_and_the_version_to_continue_from(tmp_path: Path) -> None:
    version, events = followed(
        tmp_path,
        line("ADDED", "a", "8", ports=[{"port": 1}]),
        line("MODIFIED", "a", "9", ports=[{"port": 2}]),
        line("DELETED", "a", "10"),
        json.dumps({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "20"}}}).encode()
        + b"\n",
    )

    assert "20" == version
    assert [
        ("ADDED", ("default", "a"), [1]),
        ("MODIFIED", ("default", "a"), [2]),
        ("DELETED", ("default", "a"), []),
    ] == [(one.kind, one.key, [port.port for port in one.ports]) for one in events]


def test_a_watch_of_an_expired_version_returns_no_version(tmp_path: Path) -> None:
    expired = (
        json.dumps({"type": "ERROR", "object": {"kind": "Status", "code": 410}}).encode() + b"\n"
    )

    assert ("", []) == followed(tmp_path, expired)


@pytest.mark.parametrize(
    "bad", [b"rubbish\n", b"[]\n", b'{"type": "ADDED"}\n', b"x" * (5 * 1024 * 1024)]
)
def test_an_invalid_line_of_a_watch_is_an_error(tmp_path: Path, bad: bytes) -> None:
    with pytest.raises(PeerError):
        followed(tmp_path, bad)


def test_a_watch_that_ends_inside_a_line_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PeerError, match="the answer is incomplete"):
        followed(tmp_path, line("ADDED", "a", "8"), end=b"ffff\r\n{")
