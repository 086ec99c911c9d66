from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from k3s_rootless.linux import routes
from k3s_rootless.linux.routes import Entry, Route

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
ANYWHERE = socket.inet_ntoa(bytes(4))
TRIE = """\
Id 51:
  +-- 0.0.0.0/0 2 0 2
     |-- 0.0.0.0
        /0 universe UNICAST
        /24 link UNICAST tos=16
Local:
  +-- 0.0.0.0/0 2 0 2
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 192.0.2.7
        /24 link UNICAST
        /32 host LOCAL
     |-- 192.0.2.255
        /32 link BROADCAST
Main:
     |-- 192.0.2.7
        /32 host LOCAL
"""


def number(address: str) -> str:
    return f"{int.from_bytes(socket.inet_aton(address), sys.byteorder):08X}"


def row(to: str, mask: str, flags: str, metric: int = 0) -> str:
    return f"eth0\t{number(to)}\t00000000\t{flags}\t0\t0\t{metric}\t{number(mask)}\t0\t0\t0\n"


def test_the_main_table_has_networks_metrics_and_interfaces(tmp_path: Path) -> None:
    rows = (
        row(ANYWHERE, ANYWHERE, "0003", 100),
        row("192.0.2.0", "255.255.255.0", "0001"),
        row("10.7.0.0", "255.255.0.0", "0201"),
        row("10.8.0.0", "255.255.0.0", "0000"),
        "short line\n",
    )
    (tmp_path / "route").write_text(HEAD + "".join(rows))

    assert [
        Route("0.0.0.0/0", "eth0", 100, leads=True),
        Route("192.0.2.0/24", "eth0", 0, leads=True),
        Route("10.7.0.0/16", "eth0", 0, leads=False),
        Route("10.8.0.0/16", "eth0", 0, leads=False),
    ] == routes.main_table(tmp_path)


def test_all_tables_have_each_prefix_of_an_address(tmp_path: Path) -> None:
    (tmp_path / "fib_trie").write_text(TRIE)

    assert [
        Entry("0.0.0.0/0", "universe", "UNICAST"),
        Entry("0.0.0.0/24", "link", "UNICAST"),
        Entry("127.0.0.1/32", "host", "LOCAL"),
        Entry("192.0.2.7/24", "link", "UNICAST"),
        Entry("192.0.2.7/32", "host", "LOCAL"),
        Entry("192.0.2.255/32", "link", "BROADCAST"),
        Entry("192.0.2.7/32", "host", "LOCAL"),
    ] == routes.all_tables(tmp_path)


def test_local_addresses_are_listed_once(tmp_path: Path) -> None:
    (tmp_path / "fib_trie").write_text(TRIE)

    assert ("127.0.0.1", "192.0.2.7") == routes.local_addresses(tmp_path)


def test_this_host_is_read() -> None:
    net = Path("/proc/self/net")

    assert "127.0.0.1" in routes.local_addresses(net)
    assert all(one.interface for one in routes.main_table(net))


def test_an_invalid_table_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "route").write_text(HEAD + row("10.0.0.0", "255.0.0.0", "none"))

    with pytest.raises(ValueError, match="none"):
        routes.main_table(tmp_path)
    with pytest.raises(FileNotFoundError):
        routes.all_tables(tmp_path)
