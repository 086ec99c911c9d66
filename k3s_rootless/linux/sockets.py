"""The sockets that take what arrives: TCP that listens and UDP that is bound, IPv4 and IPv6, of a
network namespace.

Two ways lead to them. /proc/net costs a millisecond, and more with each connection there is, since
it lists those too. The kernel's socket diagnosis (sock_diag(7)) gives the listening ones only;
pyroute2, which speaks it and whose only importer this is, takes about 500 ms to import. So the
kernel is asked where connections would make /proc/net the slower of the two, and where it does not
answer /proc/net is read after all: pyroute2 hides the kernel's errors (`MarshalDiag.error_type`,
0.7 to 0.9), so that "refused" looks like "none".
"""

from __future__ import annotations

import functools
import ipaddress
import os
import socket
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from k3s_rootless.errors import RootlessError
from k3s_rootless.linux.facts import Listener

CROWDED = 150_000
"""Connections from which on the kernel is asked: /proc/net takes some 3 us for each line
(docs/explanation/ports.md).
"""
LARGEST_TABLE = 64 * 1024 * 1024
"""Bytes; about 400,000 lines of /proc/net/tcp."""
_LISTEN = 10
_UDP_BOUND = 7
"""States of the kernel (include/net/tcp_states.h): TCP_LISTEN, and TCP_CLOSE, where UDP sockets
stay that have no peer.
"""


@dataclass(frozen=True, slots=True)
class _Table:
    family: socket.AddressFamily
    proto: str
    number: int
    state: int
    file: str


_TABLES = (
    _Table(socket.AF_INET, "tcp", socket.IPPROTO_TCP, _LISTEN, "tcp"),
    _Table(socket.AF_INET6, "tcp", socket.IPPROTO_TCP, _LISTEN, "tcp6"),
    _Table(socket.AF_INET, "udp", socket.IPPROTO_UDP, _UDP_BOUND, "udp"),
    _Table(socket.AF_INET6, "udp", socket.IPPROTO_UDP, _UDP_BOUND, "udp6"),
)


def listeners(
    timeout: float = 5.0, *, proc_net: Path = Path("/proc/self/net"), crowded: int = CROWDED
) -> tuple[Listener, ...]:
    """List the sockets of this host, sorted; an address that is wild reads `0.0.0.0` or `::`.

    The kernel's diagnosis has `timeout` seconds. Raises RootlessError when /proc/net, which stands
    in for it, cannot be read either. It may be called while an event loop runs.
    """
    answers = _diagnosis(timeout) if _connections(proc_net) >= crowded else {}
    return _sorted(
        {one for table in _TABLES for one in answers.get(table.file) or _proc(table, proc_net)}
    )


def of_process(directory: int) -> tuple[Listener, ...]:
    """List the sockets of the namespace that a process lives in, sorted; `directory` is open on its
    directory in /proc.

    Its owner may read that without entering the namespace, which takes a process of its own and two
    calls of setns(2) to do. Raises RootlessError.
    """
    net = Path(f"/proc/self/fd/{directory}/net")
    return _sorted({one for table in _TABLES for one in _proc(table, net)})


def _sorted(found: set[Listener]) -> tuple[Listener, ...]:
    return tuple(
        sorted(found, key=lambda one: (one.proto, one.port, one.address, one.uid, one.inode or 0))
    )


def _connections(proc_net: Path) -> int:
    # `TCP: inuse 5 orphan 0 tw 2 alloc 7 mem 1` (Linux net/ipv4/proc.c); `tw` waits in the table,
    # and is not in use. Listening sockets are in use as well, but 20,000 of them are still read
    # faster from /proc/net.
    count = 0
    for name in ("sockstat", "sockstat6"):
        try:
            lines = (proc_net / name).read_text("ascii").splitlines()
        except (OSError, ValueError):
            continue
        for words in (line.split() for line in lines if line.startswith("TCP")):
            values = dict(zip(words[1::2], words[2::2], strict=False))
            count += sum(
                int(values[key]) for key in ("inuse", "tw") if values.get(key, "").isdecimal()
            )
    return count


def _diagnosis(timeout: float) -> dict[str, set[Listener]]:
    # In a thread of its own, since pyroute2 0.9 runs an event loop of its own and refuses to where
    # one is running already.
    answers: dict[str, set[Listener]] = {}
    thread = threading.Thread(target=_ask_kernel, args=(answers,), daemon=True)
    thread.start()
    thread.join(timeout)
    return dict(answers)


def _ask_kernel(answers: dict[str, set[Listener]]) -> None:
    try:
        # Here, since it takes 200 ms: /proc/net is faster below 150,000 sockets.
        from pyroute2 import DiagSocket

        with DiagSocket() as kernel:
            for table in _TABLES:
                rows = kernel.get_sock_stats(
                    family=table.family, protocol=table.number, states=1 << table.state
                )
                answers[table.file] = {
                    listener for row in rows if (listener := _listener(table, row)) is not None
                }
    except Exception:  # noqa: BLE001, S110 (/proc/net is read next)
        pass


def _listener(table: _Table, row: Any) -> Listener | None:  # noqa: ANN401 (pyroute2 has no types)
    port = row["idiag_sport"]
    # An unconnected UDP socket without a port of its own is bound to nothing yet.
    if not port or row["idiag_dport"]:
        return None
    return Listener(
        table.proto,
        str(ipaddress.ip_address(row["idiag_src"])),
        port,
        row["idiag_uid"],
        row["idiag_inode"],
    )


def _proc(table: _Table, proc_net: Path) -> set[Listener]:
    path = proc_net / table.file
    wanted = b" %02X " % table.state
    try:
        with path.open("rb") as file:
            # Most lines of a busy host are connections: only those with the state somewhere are
            # looked at closer.
            head, *lines = file.read(LARGEST_TABLE).split(b"\n")
        head.index(b"local_address")
        return {
            one
            for line in lines
            if wanted in line and (one := _proc_listener(table, line.split())) is not None
        }
    except FileNotFoundError:
        # A kernel without IPv6 has no tcp6; one without /proc/net/tcp tells nothing at all.
        if table.family is socket.AF_INET6:
            return set()
        raise RootlessError(f"cannot list the sockets: there is no {path}") from None
    except ProcessLookupError:
        raise RootlessError("cannot list the sockets: the process has ended") from None
    except (OSError, ValueError, IndexError) as error:
        raise RootlessError(
            f"cannot list the sockets: {path} is no table of sockets ({error})"
        ) from error


def _proc_listener(table: _Table, words: list[bytes]) -> Listener | None:
    # `sl local_address rem_address st … uid timeout inode` (proc_net_tcp, Linux 6.12).
    address, _, port = words[1].partition(b":")
    if (
        int(words[3], 16) != table.state
        or not int(port, 16)
        or int(words[2].rpartition(b":")[2], 16)
    ):
        return None
    return Listener(table.proto, _address(address), int(port, 16), int(words[7]), int(words[9]))


@functools.lru_cache(maxsize=1024)
def _address(digits: bytes) -> str:
    # Words of 32 bits in the machine's own byte order.
    packed = b"".join(
        int(digits[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(digits), 8)
    )
    return str(ipaddress.ip_address(packed))


def unprivileged_from(path: Path = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")) -> int:
    """Give the first port that a user may listen at: 1024, unless an administrator says otherwise
    (ip-sysctl, Linux 4.11).
    """
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return 1024


def open_process(pid: int) -> int:
    """Open the directory of a process in /proc, and give the descriptor; whatever is read below it
    is of this very process.

    Raises RootlessError.
    """
    try:
        return os.open(f"/proc/{pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise RootlessError(
            f"cannot look at process {pid}: {(error.strerror or str(error)).lower()}"
        ) from error
