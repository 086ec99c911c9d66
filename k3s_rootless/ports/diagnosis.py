"""The kernel's own list of the sockets of a network namespace, by its socket diagnosis (sock_diag(7), linux/inet_diag.h).

In some lines of its protocol rather than with pyroute2, which speaks it as well: that takes 160 to 500 ms to load, more than
`ports` does in all, and hides the kernel's errors (`MarshalDiag.error_type`, 0.7 to 0.9), so that "refused" looks like "none".
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence

from k3s_rootless.record import dataclass

SECONDS = 2.0
_SOCK_DIAG = 4
"""NETLINK_SOCK_DIAG (linux/netlink.h)."""
_BY_FAMILY = 20
_REQUEST_DUMP = 0x301
_ERROR, _DONE = 2, 3
_ROOM = 256 * 1024
_REQUEST = struct.Struct("=IHHIIBBBxI48x")
"""struct nlmsghdr, and struct inet_diag_req_v2 with an identity that is all zero."""
_HEADER = struct.Struct("=IHHII")
_CODE = struct.Struct("=i")
_PORTS = struct.Struct(">4xHH")
_OWNER = struct.Struct("=64xII")
_SOURCE = 8
_SMALLEST = 72
"""Bytes of struct inet_diag_msg, in which ports, source and owner lie."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of sockets: IPv4 or IPv6, the number of its protocol, and its state (include/net/tcp_states.h)."""

    family: socket.AddressFamily
    protocol: int
    state: int


_LISTEN, _UNCONNECTED = 10, 7
"""States of the kernel: TCP_LISTEN, and TCP_CLOSE, where UDP sockets stay that have no peer."""
KINDS = (
    Kind(socket.AF_INET, socket.IPPROTO_TCP, _LISTEN),
    Kind(socket.AF_INET6, socket.IPPROTO_TCP, _LISTEN),
    Kind(socket.AF_INET, socket.IPPROTO_UDP, _UNCONNECTED),
    Kind(socket.AF_INET6, socket.IPPROTO_UDP, _UNCONNECTED),
)
"""What takes whatever arrives."""


@dataclass(frozen=True, slots=True)
class Row:
    """One socket: its address as bytes, its port, that of its peer (0 for none), its owner and inode."""

    kind: Kind
    address: bytes
    port: int
    peer: int
    uid: int
    inode: int


def ask(kinds: Iterable[Kind] = KINDS) -> bytes:
    """Ask for the sockets of these kinds, whoever owns them, and give the kernel's messages for `rows`. Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _SOCK_DIAG) as kernel:
        kernel.settimeout(SECONDS)
        return b"".join(part for kind in kinds for part in _parts(kernel, kind))


def rows(messages: bytes, kinds: Sequence[Kind] = KINDS) -> Iterator[Row]:
    """Read what `ask` gave for these kinds."""
    left = iter(kinds)
    kind = next(left, None)
    for what, message in _messages(memoryview(messages)):
        if what == _DONE:
            kind = next(left, None)
        elif kind is not None and len(message) >= _SMALLEST:
            length = 4 if kind.family is socket.AF_INET else 16
            address = bytes(message[_SOURCE : _SOURCE + length])
            yield Row(kind, address, *_PORTS.unpack_from(message), *_OWNER.unpack_from(message))


def _parts(kernel: socket.socket, kind: Kind) -> Iterator[bytes]:
    asked = (_BY_FAMILY, _REQUEST_DUMP, 1, 0, kind.family, kind.protocol, 0, 1 << kind.state)
    kernel.send(_REQUEST.pack(_REQUEST.size, *asked))
    over = False
    while not over:
        part = kernel.recv(_ROOM)
        for what, message in _messages(memoryview(part)):
            over = over or what in {_DONE, _ERROR}
            if over and (code := _CODE.unpack_from(message)[0]):
                raise OSError(-code, os.strerror(-code))
        yield part


def _messages(part: memoryview) -> Iterator[tuple[int, memoryview]]:
    while len(part) >= _HEADER.size:
        size, what, *_ = _HEADER.unpack_from(part)
        size = max(size, _HEADER.size)
        yield what, part[_HEADER.size : size]
        part = part[(size + 3) & ~3 :]
