"""Tests of reading the packets of real rules, in the network namespace of another process."""

from __future__ import annotations

import os
import select
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from k3s_rootless.errors import RootlessError
from k3s_rootless.linux import namespaces, nflog, packets
from k3s_rootless.linux.nflog import Packet, Reader
from tests.child_namespaces import Child, opened
from tests.patience import PATIENCE

_PREFIX = "DROP by policy default/web"
_RULE = "iptables -w -A OUTPUT -p udp --dport 81"
SEND = 'python3 -c \'import socket as s; s.socket(2, 2).sendto(b"x" * 500, ("127.0.0.1", 81))\''


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    """Yield a process, and the rules of K3s for packets to UDP port 81 in its namespace."""
    if shutil.which("iptables") is None:
        pytest.skip("the package iptables is not installed")
    with opened() as found:
        found.run("ip link set lo up")
        log = "-j NFLOG --nflog-group 100"
        limit = "-m limit --limit 1000/second --limit-burst 1000"
        found.run(f"{_RULE} {limit} {log} --nflog-prefix '{_PREFIX}'")
        found.run(f"{_RULE} {log} {limit}")
        yield found


@pytest.fixture
def directory(child: Child) -> Iterator[int]:
    descriptor = namespaces.open_process(child.pid)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def reader(directory: int) -> Iterator[Reader]:
    with closing(nflog.open_in(directory, 100)) as found:
        yield found


def received(reader: Reader, count: int) -> list[Packet]:
    """Return this number of packets, or fewer if they do not arrive."""
    found: list[Packet] = []
    while len(found) < count and select.select([reader], [], [], PATIENCE)[0]:
        found += reader.read()
    return found


def test_packets_of_both_rules_are_read(child: Child, reader: Reader) -> None:
    child.run(SEND)

    found = received(reader, 2)

    assert [_PREFIX, ""] == [one.prefix for one in found]
    shown = [packets.headers(one.data) for one in found]
    assert shown[0] == shown[1]
    assert shown[0]
    assert ("udp", "127.0.0.1", 81) == (
        shown[0].protocol,
        shown[0].destination,
        shown[0].destination_port,
    )
    assert [0, 0] == [one.lost for one in found]


def test_only_the_headers_are_copied(child: Child, reader: Reader) -> None:
    child.run(SEND)

    assert [128, 128] == [len(one.data) for one in received(reader, 2)]


def test_this_process_stays_in_its_namespaces(child: Child, reader: Reader) -> None:
    there, here = (Path(f"/proc/{one}/ns/net").readlink() for one in (child.pid, "self"))

    assert there != here
    assert [] == list(reader.read())


def test_there_is_one_reader(directory: int, reader: Reader) -> None:
    with pytest.raises(RootlessError, match="another program reads it"):
        nflog.open_in(directory, 100)
    assert reader.fileno() >= 0


def test_another_group_can_be_read_at_the_same_time(directory: int, reader: Reader) -> None:
    with closing(nflog.open_in(directory, 101)) as other:
        assert other.fileno() != reader.fileno()


def test_the_subscription_ends_with_the_reader(child: Child, directory: int) -> None:
    with closing(nflog.open_in(directory, 100)):
        pass

    child.run(SEND)
    with closing(nflog.open_in(directory, 100)) as again:
        child.run(SEND)
        assert 2 == len(received(again, 2))


def test_packets_that_do_not_fit_are_counted(child: Child, reader: Reader) -> None:
    """The socket has room for some hundred packets, and the test reads none until all are sent."""
    many = SEND.replace("s.socket", "[s.socket").replace("81))", "81)) for _ in range(3000)]")
    child.run(many)

    found = list(reader.read())

    assert [True, False] == [reader.overflowed, reader.overflowed]
    child.run(SEND)
    later = received(reader, 1)
    assert later
    assert sum(one.lost for one in (*found, *later))


def test_a_process_that_has_ended_is_reported() -> None:
    with opened() as found:
        directory, process = namespaces.open_process(found.pid), os.pidfd_open(found.pid)
    try:
        assert select.select([process], [], [], PATIENCE)[0]
        with pytest.raises(RootlessError, match="cannot enter K3s's network namespace"):
            nflog.open_in(directory, 100)
    finally:
        os.close(directory)
        os.close(process)


def test_nftables_rules_are_read_as_well(child: Child, reader: Reader) -> None:
    if shutil.which("nft") is None:
        pytest.skip("the package nftables is not installed")
    child.run("nft add table ip own")
    child.run("nft 'add chain ip own out { type filter hook output priority 0 ; }'")
    child.run("nft 'add rule ip own out udp dport 82 log group 100 prefix \"DROP by policy a/b\"'")
    child.run(SEND.replace("81", "82"))

    assert ["DROP by policy a/b"] == [one.prefix for one in received(reader, 1)]
