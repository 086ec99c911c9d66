from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from k3s_rootless.errors import RootlessError
from k3s_rootless.linux import namespaces, sockets
from k3s_rootless.linux.facts import Listener

UID = os.getuid()
HEAD = (
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout"
    " inode\n"
)


@pytest.fixture
def bound() -> Iterator[dict[str, socket.socket]]:
    """Yield real sockets, one of each kind.

    `busy` is bound and does not listen, `talking` is connected.
    """
    with ExitStack() as stack:

        def make(family: int, kind: int, address: str) -> socket.socket:
            made = stack.enter_context(socket.socket(family, kind))
            made.bind((address, 0))
            return made

        found = {
            "tcp4": make(socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1"),
            "tcp6": make(socket.AF_INET6, socket.SOCK_STREAM, "::"),
            "udp4": make(socket.AF_INET, socket.SOCK_DGRAM, "0.0.0.0"),  # noqa: S104 (under test)
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
        Listener(
            name[:3], one.getsockname()[0], one.getsockname()[1], UID, os.fstat(one.fileno()).st_ino
        )
        for name, one in bound.items()
        if name in {"tcp4", "tcp6", "udp4", "udp6"}
    }


def test_real_sockets_are_found_with_owner_and_inode(bound: dict[str, socket.socket]) -> None:
    found = sockets.listeners()

    assert expected(bound) <= set(found)
    assert not {bound["busy"].getsockname()[1], bound["talking"].getsockname()[1]} & {
        one.port for one in found
    }
    assert list(found) == sorted(found, key=lambda one: (one.proto, one.port, one.address))


def test_sockets_are_listed_while_an_event_loop_runs(bound: dict[str, socket.socket]) -> None:
    async def read() -> set[Listener]:
        return set(sockets.listeners())

    assert expected(bound) <= asyncio.run(read())


@pytest.mark.parametrize("crowded", [0, 10**9], ids=["the kernel's diagnosis", "/proc/net"])
def test_both_sources_list_the_same_sockets(bound: dict[str, socket.socket], crowded: int) -> None:
    assert expected(bound) <= set(sockets.listeners(crowded=crowded))


def test_without_an_answer_of_the_kernel_proc_net_is_read(
    bound: dict[str, socket.socket],
) -> None:
    assert expected(bound) <= set(sockets.listeners(timeout=0, crowded=0))


def test_the_sockets_of_a_process_are_those_of_its_namespace(
    bound: dict[str, socket.socket],
) -> None:
    directory = namespaces.open_process(os.getpid())
    try:
        assert expected(bound) <= set(sockets.of_process(directory))
    finally:
        os.close(directory)


def test_a_process_that_has_ended_cannot_be_read() -> None:
    with subprocess.Popen(["true"]) as ended:
        directory = namespaces.open_process(ended.pid)
    try:
        with pytest.raises(
            RootlessError, match=r"the process has ended|is not a table|does not exist"
        ):
            sockets.of_process(directory)
    finally:
        os.close(directory)
    with pytest.raises(RootlessError, match=f"cannot read process {ended.pid}"):
        namespaces.open_process(ended.pid)


def test_a_kernel_without_ipv6_has_no_tables_for_it(tmp_path: Path) -> None:
    row = (
        "   0: 0100007F:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0"
        " 4711 1 0 100 0 0 10 0\n"
    )
    (tmp_path / "tcp").write_text(HEAD + row)
    (tmp_path / "udp").write_text(HEAD)

    assert (Listener("tcp", "127.0.0.1", 6443, 1000, 4711),) == sockets.listeners(proc_net=tmp_path)


@pytest.mark.parametrize(
    "content", [None, "rubbish\n", f"{HEAD} 0: 0100007F:ZZZZ 0:0 0A 0 0 0 1 0 1\n", "\x00\xff"]
)
def test_sockets_that_cannot_be_read_are_an_error(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "tcp").write_text(content, "latin-1")

    with pytest.raises(RootlessError, match=r"^cannot list the sockets: "):
        sockets.listeners(proc_net=tmp_path)
