"""Frozen records of network facts that the kernel reports."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_SOCKET_PATH = 107
"""Bytes of a unix socket's path: 108 in `struct sockaddr_un` (unix(7)), with the final NUL."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that accepts connections or datagrams at a port.

    `uid` is its owner, `proto` is tcp or udp. In the child namespace, `uid` is mapped by the user
    namespace, and so identifies no user.
    """

    proto: str
    address: str
    port: int
    uid: int
    inode: int | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """An address of this host.

    `interface` is empty if it is unknown. A `loopback` address is reachable from this host only.
    """

    text: str
    interface: str
    loopback: bool
