from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from k3s_rootless.errors import RootlessError
from k3s_rootless.ports import diagnosis, sockets
from k3s_rootless.ports.diagnosis import Kind
from k3s_rootless.ports.facts import Listener

UID = os.getuid()
HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


@pytest.fixture
def bound() -> Iterator[dict[str, socket.socket]]:
    """Real sockets, one of each kind; `busy` is bound and does not listen, `talking` is connected."""
    with ExitStack() as stack:

        def make(family: int, kind: int, address: str) -> socket.socket:
            made = stack.enter_context(socket.socket(family, kind))
            made.bind((address, 0))
            return made

        found = {
            "tcp4": make(socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1"),
            "tcp6": make(socket.AF_INET6, socket.SOCK_STREAM, "::"),
            "udp4": make(socket.AF_INET, socket.SOCK_DGRAM, "0.0.0.0"),  # noqa: S104 (the wild address is what is tested)
            "udp6": make(socket.AF_INET6, socket.SOCK_DGRAM, "::1"),
            "busy": make(socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1"),
            "talking": make(socket.AF_INET, socket.SOCK_DGRAM, "127.0.0.1"),
        }
        found["tcp4"].listen()
        found["tcp6"].listen()
        found["talking"].connect(("127.0.0.1", 9))
        yield found


def expected(bound: dict[str, socket.socket]) -> set[Listener]:
    return {
        Listener(name[:3], one.getsockname()[0], one.getsockname()[1], UID, os.fstat(one.fileno()).st_ino)
        for name, one in bound.items()
        if name in {"tcp4", "tcp6", "udp4", "udp6"}
    }


def test_real_sockets_are_found_with_owner_and_inode(bound: dict[str, socket.socket]) -> None:
    found = sockets.listeners()

    assert expected(bound) <= set(found)
    assert not {bound["busy"].getsockname()[1], bound["talking"].getsockname()[1]} & {one.port for one in found}
    assert list(found) == sorted(found, key=lambda one: (one.proto, one.port, one.address))


def test_both_ways_tell_the_same(bound: dict[str, socket.socket]) -> None:
    by_kernel, by_tables = (
        {one for one in found if one.uid == UID and one.inode in {os.fstat(own.fileno()).st_ino for own in bound.values()}}
        for found in (sockets.listeners(), sockets.of_tables(Path("/proc/self/net")))
    )

    assert expected(bound) == by_kernel == by_tables


def test_a_kind_that_the_kernel_does_not_know_is_refused_and_not_empty() -> None:
    with pytest.raises(OSError, match="No such file or directory"):
        diagnosis.ask([Kind(socket.AF_INET, 250, 10)])


# Under a filter of system calls, or in a kernel without it, there is no diagnosis: this process may open no netlink socket.
_WITHOUT = """
import socket, sys
made = socket.socket
def refuse(event, args):
    if event == "socket.__new__" and args[1] == socket.AF_NETLINK:
        raise OSError(97, "refused")
sys.addaudithook(refuse)
from k3s_rootless.ports import diagnosis, sockets
from k3s_rootless.ports.diagnosis import Kind
listening = made(socket.AF_INET, socket.SOCK_STREAM)
listening.bind(("127.0.0.1", 0))
listening.listen()
print(listening.getsockname()[1] in {one.port for one in sockets.listeners()})
"""


def test_without_an_answer_of_the_kernel_proc_is_read() -> None:
    done = subprocess.run([sys.executable, "-c", _WITHOUT], capture_output=True, text=True, check=False)

    assert (0, "True\n") == (done.returncode, done.stdout), done.stderr


def test_an_answer_of_many_parts_is_read_to_its_end() -> None:
    with ExitStack() as stack:
        made = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(600)]
        for one in made:
            one.bind(("127.0.0.1", 0))

        assert {one.getsockname()[1] for one in made} <= {one.port for one in sockets.listeners()}


def test_the_sockets_of_a_process_are_those_of_its_namespace(bound: dict[str, socket.socket]) -> None:
    directory = sockets.open_process(os.getpid())
    try:
        assert expected(bound) <= set(sockets.of_process(directory))
    finally:
        os.close(directory)


def test_a_process_that_is_gone_cannot_be_looked_at() -> None:
    with subprocess.Popen(["true"]) as ended:
        directory = sockets.open_process(ended.pid)
    try:
        with pytest.raises(RootlessError, match=r"the process has ended|is no table|there is no"):
            sockets.of_process(directory)
    finally:
        os.close(directory)
    with pytest.raises(RootlessError, match=f"cannot look at process {ended.pid}"):
        sockets.open_process(ended.pid)


def test_a_kernel_without_ipv6_has_no_tables_for_it(tmp_path: Path) -> None:
    row = "   0: 0100007F:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0\n"
    (tmp_path / "tcp").write_text(HEAD + row)
    (tmp_path / "udp").write_text(HEAD)

    assert sockets.of_tables(tmp_path) == (Listener("tcp", "127.0.0.1", 6443, 1000, 4711),)


@pytest.mark.parametrize("content", [None, "rubbish\n", f"{HEAD} 0: 0100007F:ZZZZ 0:0 0A 0 0 0 1 0 1\n", "\x00\xff"])
def test_when_nobody_could_look_that_is_said(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "tcp").write_text(content, "latin-1")

    with pytest.raises(RootlessError, match=r"^cannot list the sockets: "):
        sockets.of_tables(tmp_path)
