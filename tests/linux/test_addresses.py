from __future__ import annotations

import socket
from pathlib import Path

import pytest

from k3s_rootless.errors import RootlessError
from k3s_rootless.linux import addresses
from k3s_rootless.linux.facts import Address


def test_loopback_comes_last_and_is_marked() -> None:
    found = addresses.addresses()

    assert Address("127.0.0.1", "lo", loopback=True) in found
    assert [one.loopback for one in found] == sorted(one.loopback for one in found)
    for one in found:
        family = socket.AF_INET6 if ":" in one.text else socket.AF_INET
        socket.inet_pton(family, one.text.partition("%")[0])


def test_tentative_and_duplicate_addresses_are_left_out(tmp_path: Path) -> None:
    table = tmp_path / "if_inet6"
    table.write_text(
        "20010db8000000000000000000000001 02 40 00 80     eth0\n"
        "20010db8000000000000000000000002 02 40 00 c0     eth0\n"
        "fe800000000000000000000000000001 02 40 20 80     eth0\n"
    )

    found = {one.text for one in addresses.addresses(table) if ":" in one.text}

    assert {"2001:db8::1", "fe80::1%eth0"} == found


def test_a_kernel_without_ipv6_has_ipv4_addresses(tmp_path: Path) -> None:
    assert any(one.text == "127.0.0.1" for one in addresses.addresses(tmp_path / "none"))


def test_addresses_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(RootlessError, match="cannot list the addresses of this host"):
        addresses.addresses(tmp_path)


def test_all_ipv6_addresses_include_tentative_ones(tmp_path: Path) -> None:
    file = tmp_path / "if_inet6"
    file.write_text(
        "00000000000000000000000000000001 01 80 10 80 lo\n"
        "fe800000000000000000000000000007 02 40 20 40 eth0\n"
    )

    assert ("::1", "fe80::7") == addresses.all_ipv6(file)
    assert () == addresses.all_ipv6(tmp_path / "none")
