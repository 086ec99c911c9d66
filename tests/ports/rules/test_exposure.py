from __future__ import annotations

import dataclasses
import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.finding import Verdict
from k3s_rootless.k3s.settings import Settings
from k3s_rootless.k3s.version import Version, parse
from k3s_rootless.linux.facts import Listener
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.operations.ports import document
from k3s_rootless.ports.facts import (
    Exposure,
    Holder,
    Kind,
    PodPort,
    PortMap,
    Probe,
    Running,
    ServicePort,
    Sources,
    Status,
)
from k3s_rootless.ports.rules import exposure
from k3s_rootless.rootlesskit.facts import Forward
from tests import server
from tests.ports import strategies
from tests.ports.strategies import UID, WILD

NEW = parse("v1.36.0+k3s1")
OLD = parse("v1.21.2+k3s1")
SETTINGS = server.settings()
API_FORWARD = Forward("tcp", "", 6443, 6443, "")
API_LISTENER = Listener("tcp", "::", 6443, UID)
API_INSIDE = Listener("tcp", "::", 6443, 0)
NO_ANSWER = Unknown("no answer")


def balancer(
    port: int, node_port: int = 0, *, proto: str = "tcp", name: str = "web", **more: Any
) -> ServicePort:
    given_ = {"type": "LoadBalancer", "addresses": ("127.0.0.1",), **more}
    return ServicePort("default", name, "http", proto, port, node_port, **given_)


def forward(parent: int, child: int, proto: str = "tcp", address: str = "") -> Forward:
    return Forward(proto, address, parent, child, "")


def join(
    forwards: tuple[Forward, ...] | Unknown = (),
    services: tuple[ServicePort, ...] | Unknown = (),
    listeners: tuple[Listener, ...] | Unknown = (),
    inside: tuple[Listener, ...] | Unknown = (),
    *,
    settings: Settings = SETTINGS,
    version: Version | None = NEW,
    everything: bool = False,
    **more: Any,
) -> PortMap:
    """Join the sources, with the forward of the API server added."""
    sources: list[Any] = []
    for given_, api in (
        (forwards, API_FORWARD),
        (services, None),
        (listeners, API_LISTENER),
        (inside, API_INSIDE),
    ):
        sources.append(
            given_ if isinstance(given_, Unknown) else Known((*given_, *([api] if api else [])))
        )
    combined = Sources(*sources, **more)
    return exposure.join(combined, Running(settings, version, UID), everything=everything)


def printed(rows: PortMap) -> list[str]:
    """Return the rows as text, without the row of the API server."""
    return [
        f"{row.proto}/{row.parent_port}->{row.child_port} {row.target or '-'} +{row.offset}"
        f" {row.status.value}: {row.reason}"
        for row in rows.rows
        if row.kind is not Kind.API
    ]


def test_node_port_services_without_a_row_are_counted() -> None:
    direct = tuple(
        ServicePort("default", "web", name, "tcp", port, 30000 + port, "NodePort")
        for name, port in (("http", 80), ("https", 443))
    )
    internal = (ServicePort("kube-system", "kube-dns", "dns", "udp", 53, 0, "ClusterIP"),)

    assert (1, 2) == (
        join((), direct + internal).node_ports,
        join((), direct + internal).internal,
    )
    assert 0 == join((), direct + internal, everything=True).node_ports
    assert 0 == join((), internal).node_ports


def test_a_running_k3s_as_it_was_seen() -> None:
    """K3s v1.21.2 with one Service of the ports 80, 443, 8080 and 1024.

    1024 is offset; this release does not forward nodePorts yet.
    """
    web = tuple(
        balancer(port, node)
        for port, node in ((80, 32616), (443, 32386), (8080, 30712), (1024, 30903))
    )
    internal = (ServicePort("kube-system", "kube-dns", "dns", "udp", 53, 0, "ClusterIP"),) * 2
    forwards = (forward(10080, 80), forward(10443, 443), forward(8080, 8080), forward(11024, 1024))
    listeners = tuple(Listener("tcp", "::", one.parent_port, UID) for one in forwards)

    found = join(forwards, web + internal, listeners, version=OLD)

    assert [
        "tcp/8080->8080 default/web:8080 +0 forwarded: ",
        "tcp/10080->80 default/web:80 +10000 forwarded: ",
        "tcp/10443->443 default/web:443 +10000 forwarded: ",
        "tcp/11024->1024 default/web:1024 +10000 forwarded: ",
    ] == printed(found)
    assert 1 == found.internal
    assert () == found.unread
    assert "Kubernetes API" == found.rows[0].target
    assert found.rows[0].verdict is Verdict.PASS
    assert [
        (
            "port 6443 on all addresses of the host is mapped to the Kubernetes API (K3s never adds"
            " an offset to this port)"
        ),
        "port 8080 on all addresses of the host is mapped to default/web:8080, without an offset",
        (
            "port 10080 on all addresses of the host is mapped to default/web:80 (K3s adds 10000 to"
            " ports up to and including 1024)"
        ),
    ] == [row.explanation for row in found.rows[:3]]


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
            f"{ROW} unreachable: rootlesskit lists the forward, but no process listens on port"
            " 10080 of the host",
            id="listed, not listening",
        ),
        pytest.param(
            (forward(10080, 80),),
            WEB,
            (Listener("tcp", WILD, 10080, 0),),
            f"{ROW} unreachable: rootlesskit lists the forward, but port 10080 is in use by a"
            " process of uid 0",
            id="listed, another user listens",
        ),
        pytest.param(
            (forward(10080, 80),),
            WEB,
            NO_ANSWER,
            f"{ROW} unknown: forwarded; cannot check whether the host listens: no answer",
            id="listed, host sockets unknown",
        ),
        pytest.param(
            (),
            WEB,
            (HELD_BY_ROOT,),
            f"{ROW} port-in-use: port 10080 is in use by a process of uid 0 (listening on"
            " 127.0.0.1)",
            id="used by another user",
        ),
        pytest.param(
            (),
            WEB,
            (Listener("tcp", "::", 10080, UID),),
            f"{ROW} port-in-use: port 10080 is in use by one of your own processes",
            id="used by another program",
        ),
        pytest.param(
            (),
            WEB,
            (),
            f"{ROW} not-forwarded: port 10080 is free, but K3s has not forwarded it yet",
            id="missing",
        ),
        pytest.param(
            (),
            WEB,
            NO_ANSWER,
            f"{ROW} not-forwarded: cannot check whether port 10080 of the host is in use: no"
            " answer",
            id="missing, host sockets unknown",
        ),
        pytest.param(
            NO_ANSWER,
            WEB,
            (HELD_BY_ROOT,),
            f"{ROW} unknown: cannot check whether the port is forwarded: no answer",
            id="rootlesskit does not answer",
        ),
        pytest.param(
            (forward(10080, 80),),
            NO_ANSWER,
            (Listener("tcp", "::", 10080, UID),),
            "tcp/10080->80 - +0 unknown: cannot check which Service this forward is for: no answer",
            id="API server does not answer",
        ),
        pytest.param(
            (forward(9000, 9000),),
            (),
            (Listener("tcp", "::", 9000, UID),),
            "tcp/9000->9000 - +0 orphaned: no Service needs this forward; K3s removes it at its"
            " next update",
            id="orphaned",
        ),
        pytest.param(
            (),
            (balancer(80, addresses=()),),
            (),
            f"{ROW} pending: the load balancer has no address yet",
            id="pending",
        ),
        pytest.param(
            (),
            (balancer(80, addresses=(), hostnames=("lb.example.org",)),),
            (),
            f"{ROW} not-forwarded: the load balancer has only a host name; K3s forwards"
            " Services with an IP address",
            id="host name only",
        ),
        pytest.param(
            (),
            (balancer(132, proto="sctp"),),
            (),
            "sctp/10132->132 default/web:132 +10000 not-forwarded: K3s forwards TCP and UDP"
            " only, not SCTP",
            id="SCTP",
        ),
        pytest.param(
            (forward(10080, 80, "tcp4", "127.0.0.1"),),
            WEB,
            (Listener("tcp", "127.0.0.1", 10080, UID),),
            f"{ROW} forwarded: ",
            id="one address only",
        ),
        pytest.param(
            (forward(10080, 80),),
            WEB,
            (Listener("tcp", "127.0.0.1", 10080, UID),),
            f"{ROW} unreachable: rootlesskit lists the forward, but port 10080 is in use by one of"
            " your own processes (listening on 127.0.0.1)",
            id="listens elsewhere",
        ),
        pytest.param(
            (forward(8080, 8080),),
            (balancer(8080, type="ClusterIP"),),
            (Listener("tcp", "::", 8080, UID),),
            "tcp/8080->8080 default/web:8080 +0 forwarded: ",
            id="any type with an address",
        ),
    ],
)
def test_each_row_has_the_status_and_reason_of_the_sources(
    forwards: Any, services: Any, listeners: Any, expected: str
) -> None:
    assert [expected] == printed(join(forwards, services, listeners))


def test_ports_behind_a_conflict_are_stalled() -> None:
    """When another program held port 10080, K3s v1.21.2 left 10443 and 8080 unbound as well."""
    services = (balancer(80), balancer(443), balancer(8080))

    found = printed(join((), services, (HELD_BY_ROOT,)))

    behind = (
        "stalled: K3s stopped at port 10080 of the host (default/web:80), which is in use by a"
        " process of uid 0 (listening on 127.0.0.1)"
    )
    assert [line.partition(" +")[2].partition(" ")[2] for line in found] == [
        behind,
        "port-in-use: port 10080 is in use by a process of uid 0 (listening on 127.0.0.1)",
        behind,
    ]


def test_two_service_ports_can_need_the_same_port_of_the_host() -> None:
    services = (balancer(80, name="a"), balancer(10080, name="b"))

    found = printed(join((forward(10080, 10080),), services, (Listener("tcp", "::", 10080, UID),)))

    assert [
        (
            "tcp/10080->80 default/a:80 +10000 port-conflict: default/a:80 and default/b:10080 need"
            " the same port of the host, 10080, which is forwarded to child port 10080"
        ),
        "tcp/10080->10080 default/b:10080 +0 forwarded: ",
    ] == found


def test_of_two_services_with_one_port_only_one_has_the_forward() -> None:
    services = (balancer(8080, name="a"), balancer(8080, name="b"))

    found = printed(join((forward(8080, 8080),), services, (Listener("tcp", "::", 8080, UID),)))

    assert [
        "tcp/8080->8080 default/a:8080 +0 forwarded: ",
        (
            "tcp/8080->8080 default/b:8080 +0 port-conflict: port 8080 of the host is already"
            " forwarded for default/a:8080; only one program can use child port 8080"
        ),
    ] == found


def test_a_service_without_an_address_names_the_service_with_its_port() -> None:
    """K3s's servicelb is a Pod with hostPorts.

    A second Pod with the same port is never scheduled, and stays pending for ever.
    """
    services = (balancer(80, name="a"), balancer(80, name="b", addresses=()))

    found = join((forward(10080, 80),), services, (Listener("tcp", "::", 10080, UID),))

    assert (
        "tcp/10080->80 default/b:80 +10000 port-conflict: the load balancer of default/b:80 has no"
        " address; port 10080 of the host is also needed by default/a:80" == printed(found)[1]
    )
    assert ("default/a:80",) == found.rows[2].conflicts_with


def test_a_row_is_listening_if_a_socket_inside_accepts() -> None:
    host = (Listener("tcp", "::", 10080, UID),)
    inside = {
        "listening": (Listener("tcp", "127.0.0.1", 80, 0),),
        "forwarded": (Listener("tcp", "10.41.0.100", 80, 0), Listener("udp", "::", 80, 0)),
    }

    for status, sockets in inside.items():
        assert [f"{ROW} {status}: "] == printed(join((forward(10080, 80),), WEB, host, sockets))
    (row,) = (
        one
        for one in join((forward(10080, 80),), WEB, host, NO_ANSWER).rows
        if one.kind is not Kind.API
    )
    assert (Status.FORWARDED, None) == (row.status, row.child_listening)


def test_the_port_driver_decides_which_socket_inside_counts() -> None:
    """The builtin driver of rootlesskit connects to 127.0.0.1, slirp4netns to the tap device."""
    found = join(
        (forward(10080, 80),),
        WEB,
        (Listener("tcp", "::", 10080, UID),),
        (Listener("tcp", "10.41.0.100", 80, 0),),
    )
    other = join(
        (forward(10080, 80),),
        WEB,
        (Listener("tcp", "::", 10080, UID),),
        (Listener("tcp", "10.41.0.100", 80, 0),),
        dials="10.41.0.100",
    )

    assert [Status.FORWARDED] == [row.status for row in found.rows[1:]]
    assert [Status.LISTENING] == [row.status for row in other.rows[1:]]


def test_a_forward_of_a_stopped_api_server_is_unreachable() -> None:
    sources = Sources(Known((API_FORWARD,)), NO_ANSWER, Known((API_LISTENER,)), Known(()))

    (row,) = exposure.join(sources, Running(SETTINGS, NEW, UID)).rows

    assert (Status.UNREACHABLE, Verdict.FAIL) == (row.status, row.verdict)
    assert (
        "forwarded, but no process listens on port 6443 of K3s's namespace: the API server is not"
        " running" == row.reason
    )


def test_rootlesskit_does_not_block_the_forward_that_it_is_adding() -> None:
    """The listener exists before the list entry; with one port driver, slirp4netns listens."""
    services = (balancer(80), balancer(443))
    own = Listener("tcp", WILD, 10080, UID, 77)
    holder = Holder(UID, "me", 4711, "slirp4netns", "k3s-rootless.service", of_unit=True)

    found = printed(join((), services, (own,), holders={own: holder}))

    assert [
        (
            f"{ROW} pending: K3s already listens on port 10080, but rootlesskit does not list the"
            " forward yet"
        ),
        (
            "tcp/10443->443 default/web:443 +10000 not-forwarded: "
            "port 10443 is free, but K3s has not forwarded it yet"
        ),
    ] == found


def test_the_owner_of_a_port_is_named_as_far_as_it_is_known() -> None:
    held = Listener("tcp", WILD, 10080, UID, 77)
    holder = Holder(UID, "me", 4711, "nginx", "nginx.service")

    found = join((), WEB, (held,), holders={held: holder})

    reason = "port 10080 is in use by nginx (PID 4711, nginx.service), one of your own processes"
    assert [f"{ROW} port-in-use: {reason}"] == printed(found)
    assert found.rows[1].used_by == dataclasses.replace(holder, address=WILD)


def test_a_port_that_the_kernel_refuses_to_users_is_privileged() -> None:
    settings = server.settings(port=443)
    sources = Sources(Known(()), Known((balancer(8080),)), Known(()), Known(()))

    found = exposure.join(sources, Running(settings, NEW, UID))

    assert [
        (
            Status.PRIVILEGED_PORT,
            (
                "port 443 is privileged: users can listen on ports from 1024 on"
                " (net.ipv4.ip_unprivileged_port_start)"
            ),
        ),
        (
            Status.STALLED,
            "K3s stopped at port 443 of the host (Kubernetes API), which is privileged",
        ),
    ] == [(row.status, row.reason) for row in found.rows]


def test_ports_that_are_never_forwarded_are_shown_on_demand_with_the_reason() -> None:
    services = (
        balancer(8080, 30080),
        balancer(53, type="ClusterIP", addresses=(), name="dns"),
        balancer(80, 30081, type="NodePort", addresses=(), name="np"),
    )
    pods = Known((PodPort("default", "pod", "tcp", 9100),))

    rows = join((), services, (), version=OLD, everything=True, pods=pods).rows

    assert {
        (
            "default/web:30080 (nodePort)",
            "K3s v1.21.2+k3s1 does not forward nodePorts; v1.29.3 and later do",
        ),
        (
            "default/dns:53",
            (
                "a Service of type ClusterIP is reachable inside the cluster only; K3s forwards"
                " Services of type LoadBalancer"
            ),
        ),
        (
            "default/np:80",
            "this is a NodePort Service; K3s forwards nodePorts of LoadBalancer Services only",
        ),
        (
            "default/np:30081 (nodePort)",
            "this is a NodePort Service; K3s forwards nodePorts of LoadBalancer Services only",
        ),
        (
            "default/pod:9100 (hostPort)",
            (
                "K3s forwards ports of Services, not hostPorts of Pods; create a Service of type"
                " LoadBalancer for this port"
            ),
        ),
    } == {
        (row.target, row.reason)
        for row in rows
        if row.status is Status.NOT_FORWARDED and row.verdict is Verdict.WARN
    }


@pytest.mark.parametrize(
    ("probe", "expected"),
    [
        (Probe("connected", answered=True, milliseconds=1.0), "listening: "),
        (
            Probe("refused", answered=False),
            "unreachable: forwarded, but the connection failed: refused",
        ),
        (Probe("sent"), "forwarded: "),
    ],
)
def test_a_real_connection_changes_the_status(probe: Probe, expected: str) -> None:
    row = join((forward(10080, 80),), WEB, (Listener("tcp", "::", 10080, UID),)).rows[1]

    after = exposure.with_probe(row, probe)

    assert expected == f"{after.status.value}: {after.reason}"
    assert after.probe is probe


def test_without_an_agent_nothing_is_forwarded() -> None:
    settings = server.settings(flags=("--disable-agent",))
    own = Listener("tcp", "::", 6443, UID)
    sources = Sources(Known(()), Known((balancer(80),)), Known((own,)), Known(()))

    found = exposure.join(sources, Running(settings, None, UID))

    (api, web) = found.rows
    assert (6443, Status.NOT_FORWARDED) == (api.parent_port, api.status)
    assert "listens on this port of the host itself" in api.reason
    assert (Status.NOT_FORWARDED, True) == (web.status, "it forwards no ports" in web.reason)
    assert not found.starting


def test_the_port_of_the_api_server_is_never_offset() -> None:
    settings = server.settings(port=443, servicelb=False)
    sources = Sources(
        Known((forward(443, 443),)),
        Known((balancer(80),)),
        Known((Listener("tcp", "::", 443, UID),)),
        NO_ANSWER,
    )

    found = exposure.join(sources, Running(settings, NEW, UID))

    assert [
        ("Kubernetes API", 443, 0, "pass", ""),
        (
            "default/web:80",
            10080,
            10000,
            "warn",
            "servicelb is disabled; without it, K3s forwards only the port of its API server",
        ),
    ] == [
        (row.target, row.parent_port, row.offset, row.verdict.value, row.reason)
        for row in found.rows
    ]


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        (OLD, ["tcp/8080 fail", "udp/10053 warn"]),
        (parse("v1.29.3+k3s1"), ["tcp/8080 fail", "tcp/30080 fail", "udp/10053 warn"]),
        (NEW, ["tcp/8080 fail", "tcp/30080 fail", "udp/10053 fail", "udp/30053 fail"]),
        (None, ["tcp/8080 fail", "tcp/30080 unknown", "udp/10053 unknown", "udp/30053 unknown"]),
        (
            parse("v1.28.14+k3s-914f1d91"),
            ["tcp/8080 fail", "tcp/30080 unknown", "udp/10053 unknown", "udp/30053 unknown"],
        ),
    ],
    ids=["TCP ports", "and nodePorts", "and UDP", "unknown", "between releases"],
)
def test_what_is_expected_depends_on_the_release(
    release: Version | None, expected: list[str]
) -> None:
    services = (balancer(8080, 30080), balancer(53, 30053, proto="udp", name="dns"))

    rows = join((), services, (), version=release).rows

    assert expected == [
        f"{row.proto}/{row.parent_port} {row.verdict.value}"
        for row in rows
        if row.kind is not Kind.API
    ]


def test_control_characters_in_names_are_replaced() -> None:
    found = join(
        (),
        (ServicePort("a\x1b[2J", "b\u202e", "\r", "tcp", 80, 0, "LoadBalancer", ("127.0.0.1",)),),
        (),
    ).rows[1]

    assert "a\ufffd[2J/b\ufffd:80" == found.target
    assert "\ufffd" == found.port_name


NO_SERVICES = "and its Services are not known yet"
NO_PORT_API = f"unknown: K3s is starting; its port API is not available yet, {NO_SERVICES}"
NO_API_SERVER = (
    f"pending: K3s is starting; it forwards this port when its API server is running, {NO_SERVICES}"
)
NOT_YET = "not-forwarded: port 6443 is free, but K3s has not forwarded it yet"
NOT_READ = "unknown: cannot check whether the port is forwarded: no answer"
ROOTS = Listener("tcp", WILD, 6443, 0)


@pytest.mark.parametrize(
    ("forwards", "services", "listeners", "seconds", "expected"),
    [
        pytest.param(NO_ANSWER, NO_ANSWER, (), 2.0, NO_PORT_API, id="the port API is missing"),
        pytest.param(Known(()), NO_ANSWER, (), 9.0, NO_API_SERVER, id="the API server is missing"),
        pytest.param(
            Known(()),
            NO_ANSWER,
            (ROOTS,),
            9.0,
            "port-in-use: port 6443 is in use by a process of uid 0",
            id="another program uses the port",
        ),
        pytest.param(
            NO_ANSWER, NO_ANSWER, (), 300.0, NOT_READ, id="it has been running for 5 minutes"
        ),
        pytest.param(
            Known(()),
            NO_ANSWER,
            (),
            300.0,
            NOT_YET,
            id="it has been running for 5 minutes, with a port API",
        ),
        pytest.param(NO_ANSWER, NO_ANSWER, (), None, NOT_READ, id="the running time is unknown"),
        pytest.param(NO_ANSWER, Known(()), (), 2.0, NOT_READ, id="the API server answers"),
    ],
)
def test_a_k3s_that_is_starting_differs_from_one_that_cannot_be_read(
    forwards: Any, services: Any, listeners: Any, seconds: float | None, expected: str
) -> None:
    sources = Sources(forwards, services, Known(listeners), NO_ANSWER)

    found = exposure.join(sources, Running(SETTINGS, NEW, UID, seconds=seconds))

    (row,) = found.rows
    assert expected == f"{row.status.value}: {row.reason}"
    assert found.starting is ("K3s is starting" in expected)


def test_k3s_is_no_longer_starting_after_the_port_of_the_api_server_is_forwarded() -> None:
    sources = Sources(
        Known((API_FORWARD,)), NO_ANSWER, Known((API_LISTENER,)), Known((API_INSIDE,))
    )

    found = exposure.join(sources, Running(SETTINGS, NEW, UID, seconds=9.0))

    assert not found.starting
    assert [Status.LISTENING] == [row.status for row in found.rows]


def test_a_source_that_cannot_be_read_is_named() -> None:
    found = exposure.join(
        Sources(Unknown("a"), Unknown("b"), Unknown("c"), Unknown("d")),
        Running(SETTINGS, None, UID),
    )

    assert (
        ("rootlesskit", "a"),
        ("services", "b"),
        ("sockets", "c"),
        ("child", "d"),
    ) == found.unread
    assert found.internal is None
    assert [("Kubernetes API", Verdict.UNKNOWN, None, None)] == [
        (row.target, row.verdict, row.forwarded, row.parent_listening) for row in found.rows
    ]


def some(records: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return strategies.observed(st.lists(records, max_size=8).map(tuple))


SOURCES: st.SearchStrategy[Sources] = st.builds(
    Sources,
    some(strategies.forwards()),
    some(strategies.service_ports()),
    some(strategies.listeners()),
    some(strategies.listeners()),
)
RUNNING: st.SearchStrategy[Running] = st.builds(
    Running, strategies.settings(), strategies.versions(), st.just(UID)
)
SIDES = ("forwards", "services", "listeners", "inside")


def shuffled(sources: Sources, data: st.DataObject) -> Sources:
    known = {
        side: getattr(sources, side) for side in SIDES if isinstance(getattr(sources, side), Known)
    }
    mixed: dict[str, Any] = {
        side: Known(tuple(data.draw(st.permutations(one.value)))) for side, one in known.items()
    }
    return dataclasses.replace(sources, **mixed)


@given(SOURCES, RUNNING, st.booleans())
def test_each_forward_is_in_exactly_one_row(
    sources: Sources,
    running: Running,
    everything: bool,  # noqa: FBT001
) -> None:
    rows = exposure.join(sources, running, everything=everything).rows

    listed = sources.forwards.value if isinstance(sources.forwards, Known) else ()
    assert Counter(
        (row.parent_ip, row.parent_port, row.child_port) for row in rows if row.forwarded
    ) == Counter((one.parent_ip, one.parent_port, one.child_port) for one in listed)


@given(SOURCES, RUNNING, st.data())
def test_the_order_of_the_input_never_matters(
    sources: Sources, running: Running, data: st.DataObject
) -> None:
    assert exposure.join(shuffled(sources, data), running, everything=True) == exposure.join(
        sources, running, everything=True
    )


@given(SOURCES, RUNNING)
def test_a_row_passes_only_where_all_sources_agree(sources: Sources, running: Running) -> None:
    forwards, services, listeners, inside = (getattr(sources, side) for side in SIDES)
    for row in exposure.join(sources, running, everything=True).rows:
        assert (row.verdict is Verdict.PASS) is (row.status in {Status.LISTENING, Status.FORWARDED})
        if row.verdict is not Verdict.PASS:
            assert row.reason
            continue
        assert isinstance(forwards, Known)
        assert isinstance(listeners, Known)
        assert any(
            (one.parent_port, one.child_port) == (row.parent_port, row.child_port)
            for one in forwards.value
        )
        assert any(
            (one.proto, one.port, one.uid) == (row.proto, row.parent_port, UID)
            for one in listeners.value
        )
        if row.status is Status.LISTENING:
            assert isinstance(inside, Known)
            assert any((one.proto, one.port) == (row.proto, row.child_port) for one in inside.value)
        if row.kind is Kind.API:
            assert row.parent_port == running.settings.https_port
        else:
            assert isinstance(services, Known)
            assert any(
                row.child_port in {one.port, one.node_port} and one.addresses
                for one in services.value
            )


@given(SOURCES, RUNNING)
def test_another_listener_elsewhere_changes_nothing(sources: Sources, running: Running) -> None:
    if isinstance(sources.listeners, Known):
        more = dataclasses.replace(
            sources, listeners=Known((*sources.listeners.value, Listener("tcp", WILD, 2, 0)))
        )

        assert exposure.join(more, running) == exposure.join(sources, running)


@given(SOURCES, RUNNING)
def test_everything_adds_rows_and_changes_none(sources: Sources, running: Running) -> None:
    some_rows = exposure.join(sources, running).rows
    all_rows = exposure.join(sources, running, everything=True).rows

    assert not Counter(some_rows) - Counter(all_rows)
    assert all(row.status is Status.NOT_FORWARDED for row in Counter(all_rows) - Counter(some_rows))


@given(SOURCES, RUNNING)
def test_rows_are_printable_and_each_source_is_independent(
    sources: Sources, running: Running
) -> None:
    found = exposure.join(sources, running, everything=True)

    for row in found.rows:
        texts = [value for value in dataclasses.asdict(row).values() if isinstance(value, str)]
        assert all(text.isprintable() for text in texts)
        json.dumps(document.port(row, ()))
    assert any(row.kind is Kind.API for row in found.rows)
    assert len(found.unread) == sum(isinstance(getattr(sources, side), Unknown) for side in SIDES)


def test_ten_thousand_services_are_joined_in_linear_time() -> None:
    ports = tuple(
        ServicePort("n", f"s{one}", "", "tcp", 20_000 + one, 0, "LoadBalancer", ("127.0.0.1",))
        for one in range(10_000)
    )
    forwards = tuple(forward(one.port, one.port) for one in ports)
    listeners = tuple(Listener("tcp", "::", one.port, UID) for one in ports)

    rows: tuple[Exposure, ...] = join(forwards, ports, listeners, listeners).rows

    assert {Status.LISTENING: 10_001} == Counter(row.status for row in rows)
