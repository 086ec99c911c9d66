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
NOBODY = Unknown("nobody answered")


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
    seen = Sources(*sources, **more)
    return exposure.join(seen, Running(settings, version, UID), everything=everything)


def told(rows: PortMap) -> list[str]:
    """Return the rows as text, without the row of the API server."""
    return [
        f"{row.proto}/{row.parent_port}->{row.child_port} {row.target or '-'} +{row.offset}"
        f" {row.status.value}: {row.reason}"
        for row in rows.rows
        if row.kind is not Kind.API
    ]


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
    ] == told(found)
    assert 1 == found.internal
    assert () == found.unread
    assert "Kubernetes API" == found.rows[0].target
    assert found.rows[0].verdict is Verdict.PASS
    assert [
        "port 6443 of all addresses of the host is the Kubernetes API, which K3s never offsets",
        "port 8080 of all addresses of the host stands for default/web:8080, without an offset",
        (
            "port 10080 of all addresses of the host stands for default/web:80: K3s adds 10000 to"
            " ports up to and including 1024"
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
            f"{ROW} silent: rootlesskit lists the forward, but nothing listens on port 10080 of the"
            " host",
            id="listed, not listening",
        ),
        pytest.param(
            (forward(10080, 80),),
            WEB,
            (Listener("tcp", WILD, 10080, 0),),
            f"{ROW} silent: rootlesskit lists the forward, but a program of uid 0 holds the port",
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
            f"{ROW} blocked: a program of uid 0, on 127.0.0.1, holds port 10080 of the host",
            id="held by another user",
        ),
        pytest.param(
            (),
            WEB,
            (Listener("tcp", "::", 10080, UID),),
            f"{ROW} blocked: another program of yours holds port 10080 of the host",
            id="held by another program",
        ),
        pytest.param(
            (),
            WEB,
            (),
            f"{ROW} not-forwarded: nothing holds port 10080 of the host: K3s has not come to it"
            " yet, or could not",
            id="missing",
        ),
        pytest.param(
            (),
            WEB,
            NOBODY,
            f"{ROW} not-forwarded: nobody could see who holds port 10080 of the host: nobody"
            " answered",
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
            "tcp/9000->9000 - +0 stray: no Service asks for this forward; K3s removes such at its"
            " next pass",
            id="stray",
        ),
        pytest.param(
            (),
            (balancer(80, addresses=()),),
            (),
            f"{ROW} pending: its load balancer has no address yet",
            id="pending",
        ),
        pytest.param(
            (),
            (balancer(80, addresses=(), hostnames=("lb.example.org",)),),
            (),
            f"{ROW} not-forwarded: its load balancer has a host name only, and K3s forwards"
            " Services with an IP",
            id="host name only",
        ),
        pytest.param(
            (),
            (balancer(132, proto="sctp"),),
            (),
            "sctp/10132->132 default/web:132 +10000 not-forwarded: K3s forwards TCP and UDP, never"
            " SCTP",
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
            f"{ROW} silent: rootlesskit lists the forward, but another program of yours, on"
            " 127.0.0.1, holds the port",
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
def test_each_row_says_what_was_seen(
    forwards: Any, services: Any, listeners: Any, expected: str
) -> None:
    assert [expected] == told(join(forwards, services, listeners))


def test_what_waits_behind_a_conflict_is_told_apart_from_the_conflict() -> None:
    """When another program held port 10080, K3s v1.21.2 left 10443 and 8080 unbound as well."""
    services = (balancer(80), balancer(443), balancer(8080))

    found = told(join((), services, (HELD_BY_ROOT,)))

    behind = (
        "stalled: K3s waits behind port 10080 of the host (default/web:80), which a program of uid"
        " 0, on 127.0.0.1, holds"
    )
    assert [line.partition(" +")[2].partition(" ")[2] for line in found] == [
        behind,
        "blocked: a program of uid 0, on 127.0.0.1, holds port 10080 of the host",
        behind,
    ]


def test_two_ports_of_a_cluster_can_want_the_same_port_of_the_host() -> None:
    services = (balancer(80, name="a"), balancer(10080, name="b"))

    found = told(join((forward(10080, 10080),), services, (Listener("tcp", "::", 10080, UID),)))

    assert [
        (
            "tcp/10080->80 default/a:80 +10000 collision: default/a:80 and default/b:10080 want one"
            " port of the host, 10080; it leads to child port 10080"
        ),
        "tcp/10080->10080 default/b:10080 +0 forwarded: ",
    ] == found


def test_of_two_services_with_one_port_only_one_has_the_forward() -> None:
    services = (balancer(8080, name="a"), balancer(8080, name="b"))

    found = told(join((forward(8080, 8080),), services, (Listener("tcp", "::", 8080, UID),)))

    assert [
        "tcp/8080->8080 default/a:8080 +0 forwarded: ",
        (
            "tcp/8080->8080 default/b:8080 +0 collision: "
            "port 8080 of the host is wanted by default/b:8080 as well, and default/a:8080 has it: "
            "one child port is one program's"
        ),
    ] == found


def test_who_waits_for_an_address_that_another_has_is_told_whose_port_it_is() -> None:
    """K3s's servicelb is a Pod with hostPorts.

    A second Pod with the same port is never scheduled, and stays pending for ever.
    """
    services = (balancer(80, name="a"), balancer(80, name="b", addresses=()))

    found = join((forward(10080, 80),), services, (Listener("tcp", "::", 10080, UID),))

    assert (
        "tcp/10080->80 default/b:80 +10000 collision: "
        "default/b:80 has no address, and default/a:80 wants port 10080 of the host as well"
        == told(found)[1]
    )
    assert ("default/a:80",) == found.rows[2].rivals


def test_a_row_answers_when_somebody_takes_it_inside() -> None:
    host = (Listener("tcp", "::", 10080, UID),)
    inside = {
        "answering": (Listener("tcp", "127.0.0.1", 80, 0),),
        "forwarded": (Listener("tcp", "10.41.0.100", 80, 0), Listener("udp", "::", 80, 0)),
    }

    for status, sockets in inside.items():
        assert [f"{ROW} {status}: "] == told(join((forward(10080, 80),), WEB, host, sockets))
    (row,) = (
        one
        for one in join((forward(10080, 80),), WEB, host, NOBODY).rows
        if one.kind is not Kind.API
    )
    assert (Status.FORWARDED, None) == (row.status, row.inside)


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
    assert [Status.ANSWERING] == [row.status for row in other.rows[1:]]


def test_an_api_server_that_does_not_listen_is_down_whatever_is_forwarded() -> None:
    sources = Sources(Known((API_FORWARD,)), NOBODY, Known((API_LISTENER,)), Known(()))

    (row,) = exposure.join(sources, Running(SETTINGS, NEW, UID)).rows

    assert (Status.SILENT, Verdict.FAIL) == (row.status, row.verdict)
    assert (
        "forwarded, but nothing listens at port 6443 of K3s's namespace: the API server is down"
        == row.reason
    )


def test_rootlesskit_does_not_block_the_forward_that_it_is_adding() -> None:
    """The listener exists before the list entry; with one port driver, slirp4netns listens."""
    services = (balancer(80), balancer(443))
    own = Listener("tcp", WILD, 10080, UID, 77)
    holder = Holder(UID, "me", 4711, "slirp4netns", "k3s-rootless.service", of_unit=True)

    found = told(join((), services, (own,), holders={own: holder}))

    assert [
        (
            f"{ROW} pending: K3s already listens on port 10080, but its rootlesskit does not list"
            " the forward yet"
        ),
        (
            "tcp/10443->443 default/web:443 +10000 not-forwarded: "
            "nothing holds port 10443 of the host: K3s has not come to it yet, or could not"
        ),
    ] == found


def test_whoever_holds_a_port_is_named_as_far_as_it_is_known() -> None:
    held = Listener("tcp", WILD, 10080, UID, 77)
    holder = Holder(UID, "me", 4711, "nginx", "nginx.service")

    found = join((), WEB, (held,), holders={held: holder})

    reason = "your program `nginx` (pid 4711) of nginx.service holds port 10080 of the host"
    assert [f"{ROW} blocked: {reason}"] == told(found)
    assert found.rows[1].holder == dataclasses.replace(holder, address=WILD)


def test_a_port_that_the_kernel_keeps_from_users_is_blocked() -> None:
    settings = server.settings(port=443)
    sources = Sources(Known(()), Known((balancer(8080),)), Known(()), Known(()))

    found = exposure.join(sources, Running(settings, NEW, UID))

    assert [
        (
            Status.BLOCKED,
            (
                "port 443 is an administrator's; users may listen from 1024 on"
                " (net.ipv4.ip_unprivileged_port_start)"
            ),
        ),
        (
            Status.STALLED,
            (
                "K3s waits behind port 443 of the host (Kubernetes API), which only an"
                " administrator may give"
            ),
        ),
    ] == [(row.status, row.reason) for row in found.rows]


def test_what_is_never_forwarded_is_shown_on_demand_with_its_reason() -> None:
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
            "K3s v1.21.2+k3s1 forwards no nodePorts; v1.29.3 and later do",
        ),
        (
            "default/dns:53",
            "a ClusterIP Service stays inside the cluster: K3s forwards those of type LoadBalancer",
        ),
        (
            "default/np:80",
            "K3s forwards nodePorts of LoadBalancer Services only, and this is a NodePort Service",
        ),
        (
            "default/np:30081 (nodePort)",
            "K3s forwards nodePorts of LoadBalancer Services only, and this is a NodePort Service",
        ),
        (
            "default/pod:9100 (hostPort)",
            (
                "K3s forwards ports of Services, never the hostPorts of Pods: give it a Service of"
                " type LoadBalancer"
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
        (Probe("connected", well=True, milliseconds=1.0), "answering: "),
        (Probe("nobody", well=False), "silent: forwarded, but a real connection failed: nobody"),
        (Probe("sent"), "forwarded: "),
    ],
)
def test_a_real_connection_decides(probe: Probe, expected: str) -> None:
    row = join((forward(10080, 80),), WEB, (Listener("tcp", "::", 10080, UID),)).rows[1]

    after = exposure.with_probe(row, probe)

    assert expected == f"{after.status.value}: {after.reason}"
    assert after.probe is probe


def test_the_api_server_keeps_its_port_whatever_it_is() -> None:
    settings = server.settings(port=443, servicelb=False)
    sources = Sources(
        Known((forward(443, 443),)),
        Known((balancer(80),)),
        Known((Listener("tcp", "::", 443, UID),)),
        NOBODY,
    )

    found = exposure.join(sources, Running(settings, NEW, UID))

    assert [
        ("Kubernetes API", 443, 0, "pass", ""),
        (
            "default/web:80",
            10080,
            10000,
            "warn",
            "servicelb is disabled, and without it K3s forwards its API only",
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


def test_names_of_others_are_shown_and_not_obeyed() -> None:
    found = join(
        (),
        (ServicePort("a\x1b[2J", "b\u202e", "\r", "tcp", 80, 0, "LoadBalancer", ("127.0.0.1",)),),
        (),
    ).rows[1]

    assert "a\ufffd[2J/b\ufffd:80" == found.target
    assert "\ufffd" == found.port_name


SOON = "its Services are not known yet"
NO_PORT_API = f"unknown: K3s is starting: its port API is not available yet, and {SOON}"
NO_API_SERVER = f"pending: K3s is starting: it forwards this port once its API server runs; {SOON}"
NOT_YET = (
    "not-forwarded: nothing holds port 6443 of the host: K3s has not come to it yet, or could not"
)
NOT_READ = "unknown: nobody could see whether it is forwarded: nobody answered"
ROOTS = Listener("tcp", WILD, 6443, 0)


@pytest.mark.parametrize(
    ("forwards", "services", "listeners", "seconds", "expected"),
    [
        pytest.param(NOBODY, NOBODY, (), 2.0, NO_PORT_API, id="the port API is missing"),
        pytest.param(Known(()), NOBODY, (), 9.0, NO_API_SERVER, id="the API server is missing"),
        pytest.param(
            Known(()),
            NOBODY,
            (ROOTS,),
            9.0,
            "blocked: a program of uid 0 holds port 6443 of the host",
            id="another program has the port",
        ),
        pytest.param(NOBODY, NOBODY, (), 300.0, NOT_READ, id="it runs for 5 minutes"),
        pytest.param(
            Known(()), NOBODY, (), 300.0, NOT_YET, id="it runs for 5 minutes, with a port API"
        ),
        pytest.param(NOBODY, NOBODY, (), None, NOT_READ, id="systemd does not say for how long"),
        pytest.param(NOBODY, Known(()), (), 2.0, NOT_READ, id="the API server answers"),
    ],
)
def test_a_k3s_that_is_starting_is_told_apart_from_one_that_cannot_be_read(
    forwards: Any, services: Any, listeners: Any, seconds: float | None, expected: str
) -> None:
    sources = Sources(forwards, services, Known(listeners), NOBODY)

    found = exposure.join(sources, Running(SETTINGS, NEW, UID, seconds=seconds))

    (row,) = found.rows
    assert expected == f"{row.status.value}: {row.reason}"
    assert found.starting is ("K3s is starting" in expected)


def test_once_the_api_servers_port_is_forwarded_k3s_is_not_starting_any_more() -> None:
    sources = Sources(Known((API_FORWARD,)), NOBODY, Known((API_LISTENER,)), Known((API_INSIDE,)))

    found = exposure.join(sources, Running(SETTINGS, NEW, UID, seconds=9.0))

    assert not found.starting
    assert [Status.ANSWERING] == [row.status for row in found.rows]


def test_a_blind_source_is_named() -> None:
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
        (row.target, row.verdict, row.forwarded, row.listening) for row in found.rows
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
        assert (row.verdict is Verdict.PASS) is (row.status in {Status.ANSWERING, Status.FORWARDED})
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
        if row.status is Status.ANSWERING:
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
def test_rows_print_and_serialise_and_no_source_blanks_another(
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

    assert {Status.ANSWERING: 10_001} == Counter(row.status for row in rows)
