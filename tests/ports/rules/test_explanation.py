from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.errors import UsageError
from k3s_rootless.linux.facts import Address, Listener
from k3s_rootless.observation import Known
from k3s_rootless.ports.facts import Running, ServicePort, Sources, Status
from k3s_rootless.ports.rules import explanation, exposure, prediction
from k3s_rootless.ports.rules.question import Question
from tests.ports.rules.test_exposure import NEW, RUNNING, SETTINGS, SOURCES, balancer, forward, join
from tests.ports.strategies import UID, service_ports

ROWS = join(
    (forward(10080, 80), forward(8080, 8080)),
    (balancer(80), balancer(8080, name="other"), balancer(443, addresses=())),
    (Listener("tcp", "::", 10080, UID), Listener("tcp", "::", 8080, UID)),
).rows
ETH = Address("192.0.2.7", "eth0", loopback=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", ["default/web:80"]),
        ("10080", ["default/web:80"]),
        ("10443", ["default/web:443"]),
        ("web", ["default/web:443", "default/web:80"]),
        ("default/web:80", ["default/web:80"]),
        ("web:10080", ["default/web:80"]),
        ("other:http", ["default/other:8080"]),
        ("http", ["default/other:8080", "default/web:443", "default/web:80"]),
        ("api", ["Kubernetes API"]),
        ("6443", ["Kubernetes API"]),
        ("elsewhere/web", []),
        ("9", []),
        ("", []),
    ],
)
def test_an_argument_is_a_port_on_either_side_or_a_service(text: str, expected: list[str]) -> None:
    assert expected == sorted(row.target for row in explanation.find(ROWS, Question.of(text)))


def test_a_row_is_explained_with_its_addresses_and_its_host_port() -> None:
    (row,) = explanation.find(ROWS, Question.of("80"))

    lines = explanation.of_row(row, (ETH,))

    assert [
        ("", "default/web:80 (http), tcp"),
        ("status", "forwarded"),
        ("from this host", "http://localhost:10080 (scheme guessed from the port name, http)"),
        ("from the network", "192.0.2.7:10080 (eth0)"),
        (
            "forward",
            (
                "port 10080 on all addresses of the host is mapped to default/web:80 (K3s adds"
                " 10000 to ports up to and including 1024); rootlesskit connects to port 80 of"
                " K3s's namespace"
            ),
        ),
        (
            "in the child",
            (
                "no socket listens on port 80 of K3s's namespace, which is usual for K3s's load"
                " balancer; test the connection with --probe"
            ),
        ),
        (
            "host port",
            "10080 only; port 80 of this host itself is not forwarded to default/web:80",
        ),
    ] == lines


def test_a_port_without_a_row_is_explained_by_the_rule() -> None:
    found = explanation.of_nothing(Question.of("10022"), "a process of uid 0")

    assert (
        (
            ("", "port 10022: no Service has this port, and K3s does not forward it"),
            ("mapping", "port 22 or 10022 of a Service would be port 10022 of this host"),
            ("on this host", "port 10022 is in use by a process of uid 0"),
        ),
    ) == found.paragraphs


@pytest.mark.parametrize("text", ["0", "00", "65536", "99999", "9" * 5000])
def test_a_number_outside_the_range_of_ports_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="a port is a number from 1 to 65535"):
        Question.of(text)


@given(
    SOURCES,
    RUNNING,
    st.integers(1, 65535).map(str) | st.text(max_size=8).filter(lambda text: not text.isdecimal()),
)
def test_each_question_has_a_printable_answer(
    sources: Sources, running: Running, text: str
) -> None:
    rows = exposure.join(sources, running, everything=True).rows
    for row in rows:
        for pair in explanation.of_row(row, (ETH,)):
            assert all(part.isprintable() for part in pair)
    explanation.find(rows, Question.of(text))


def planned(*ports: ServicePort, there: Sources) -> dict[str, tuple[Status, str]]:
    return {
        row.target: (row.status, row.reason)
        for row in prediction.predict(ports, (), there, Running(SETTINGS, NEW, UID))
    }


def test_a_plan_finds_conflicts_with_the_cluster_the_host_and_itself() -> None:
    there = Sources(
        forwards=Known((forward(6443, 6443), forward(8080, 8080))),
        services=Known((balancer(8080, name="old"), balancer(9090, name="same"))),
        listeners=Known(
            (
                Listener("tcp", "::", 8080, UID),
                Listener("tcp", "::", 5432, 0),
                Listener("tcp", "::", 9090, UID),
            )
        ),
        inside=Known((Listener("tcp", "::", 10250, 0), Listener("tcp", "::", 9090, 0))),
    )

    found = planned(
        balancer(8080, name="new", addresses=()),
        balancer(5432, name="db", addresses=()),
        balancer(10250, name="kubelet", addresses=()),
        balancer(9091, name="same", addresses=()),
        balancer(53, name="late", proto="sctp", addresses=()),
        there=there,
    )

    assert (
        Status.PORT_CONFLICT,
        (
            "port 8080 of the host is also needed by default/old:8080; K3s forwards it to only one"
            " of them"
        ),
    ) == found["default/new:8080"]
    assert (
        Status.PORT_IN_USE,
        "port 5432 is in use by a process of uid 0",
    ) == found["default/db:5432"]
    assert found["default/kubelet:10250"][0] is Status.PORT_CONFLICT
    assert (Status.FORWARDED, "") == found["default/same:9091"]
    assert found["default/late:53"][0] is Status.NOT_FORWARDED


@given(SOURCES, RUNNING, st.lists(service_ports(), max_size=6), st.randoms())
def test_a_plan_has_an_answer_for_each_port_in_any_order(
    sources: Sources, running: Running, ports: list[ServicePort], mix: random.Random
) -> None:
    rows = prediction.predict(ports, (), sources, running)
    mixed = list(ports)
    mix.shuffle(mixed)

    assert rows == prediction.predict(mixed, (), sources, running)
    assert all(row.reason or row.status is Status.FORWARDED for row in rows)
    assert {(one.proto, one.port) for one in ports} <= {(row.proto, row.child_port) for row in rows}
