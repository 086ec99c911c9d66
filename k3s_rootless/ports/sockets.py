"""The sockets of this host that take what arrives: TCP that listens and UDP that is bound, IPv4 and IPv6.

Read through the kernel's socket diagnosis (sock_diag(7)); pyroute2, whose only importer this is, costs more than 100 ms to
import. It hides the kernel's errors (`MarshalDiag.error_type`, 0.7 to 0.9), so that "refused" looks like "none": each empty
table is looked up in /proc/net as well, which tells the same.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from k3s_rootless.errors import RootlessError
from k3s_rootless.ports.facts import Listener

_LISTEN = 10
_UDP_BOUND = 7
"""States of the kernel (include/net/tcp_states.h): TCP_LISTEN, and TCP_CLOSE, where UDP sockets stay that have no peer."""


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


def listeners(timeout: float = 5.0, *, proc_net: Path = Path("/proc/self/net")) -> tuple[Listener, ...]:
    """List the sockets, sorted; an address that is wild reads `0.0.0.0` or `::`.

    The kernel's diagnosis has `timeout` seconds, none where that is 0. Raises RootlessError when /proc/net, which stands in for
    it, cannot be read either. It may be called while an event loop runs.
    """
    answers = _diagnosis(timeout) if timeout > 0 else {}
    found: set[Listener] = set()
    for table in _TABLES:
        found.update(answers.get(table.file) or _proc(table, proc_net))
    return tuple(sorted(found, key=lambda one: (one.proto, one.port, one.address, one.uid, one.inode or 0)))


def _diagnosis(timeout: float) -> dict[str, set[Listener]]:
    # In a thread of its own, since pyroute2 0.9 runs an event loop of its own and refuses to where one is running already.
    answers: dict[str, set[Listener]] = {}
    thread = threading.Thread(target=_ask_kernel, args=(answers,), daemon=True)
    thread.start()
    thread.join(timeout)
    return dict(answers)


def _ask_kernel(answers: dict[str, set[Listener]]) -> None:
    try:
        from pyroute2 import DiagSocket

        with DiagSocket() as kernel:
            for table in _TABLES:
                rows = kernel.get_sock_stats(family=table.family, protocol=table.number, states=1 << table.state)
                answers[table.file] = {listener for row in rows if (listener := _listener(table, row)) is not None}
    except Exception:  # noqa: BLE001, S110 (whatever a version of pyroute2 raises, /proc/net is asked next)
        pass


def _listener(table: _Table, row: Any) -> Listener | None:  # noqa: ANN401 (pyroute2 has no types)
    port = row["idiag_sport"]
    # An unconnected UDP socket without a port of its own is bound to nothing yet.
    if not port or row["idiag_dport"]:
        return None
    return Listener(table.proto, str(ipaddress.ip_address(row["idiag_src"])), port, row["idiag_uid"], row["idiag_inode"])


def _proc(table: _Table, proc_net: Path) -> set[Listener]:
    path = proc_net / table.file
    try:
        lines = path.read_text("ascii").splitlines()[1:]
        return {listener for line in lines if (listener := _proc_listener(table, line.split())) is not None}
    except FileNotFoundError:
        # A kernel without IPv6 has no tcp6; one without /proc/net/tcp tells nothing at all.
        if table.family is socket.AF_INET6:
            return set()
        raise RootlessError(f"cannot list the host's sockets: there is no {path}") from None
    except (OSError, ValueError, IndexError) as error:
        raise RootlessError(f"cannot list the host's sockets: {path} is no table of sockets ({error})") from error


def _proc_listener(table: _Table, words: list[str]) -> Listener | None:
    # `sl local_address rem_address st … uid timeout inode` (proc_net_tcp, Linux 6.12); addresses are words of 32 bits in the
    # machine's own byte order.
    address, _, port = words[1].partition(":")
    if int(words[3], 16) != table.state or not int(port, 16) or int(words[2].rpartition(":")[2], 16):
        return None
    packed = b"".join(int(address[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(address), 8))
    return Listener(table.proto, str(ipaddress.ip_address(packed)), int(port, 16), int(words[7]), int(words[9]))
