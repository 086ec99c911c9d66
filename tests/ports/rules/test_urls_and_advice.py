from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.finding import Verdict
from k3s_rootless.linux.facts import Address
from k3s_rootless.ports.facts import Exposure, Kind, Status
from k3s_rootless.ports.rules import advice, urls
from k3s_rootless.ports.rules.expected import Wanted
from tests.ports import strategies

ETH = Address("192.0.2.7", "eth0", loopback=False)
ETH6 = Address("2001:db8::7", "eth0", loopback=False)
LOOP = Address("127.0.0.1", "lo", loopback=True)


def wanted(
    name: str = "",
    port: int = 7777,
    proto: str = "tcp",
    app: str = "",
    kind: Kind = Kind.SERVICE_PORT,
) -> Wanted:
    return Wanted(proto, port, port, kind, "n", "s", name, app_protocol=app)


@pytest.mark.parametrize(
    ("want", "address", "expected"),
    [
        (wanted(kind=Kind.API, port=6443), "", ("https://localhost:6443", "")),
        (wanted("web"), "", ("http://localhost:7777", "by the port's name, web")),
        (wanted("websecure"), "", ("https://localhost:7777", "by the port's name, websecure")),
        (wanted("https-admin"), "", ("https://localhost:7777", "by the port's name, https-admin")),
        (wanted("my-http"), "", ("http://localhost:7777", "by the port's name, my-http")),
        (wanted(port=8443), "", ("https://localhost:8443", "by the port's number, 8443")),
        (wanted(port=8080), "", ("http://localhost:8080", "by the port's number, 8080")),
        (wanted("postgres", 5432), "", ("tcp://localhost:5432", "")),
        (wanted("web", app="kubernetes.io/h2c"), "", ("tcp://localhost:7777", "")),
        (wanted("odd", app="HTTPS"), "", ("https://localhost:7777", "")),
        (wanted("web", 53, "udp"), "", ("udp://localhost:53", "")),
        (wanted("x", 53, "s\ufffdtp"), "", ("unknown://localhost:53", "")),
        (wanted("web"), "192.0.2.7", ("http://192.0.2.7:7777", "by the port's name, web")),
        (wanted("web"), "2001:db8::7", ("http://[2001:db8::7]:7777", "by the port's name, web")),
        (wanted("web"), "::", ("http://localhost:7777", "by the port's name, web")),
    ],
)
def test_a_url_says_what_is_known_and_what_is_guessed(
    want: Wanted, address: str, expected: tuple[str, str]
) -> None:
    assert expected == urls.guess(want, address)


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
        Status.ANSWERING,
        Verdict.PASS,
        "",
        forwarded=True,
        listening=True,
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
def test_a_forward_is_reached_at_the_addresses_that_it_listens_at(
    listens: tuple[str, ...], parent_ip: str, expected: tuple[Address, ...]
) -> None:
    assert expected == advice.reachable(
        row(parent_ip=parent_ip, listens=listens), (ETH, ETH6, LOOP)
    )


def test_what_listens_on_loopback_only_faces_no_network() -> None:
    hidden, open_ = row(parent_ip="127.0.0.1"), row(10443)

    assert (open_,) == advice.exposed([hidden, open_])
    assert advice.keep_the_network_out([hidden]) is None


def test_a_rule_names_thousands_of_ports_as_an_interval() -> None:
    counsel = advice.keep_the_network_out(
        [row(one) for one in (*range(20_000, 30_000), 6443)] + [row(53, proto="udp")]
    )

    assert counsel is not None
    assert (
        (
            "sudo nft add rule inet k3s_rootless input iifname != lo tcp dport '{ 6443, 20000-29999"
            " }' drop"
        ),
        "sudo nft add rule inet k3s_rootless input iifname != lo udp dport '{ 53 }' drop",
    ) == counsel.commands[2:]


@given(st.builds(wanted, strategies.NAMES, strategies.PORTS), strategies.ADDRESSES)
def test_a_url_is_one_word(want: Wanted, address: str) -> None:
    assert urls.guess(want, address)[0].isascii()
    assert " " not in urls.guess(want, address)[0]
