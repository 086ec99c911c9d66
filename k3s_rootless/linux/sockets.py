"""The listening TCP sockets and bound UDP sockets of a network namespace, IPv4 and IPv6.

There are two sources. /proc/net takes a millisecond, and more with each connection, because it
lists connections too. The kernel's socket diagnosis (sock_diag(7)) returns only listening sockets,
but pyroute2, which implements it and is imported only here, takes about 500 ms to import. Therefore
the kernel is queried only if there are so many connections that /proc/net would be slower. If the
kernel does not answer, /proc/net is read as well: pyroute2 hides the kernel's errors
(`MarshalDiag.error_type`, 0.7 to 0.9), so that "refused" looks like "none".
"""

from __future__ import annotations

import functools
import ipaddress
import socket
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from k3s_rootless.errors import RootlessError
from k3s_rootless.linux.facts import Listener

CROWDED = 150_000
"""Number of connections from which the kernel is queried.

/proc/net takes about 3 us for each line (docs/explanation/ports.md).
"""
LARGEST_TABLE = 64 * 1024 * 1024
"""Bytes; about 400,000 lines of /proc/net/tcp."""
_LISTEN = 10
_UDP_BOUND = 7
"""TCP_LISTEN, and TCP_CLOSE, the state of UDP sockets without a peer.

Kernel states from include/net/tcp_states.h.
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
    """List the sockets of this host, sorted; a wildcard address is `0.0.0.0` or `::`.

    The query of the kernel takes at most `timeout` seconds. Raises RootlessError if /proc/net,
    which replaces a failed query, cannot be read either. This function can be called while an event
    loop runs.
    """
    answers = _diagnosis(timeout) if _connections(proc_net) >= crowded else {}
    return _sorted(
        {one for table in _TABLES for one in answers.get(table.file) or _proc(table, proc_net)}
    )


def of_process(directory: int) -> tuple[Listener, ...]:
    """List the sockets of a process's network namespace, sorted.

    `directory` is a descriptor of its directory in /proc. The owner of the process can read that
    without entering the namespace, which would need a new process and two calls of setns(2). Raises
    RootlessError.
    """
    net = Path(f"/proc/self/fd/{directory}/net")
    return _sorted({one for table in _TABLES for one in _proc(table, net)})


def _sorted(found: set[Listener]) -> tuple[Listener, ...]:
    return tuple(
        sorted(found, key=lambda one: (one.proto, one.port, one.address, one.uid, one.inode or 0))
    )


def _connections(proc_net: Path) -> int:
    # `TCP: inuse 5 orphan 0 tw 2 alloc 7 mem 1` (Linux net/ipv4/proc.c). `tw` sockets are in the
    # table as well, but `inuse` does not include them. `inuse` includes listening sockets, but even
    # 20,000 of them are read faster from /proc/net.
    count = 0
    for name in ("sockstat", "sockstat6"):
        try:
            lines = (proc_net / name).read_text("ascii").splitlines()
        except (OSError, ValueError):
            continue
        for fields in (line.split() for line in lines if line.startswith("TCP")):
            values = dict(zip(fields[1::2], fields[2::2], strict=False))
            count += sum(
                int(values[key]) for key in ("inuse", "tw") if values.get(key, "").isdecimal()
            )
    return count


def _diagnosis(timeout: float) -> dict[str, set[Listener]]:
    # In a separate thread, because pyroute2 0.9 runs its own event loop, and refuses to do so where
    # another event loop is running.
    answers: dict[str, set[Listener]] = {}
    thread = threading.Thread(target=_query_kernel, args=(answers,), daemon=True)
    thread.start()
    thread.join(timeout)
    return dict(answers)


def _query_kernel(answers: dict[str, set[Listener]]) -> None:
    try:
        # Imported here because it takes 200 ms: /proc/net is faster below 150,000 sockets.
        from pyroute2 import DiagSocket

        with DiagSocket() as kernel:
            for table in _TABLES:
                rows = kernel.get_sock_stats(
                    family=table.family, protocol=table.number, states=1 << table.state
                )
                answers[table.file] = {
                    listener for row in rows if (listener := _listener(table, row)) is not None
                }
    except Exception:  # noqa: BLE001, S110 (the caller then reads /proc/net)
        pass


def _listener(table: _Table, row: Any) -> Listener | None:  # noqa: ANN401 (pyroute2 has no types)
    port = row["idiag_sport"]
    # An unconnected UDP socket without a port is not bound yet.
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
    state = b" %02X " % table.state
    try:
        with path.open("rb") as file:
            # Most lines of a busy host are connections, so only lines that contain the state are
            # parsed.
            head, *lines = file.read(LARGEST_TABLE).split(b"\n")
        head.index(b"local_address")
        return {
            one
            for line in lines
            if state in line and (one := _proc_listener(table, line.split())) is not None
        }
    except FileNotFoundError:
        # A kernel without IPv6 has no tcp6; without /proc/net/tcp, there is no information at all.
        if table.family is socket.AF_INET6:
            return set()
        raise RootlessError(f"cannot list the sockets: {path} does not exist") from None
    except ProcessLookupError:
        raise RootlessError("cannot list the sockets: the process has ended") from None
    except (OSError, ValueError, IndexError) as error:
        raise RootlessError(
            f"cannot list the sockets: {path} is not a table of sockets ({error})"
        ) from error


def _proc_listener(table: _Table, fields: list[bytes]) -> Listener | None:
    # `sl local_address rem_address st … uid timeout inode` (proc_net_tcp, Linux 6.12).
    address, _, port = fields[1].partition(b":")
    if (
        int(fields[3], 16) != table.state
        or not int(port, 16)
        or int(fields[2].rpartition(b":")[2], 16)
    ):
        return None
    return Listener(table.proto, _address(address), int(port, 16), int(fields[7]), int(fields[9]))


@functools.lru_cache(maxsize=1024)
def _address(digits: bytes) -> str:
    # Words of 32 bits in the byte order of the machine.
    packed = b"".join(
        int(digits[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(digits), 8)
    )
    return str(ipaddress.ip_address(packed))


def unprivileged_from(path: Path = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")) -> int:
    """Return the lowest port on which a user can listen: 1024, unless an administrator changed it.

    Source: ip-sysctl, Linux 4.11.
    """
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return 1024
