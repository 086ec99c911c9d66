from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.finding import Verdict
from k3s_rootless.linux.facts import Address
from k3s_rootless.ports.facts import Exposure, Kind, Status
from k3s_rootless.ports.rules import advice, urls
from k3s_rootless.ports.rules.expected import ExpectedForward
from tests.ports import strategies

ETH = Address("192.0.2.7", "eth0", loopback=False)
ETH6 = Address("2001:db8::7", "eth0", loopback=False)
LOOP = Address("127.0.0.1", "lo", loopback=True)


def expected_forward(
    name: str = "",
    port: int = 7777,
    proto: str = "tcp",
    app: str = "",
    kind: Kind = Kind.SERVICE_PORT,
) -> ExpectedForward:
    return ExpectedForward(proto, port, port, kind, "n", "s", name, app_protocol=app)


@pytest.mark.parametrize(
    ("entry", "address", "expected"),
    [
        (expected_forward(kind=Kind.API, port=6443), "", ("https://localhost:6443", "")),
        (expected_forward("web"), "", ("http://localhost:7777", "from the port name, web")),
        (
            expected_forward("websecure"),
            "",
            ("https://localhost:7777", "from the port name, websecure"),
        ),
        (
            expected_forward("https-admin"),
            "",
            ("https://localhost:7777", "from the port name, https-admin"),
        ),
        (expected_forward("my-http"), "", ("http://localhost:7777", "from the port name, my-http")),
        (expected_forward(port=8443), "", ("https://localhost:8443", "from the port number, 8443")),
        (expected_forward(port=8080), "", ("http://localhost:8080", "from the port number, 8080")),
        (expected_forward("postgres", 5432), "", ("tcp://localhost:5432", "")),
        (expected_forward("web", app="kubernetes.io/h2c"), "", ("tcp://localhost:7777", "")),
        (expected_forward("odd", app="HTTPS"), "", ("https://localhost:7777", "")),
        (expected_forward("web", 53, "udp"), "", ("udp://localhost:53", "")),
        (expected_forward("x", 53, "s\ufffdtp"), "", ("unknown://localhost:53", "")),
        (
            expected_forward("web"),
            "192.0.2.7",
            ("http://192.0.2.7:7777", "from the port name, web"),
        ),
        (
            expected_forward("web"),
            "2001:db8::7",
            ("http://[2001:db8::7]:7777", "from the port name, web"),
        ),
        (expected_forward("web"), "::", ("http://localhost:7777", "from the port name, web")),
    ],
)
def test_a_url_has_a_known_scheme_or_the_basis_of_a_guess(
    entry: ExpectedForward, address: str, expected: tuple[str, str]
) -> None:
    assert expected == urls.guess(entry, address)


def row(
    parent_port: int = 10080,
    parent_ip: str = "",
    listens: tuple[str, ...] = ("::",),
    proto: str = "tcp",
) -> Exposure:
    return Exposure(
        proto,
        parent_ip,
        parent_port,
        80,
        Kind.SERVICE_PORT,
        Status.LISTENING,
        Verdict.PASS,
        "",
        forwarded=True,
        parent_listening=True,
        listens_on=listens,
    )


@pytest.mark.parametrize(
    ("listens", "parent_ip", "expected"),
    [
        (("::",), "", (ETH, ETH6, LOOP)),
        (("0.0.0.0",), "", (ETH, LOOP)),  # noqa: S104 (slirp4netns's driver)
        (("127.0.0.1",), "127.0.0.1", (LOOP,)),
        (("192.0.2.7",), "192.0.2.7", (ETH,)),
        ((), "", (ETH, ETH6, LOOP)),
    ],
)
def test_a_forward_is_reachable_at_the_addresses_that_it_listens_on(
    listens: tuple[str, ...], parent_ip: str, expected: tuple[Address, ...]
) -> None:
    assert expected == advice.reachable(
        row(parent_ip=parent_ip, listens=listens), (ETH, ETH6, LOOP)
    )


def test_forwards_on_loopback_only_are_not_exposed() -> None:
    hidden, open_ = row(parent_ip="127.0.0.1"), row(10443)

    assert (open_,) == advice.exposed([hidden, open_])
    assert advice.firewall_rules([hidden]) is None


def test_a_firewall_rule_lists_consecutive_ports_as_an_interval() -> None:
    rules = advice.firewall_rules(
        [row(one) for one in (*range(20_000, 30_000), 6443)] + [row(53, proto="udp")]
    )

    assert rules is not None
    assert (
        (
            "sudo nft add rule inet k3s_rootless input iifname != lo tcp dport '{ 6443, 20000-29999"
            " }' drop"
        ),
        "sudo nft add rule inet k3s_rootless input iifname != lo udp dport '{ 53 }' drop",
    ) == rules.commands[2:]


@given(st.builds(expected_forward, strategies.NAMES, strategies.PORTS), strategies.ADDRESSES)
def test_a_url_contains_no_space(entry: ExpectedForward, address: str) -> None:
    assert urls.guess(entry, address)[0].isascii()
    assert " " not in urls.guess(entry, address)[0]
