from __future__ import annotations

import socket
from pathlib import Path

import pytest

from k3s_rootless.errors import RootlessError
from k3s_rootless.linux import networks

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
TRIE = """\
Local:
  +-- 0.0.0.0/0 2 0 2
     +-- 127.0.0.0/8 2 0 2
           |-- 127.0.0.0
              /8 host LOCAL
           |-- 127.0.0.1
              /32 host LOCAL
        |-- 127.255.255.255
           /32 link BROADCAST
     |-- 192.168.1.7
        /32 host LOCAL
     |-- 10.8.0.2
        /32 host LOCAL
"""


def row(interface: str, destination: str, mask: str, flags: str = "0001") -> str:
    return f"{interface}\t{destination}\t00000000\t{flags}\t0\t0\t0\t{mask}\t0\t0\t0\n"


def test_each_network_is_named_with_its_interface(tmp_path: Path) -> None:
    (tmp_path / "fib_trie").write_text(TRIE)
    (tmp_path / "route").write_text(
        HEAD
        + row("eth0", "00000000", "00000000", "0003")
        + row("tun0", "00000000", "00000080", "0003")
        + row("tun0", "00000080", "00000080", "0003")
        + row("eth0", "0001A8C0", "00FFFFFF")
        + row("docker0", "000011AC", "0000FFFF")
        + row("*", "0000070A", "0000FFFF", "0201")
        + row("wg0", "0500000A", "FFFFFFFF", "0005")
        + "short line\n"
    )

    assert {
        "192.168.1.0/24": "eth0",
        "172.17.0.0/16": "docker0",
        "10.0.0.5/32": "wg0",
        "127.0.0.1/32": "",
        "10.8.0.2/32": "",
    } == networks.networks(tmp_path)


def test_the_networks_of_this_host_are_read() -> None:
    found = networks.networks()

    assert "127.0.0.1/32" in found
    interfaces = {name for _, name in socket.if_nameindex()}
    assert {interface for interface in found.values() if interface} <= interfaces


def test_networks_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(RootlessError, match="cannot list the networks of this host: no such file"):
        networks.networks(tmp_path)
