"""What Linux says about its networks: frozen records."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_SOCKET_PATH = 107
"""Bytes of a unix socket's path: 108 in `struct sockaddr_un` (unix(7)), with the NUL at its end."""


@dataclass(frozen=True, slots=True)
class Listener:
    """One socket that takes what arrives at a port; `uid` owns it, `proto` is tcp or udp.

    A socket of the child belongs to uids as its user namespace maps them, so there `uid` says
    little.
    """

    proto: str
    address: str
    port: int
    uid: int
    inode: int | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """An address of this host: `interface` is empty where that is not known; `loopback` is nobody
    else's to reach.
    """

    text: str
    interface: str
    loopback: bool
