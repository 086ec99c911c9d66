from __future__ import annotations

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.finding import Verdict
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.ports import exposure
from k3s_rootless.ports.facts import Exposure, Forward, Kind, Listener, PortMap, ServicePort
from k3s_rootless.release.flags import ServerSettings
from k3s_rootless.release.version import Version, parse
from tests.ports import strategies
from tests.ports.strategies import UID, WILD

NEW = parse("v1.36.0+k3s1")
OLD = parse("v1.21.2+k3s1")
SETTINGS = ServerSettings(data=Path("/d"), kubeconfig=Path("/k"))
API_FORWARD = Forward("tcp", "", 6443, 6443, "")
API_LISTENER = Listener("tcp", "::", 6443, UID)
NOBODY = Unknown("nobody answered")


def balancer(port: int, node_port: int = 0, *, proto: str = "tcp", name: str = "web", **more: Any) -> ServicePort:
    given_ = {"type": "LoadBalancer", "addresses": ("127.0.0.1",), **more}
    return ServicePort("default", name, "http", proto, port, node_port, **given_)


def forward(parent: int, child: int, proto: str = "tcp", address: str = "") -> Forward:
    return Forward(proto, address, parent, child, "")


def join(
    forwards: tuple[Forward, ...] | Unknown = (),
    services: tuple[ServicePort, ...] | Unknown = (),
    listeners: tuple[Listener, ...] | Unknown = (),
    *,
    settings: ServerSettings = SETTINGS,
    version: Version | None = NEW,
) -> PortMap:
    """Join, with the API server's own forward in its place."""
    sources: list[Any] = []
    for given_, api in ((forwards, API_FORWARD), (services, None), (listeners, API_LISTENER)):
        sources.append(given_ if isinstance(given_, Unknown) else Known((*given_, *([api] if api else []))))
    return exposure.join(sources[0], sources[1], sources[2], settings, version, uid=UID)


def told(rows: PortMap) -> list[str]:
    """Give the rows as text, without the API server's."""
    return [
        f"{row.proto}/{row.parent_port}->{row.child_port} {row.target or '-'} +{row.offset} {row.verdict.value}: {row.reason}"
        for row in rows.rows
        if row.kind is not Kind.API
    ]


def test_a_running_k3s_as_it_was_seen() -> None:
    """K3s v1.21.2 with one Service of the ports 80, 443, 8080 and 1024; 1024 is offset, nodePorts are not forwarded yet."""
    web = tuple(balancer(port, node) for port, node in ((80, 32616), (443, 32386), (8080, 30712), (1024, 30903)))
    internal = (ServicePort("kube-system", "kube-dns", "dns", "udp", 53, 0, "ClusterIP"),) * 2
    forwards = (forward(10080, 80), forward(10443, 443), forward(8080, 8080), forward(11024, 1024))
    listeners = tuple(Listener("tcp", "::", one.parent_port, UID) for one in forwards)

    found = join(forwards, web + internal, listeners, version=OLD)

    assert told(found) == [
        "tcp/8080->8080 default/web:8080 +0 pass: ",
        "tcp/10080->80 default/web:80 +10000 pass: ",
        "tcp/10443->443 default/web:443 +10000 pass: ",
        "tcp/11024->1024 default/web:1024 +10000 pass: ",
    ]
    assert found.internal == 1
    assert found.blind == ()
    assert found.rows[0].target == "Kubernetes API"
    assert found.rows[0].verdict is Verdict.PASS
    assert [row.explanation for row in found.rows[:3]] == [
        "port 6443 of all addresses of the host is the Kubernetes API, which K3s never offsets",
        "port 8080 of all addresses of the host stands for default/web:8080, without an offset",
        "port 10080 of all addresses of the host stands for default/web:80: K3s adds 10000 to ports up to and including 1024",
    ]


WEB = (balancer(80),)
ROW = "tcp/10080->80 default/web:80 +10000"
HELD_BY_ROOT = Listener("tcp", "127.0.0.1", 10080, 0)


@pytest.mark.parametrize(
    ("forwards", "services", "listeners", "expected"),
    [
        pytest.param(
            (forward(10080, 80),),
            WEB,
            (),
            f"{ROW} fail: rootlesskit lists the forward, but nothing listens on port 10080 of the host",
            id="listed, not listening",
        ),
        pytest.param(
            (forward(10080, 80),),
            WEB,
            (Listener("tcp", WILD, 10080, 0),),
            f"{ROW} fail: rootlesskit lists the forward, but a program of uid 0 holds the port",
            id="listed, somebody else listens",
        ),
        pytest.param(
            (forward(10080, 80),),
            WEB,
            NOBODY,
            f"{ROW} unknown: forwarded; nobody could see whether the host listens: nobody answered",
            id="listed, nobody could look",
        ),
        pytest.param(
            (),
            WEB,
            (HELD_BY_ROOT,),
            f"{ROW} fail: not forwarded: a program of uid 0 (on 127.0.0.1) holds port 10080 of the host",
            id="held by another user",
        ),
        pytest.param(
            (),
            WEB,
            (Listener("tcp", "::", 10080, UID),),
            f"{ROW} fail: not forwarded: another program of yours holds port 10080 of the host",
            id="held by another program",
        ),
        pytest.param(
            (),
            WEB,
            (),
            f"{ROW} fail: not forwarded, though nothing holds port 10080 of the host: K3s has not come to it yet, or could not",
            id="missing",
        ),
        pytest.param(
            (),
            WEB,
            NOBODY,
            f"{ROW} fail: not forwarded; nobody could see who holds port 10080 of the host: nobody answered",
            id="missing, nobody could look",
        ),
        pytest.param(
            NOBODY,
            WEB,
            (HELD_BY_ROOT,),
            f"{ROW} unknown: nobody could see whether it is forwarded: nobody answered",
            id="rootlesskit silent",
        ),
        pytest.param(
            (forward(10080, 80),),
            NOBODY,
            (Listener("tcp", "::", 10080, UID),),
            "tcp/10080->80 - +0 unknown: nobody could see which Service it is for: nobody answered",
            id="API server silent",
        ),
        pytest.param(
            (forward(9000, 9000),),
            (),
            (Listener("tcp", "::", 9000, UID),),
            "tcp/9000->9000 - +0 warn: no Service asks for this forward; K3s removes such at its next pass",
            id="stray",
        ),
        pytest.param(
            (),
            (balancer(80, addresses=()),),
            (),
            f"{ROW} warn: its load balancer has no address yet",
            id="pending",
        ),
        pytest.param(
            (),
            (balancer(80, addresses=(), hostnames=("lb.example.org",)),),
            (),
            f"{ROW} warn: its load balancer has a host name only, and K3s forwards Services with an IP",
            id="host name only",
        ),
        pytest.param(
            (),
            (balancer(132, proto="sctp"),),
            (),
            "sctp/10132->132 default/web:132 +10000 warn: K3s forwards TCP and UDP, never SCTP",
            id="SCTP",
        ),
        pytest.param(
            (forward(10080, 80, "tcp4", "127.0.0.1"),),
            WEB,
            (Listener("tcp", "127.0.0.1", 10080, UID),),
            f"{ROW} pass: ",
            id="one address only",
        ),
        pytest.param(
            (forward(10080, 80),),
            WEB,
            (Listener("tcp", "127.0.0.1", 10080, UID),),
            f"{ROW} fail: rootlesskit lists the forward, but another program of yours (on 127.0.0.1) holds the port",
            id="listens elsewhere",
        ),
        pytest.param(
            (forward(8080, 8080),),
            (balancer(8080, type="ClusterIP"),),
            (Listener("tcp", "::", 8080, UID),),
            "tcp/8080->8080 default/web:8080 +0 pass: ",
            id="any type with an address",
        ),
    ],
)
def test_each_row_says_what_was_seen(forwards: Any, services: Any, listeners: Any, expected: str) -> None:
    assert told(join(forwards, services, listeners)) == [expected]


def test_what_waits_behind_a_conflict_is_told_apart_from_the_conflict() -> None:
    """With port 10080 held by another program, K3s left 10443 and 8080 unbound as well (seen in v1.21.2)."""
    services = (balancer(80), balancer(443), balancer(8080))

    found = told(join((), services, (HELD_BY_ROOT,)))

    assert [line.partition(": ")[2] for line in found] == [
        "not forwarded: K3s waits behind port 10080 of the host, which another program holds",
        "not forwarded: a program of uid 0 (on 127.0.0.1) holds port 10080 of the host",
        "not forwarded: K3s waits behind port 10080 of the host, which another program holds",
    ]


def test_two_ports_of_a_cluster_can_want_the_same_port_of_the_host() -> None:
    services = (balancer(80, name="a"), balancer(10080, name="b"))

    found = told(join((forward(10080, 10080),), services, (Listener("tcp", "::", 10080, UID),)))

    assert found == [
        (
            "tcp/10080->80 default/a:80 +10000 fail: "
            "port 10080 of the host leads to child port 10080: K3s maps two ports to it, and one loses"
        ),
        "tcp/10080->10080 default/b:10080 +0 pass: ",
    ]


def test_of_two_services_with_one_port_only_one_has_the_forward() -> None:
    services = (balancer(8080, name="a"), balancer(8080, name="b"))

    found = told(join((forward(8080, 8080),), services, (Listener("tcp", "::", 8080, UID),)))

    assert found == [
        "tcp/8080->8080 default/a:8080 +0 pass: ",
        (
            "tcp/8080->8080 default/b:8080 +0 fail: "
            "port 8080 of the host is another row's: of two that want child port 8080, one answers there"
        ),
    ]


def test_the_api_server_keeps_its_port_whatever_it_is() -> None:
    settings = dataclasses.replace(SETTINGS, https_port=443, servicelb=False)
    known = Known((forward(443, 443),))

    found = exposure.join(known, Known((balancer(80),)), Known((Listener("tcp", "::", 443, UID),)), settings, NEW, uid=UID)

    assert [(row.target, row.parent_port, row.offset, row.verdict.value, row.reason) for row in found.rows] == [
        ("Kubernetes API", 443, 0, "pass", ""),
        ("default/web:80", 10080, 10000, "warn", "servicelb is disabled, and without it K3s forwards its API only"),
    ]


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        (OLD, ["tcp/8080 fail", "udp/10053 warn"]),
        (parse("v1.29.3+k3s1"), ["tcp/8080 fail", "tcp/30080 fail", "udp/10053 warn"]),
        (NEW, ["tcp/8080 fail", "tcp/30080 fail", "udp/10053 fail", "udp/30053 fail"]),
        (None, ["tcp/8080 fail", "tcp/30080 unknown", "udp/10053 unknown", "udp/30053 unknown"]),
        (parse("v1.28.14+k3s-914f1d91"), ["tcp/8080 fail", "tcp/30080 unknown", "udp/10053 unknown", "udp/30053 unknown"]),
    ],
    ids=["TCP ports", "and nodePorts", "and UDP", "unknown", "between releases"],
)
def test_what_is_expected_depends_on_the_release(release: Version | None, expected: list[str]) -> None:
    services = (balancer(8080, 30080), balancer(53, 30053, proto="udp", name="dns"))

    rows = join((), services, (), version=release).rows

    assert [f"{row.proto}/{row.parent_port} {row.verdict.value}" for row in rows if row.kind is not Kind.API] == expected


def test_names_of_others_are_shown_and_not_obeyed() -> None:
    found = join((), (ServicePort("a\x1b[2J", "b\u202e", "\r", "tcp", 80, 0, "LoadBalancer", ("127.0.0.1",)),), ()).rows[1]

    assert found.target == "a\ufffd[2J/b\ufffd:80"
    assert found.port_name == "\ufffd"


def test_a_blind_source_is_named() -> None:
    found = exposure.join(Unknown("a"), Unknown("b"), Unknown("c"), SETTINGS, None, uid=UID)

    assert found.blind == (("rootlesskit", "a"), ("services", "b"), ("sockets", "c"))
    assert found.internal is None
    assert [(row.target, row.verdict, row.forwarded, row.listening) for row in found.rows] == [
        ("Kubernetes API", Verdict.UNKNOWN, None, None)
    ]


Sources = tuple[
    Observed[tuple[Forward, ...]],
    Observed[tuple[ServicePort, ...]],
    Observed[tuple[Listener, ...]],
    ServerSettings,
    Version | None,
]


def some(records: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return strategies.observed(st.lists(records, max_size=8).map(tuple))


SOURCES: st.SearchStrategy[Sources] = st.tuples(
    some(strategies.forwards()),
    some(strategies.service_ports()),
    some(strategies.listeners()),
    strategies.settings(),
    strategies.versions(),
)


def shuffled(one: Observed[tuple[Any, ...]], data: st.DataObject) -> Observed[tuple[Any, ...]]:
    return Known(tuple(data.draw(st.permutations(one.value)))) if isinstance(one, Known) else one


@given(SOURCES)
def test_each_forward_is_in_exactly_one_row(sources: Sources) -> None:
    rows = exposure.join(*sources, uid=UID).rows

    listed = sources[0].value if isinstance(sources[0], Known) else ()
    assert Counter((row.parent_ip, row.parent_port, row.child_port) for row in rows if row.forwarded) == Counter(
        (one.parent_ip, one.parent_port, one.child_port) for one in listed
    )


@given(SOURCES, st.data())
def test_the_order_of_the_input_never_matters(sources: Sources, data: st.DataObject) -> None:
    mixed = tuple(shuffled(one, data) for one in sources[:3])

    assert exposure.join(*mixed, *sources[3:], uid=UID) == exposure.join(*sources, uid=UID)  # type: ignore[arg-type,call-arg,misc]


@given(SOURCES)
def test_a_row_passes_only_where_all_sources_agree(sources: Sources) -> None:
    forwards, services, listeners, settings, _ = sources
    for row in exposure.join(*sources, uid=UID).rows:
        if row.verdict is not Verdict.PASS:
            assert row.reason
            continue
        assert isinstance(forwards, Known)
        assert isinstance(listeners, Known)
        assert any((one.parent_port, one.child_port) == (row.parent_port, row.child_port) for one in forwards.value)
        assert any((one.proto, one.port, one.uid) == (row.proto, row.parent_port, UID) for one in listeners.value)
        if row.kind is Kind.API:
            assert row.parent_port == settings.https_port
        else:
            assert isinstance(services, Known)
            assert any(row.child_port in {one.port, one.node_port} and one.addresses for one in services.value)


@given(SOURCES)
def test_another_listener_elsewhere_changes_nothing(sources: Sources) -> None:
    forwards, services, listeners, settings, version = sources
    if isinstance(listeners, Known):
        more = Known((*listeners.value, Listener("tcp", WILD, 2, 0)))

        assert exposure.join(forwards, services, more, settings, version, uid=UID) == exposure.join(*sources, uid=UID)


@given(SOURCES)
def test_rows_print_and_serialise_and_no_source_blanks_another(sources: Sources) -> None:
    found = exposure.join(*sources, uid=UID)

    for row in found.rows:
        texts = [value for value in dataclasses.asdict(row).values() if isinstance(value, str)]
        assert all(text.isprintable() for text in texts)
        json.dumps({**dataclasses.asdict(row), "verdict": row.verdict.value, "kind": row.kind.value})
    assert any(row.kind is Kind.API for row in found.rows)
    assert len(found.blind) == sum(isinstance(one, Unknown) for one in sources[:3])


def test_ten_thousand_services_are_joined_in_linear_time() -> None:
    ports = tuple(
        ServicePort("n", f"s{one}", "", "tcp", 20_000 + one, 0, "LoadBalancer", ("127.0.0.1",)) for one in range(10_000)
    )
    forwards = tuple(forward(one.port, one.port) for one in ports)
    listeners = tuple(Listener("tcp", "::", one.port, UID) for one in ports)

    rows: tuple[Exposure, ...] = join(forwards, ports, listeners).rows

    assert Counter(row.verdict for row in rows) == {Verdict.PASS: 10_001}
