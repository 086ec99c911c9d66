"""The sockets that take what arrives: TCP that listens and UDP that is bound, IPv4 and IPv6, of a network namespace.

Two ways lead to them. The kernel's socket diagnosis (sock_diag(7)) gives just those, of the namespace of who asks. /proc/net
has the connections as well, and for each file the kernel goes through its whole table, which on a host with 24 GiB takes 5 ms,
be it empty; but its owner may read it from outside of the namespace, and it is there where the kernel has no diagnosis.
"""

from __future__ import annotations

import functools
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError
from k3s_rootless.ports import diagnosis
from k3s_rootless.ports.facts import Listener
from k3s_rootless.record import dataclass

if TYPE_CHECKING:
    from k3s_rootless.ports.diagnosis import Kind
    from k3s_rootless.ports.visitor import Visitor

LARGEST_TABLE = 64 * 1024 * 1024
"""Bytes; about 400,000 lines of /proc/net/tcp."""


@dataclass(frozen=True, slots=True)
class _Table:
    proto: str
    kind: Kind
    file: str


_TABLES = tuple(
    _Table(file[:3], kind, file) for kind, file in zip(diagnosis.KINDS, ("tcp", "tcp6", "udp", "udp6"), strict=True)
)


def listeners() -> tuple[Listener, ...]:
    """List the sockets of this host, sorted; an address that is wild reads `0.0.0.0` or `::`. Raises RootlessError."""
    try:
        return _diagnosed(diagnosis.ask())
    except OSError:
        # Built without it, or kept from us by a filter of system calls.
        return of_tables(Path("/proc/self/net"))


def of_tables(directory: Path) -> tuple[Listener, ...]:
    """List the sockets that the files of a directory like /proc/net tell of, sorted. Raises RootlessError."""
    return _sorted({one for table in _TABLES for one in _proc(table, directory)})


def of_process(directory: int, visitor: Visitor | None = None) -> tuple[Listener, ...]:
    """List the sockets of the namespace that a process lives in, sorted; `directory` is open on its directory in /proc.

    A visitor asks for them inside; its owner may also read them from outside. Raises RootlessError.
    """
    if visitor is not None:
        with suppress(OSError):
            return _diagnosed(visitor.ask(directory))
    return of_tables(Path(f"/proc/self/fd/{directory}/net"))


def _sorted(found: set[Listener]) -> tuple[Listener, ...]:
    return tuple(sorted(found, key=lambda one: (one.proto, one.port, one.address, one.uid, one.inode or 0)))


def _diagnosed(messages: bytes) -> tuple[Listener, ...]:
    protos = {table.kind: table.proto for table in _TABLES}
    # An unconnected UDP socket without a port of its own is bound to nothing yet.
    found = (one for one in diagnosis.rows(messages) if one.port and not one.peer)
    return _sorted({Listener(protos[one.kind], _text(one.address), one.port, one.uid, one.inode) for one in found})


def _proc(table: _Table, proc_net: Path) -> set[Listener]:
    path = proc_net / table.file
    wanted = b" %02X " % table.kind.state
    try:
        with path.open("rb") as file:
            # Most lines of a busy host are connections: only those with the state somewhere are looked at closer.
            head, *lines = file.read(LARGEST_TABLE).split(b"\n")
        head.index(b"local_address")
        return {one for line in lines if wanted in line and (one := _proc_listener(table, line.split())) is not None}
    except FileNotFoundError:
        # A kernel without IPv6 has no tcp6; one without /proc/net/tcp tells nothing at all.
        if table.kind.family is socket.AF_INET6:
            return set()
        raise RootlessError(f"cannot list the sockets: there is no {path}") from None
    except ProcessLookupError:
        raise RootlessError("cannot list the sockets: the process has ended") from None
    except (OSError, ValueError, IndexError) as error:
        raise RootlessError(f"cannot list the sockets: {path} is no table of sockets ({error})") from error


def _proc_listener(table: _Table, words: list[bytes]) -> Listener | None:
    # `sl local_address rem_address st … uid timeout inode` (proc_net_tcp, Linux 6.12).
    address, _, port = words[1].partition(b":")
    if int(words[3], 16) != table.kind.state or not int(port, 16) or int(words[2].rpartition(b":")[2], 16):
        return None
    return Listener(table.proto, _address(address), int(port, 16), int(words[7]), int(words[9]))


@functools.lru_cache(maxsize=1024)
def _address(digits: bytes) -> str:
    # Words of 32 bits in the machine's own byte order.
    return _text(b"".join(int(digits[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(digits), 8)))


@functools.lru_cache(maxsize=1024)
def _text(packed: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def unprivileged_from(path: Path = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")) -> int:
    """Give the first port that a user may listen at: 1024, unless an administrator says otherwise (ip-sysctl, Linux 4.11)."""
    try:
        return int(path.read_bytes())
    except (OSError, ValueError):
        return 1024


def open_process(pid: int) -> int:
    """Open the directory of a process in /proc, and give the descriptor; whatever is read below it is of this very process.

    Raises RootlessError.
    """
    try:
        return os.open(f"/proc/{pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise RootlessError(f"cannot look at process {pid}: {(error.strerror or str(error)).lower()}") from error
