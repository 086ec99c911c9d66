"""The addresses of this host and their interfaces.

IPv4 addresses come from SIOCGIFCONF (netdevice(7)), which all kernels have, and IPv6 addresses from
/proc/net/if_inet6. Both take a millisecond together, while a netlink library takes 500 ms to
import.
"""

from __future__ import annotations

import array
import fcntl
import socket
import struct
from pathlib import Path

from k3s_rootless.errors import RootlessError
from k3s_rootless.linux.facts import Address

_SIOCGIFCONF = 0x8912
_ENTRY = 16 + max(16, 8 + 2 * struct.calcsize("L"))
"""Size of `struct ifreq` in bytes: the name, and a union.

The largest member of the union is `struct ifmap` (two longs, a short, three bytes).
"""
_MOST = 4096
_TENTATIVE_OR_FAILED = 0x40 | 0x08
"""IFA_F_TENTATIVE and IFA_F_DADFAILED (linux/if_addr.h): such an address is not reachable."""


def addresses(if_inet6: Path = Path("/proc/self/net/if_inet6")) -> tuple[Address, ...]:
    """List the addresses of all interfaces that are up; loopback addresses come last.

    Raises RootlessError.
    """
    try:
        found = {*_ipv4(), *_ipv6(if_inet6)}
    except OSError as error:
        raise RootlessError(
            f"cannot list the addresses of this host: {(error.strerror or str(error)).lower()}"
        ) from error
    return tuple(
        sorted(found, key=lambda one: (one.loopback, ":" in one.text, one.interface, one.text))
    )


def _ipv4() -> list[Address]:
    room = array.array("B", bytes(_ENTRY * _MOST))
    place, length = room.buffer_info()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
        answer = fcntl.ioctl(query, _SIOCGIFCONF, struct.pack("iP", length, place))
    filled = struct.unpack("iP", answer)[0]
    raw = room.tobytes()
    found = []
    for at in range(0, filled, _ENTRY):
        name = raw[at : at + 16].partition(b"\0")[0].decode("utf-8", "replace")
        found.append(_address(raw[at + 20 : at + 24], name.partition(":")[0]))
    return found


def all_ipv6(if_inet6: Path) -> tuple[str, ...]:
    """List the IPv6 addresses of all interfaces, including those that are not reachable.

    An address has no interface appended. Raises OSError, and ValueError if the file is not a list
    of addresses.
    """
    return tuple(socket.inet_ntop(socket.AF_INET6, packed) for packed, _, _ in _rows(if_inet6))


def _ipv6(path: Path) -> list[Address]:
    return [
        _address(packed, interface)
        for packed, flags, interface in _rows(path)
        if not flags & _TENTATIVE_OR_FAILED
    ]


def _rows(path: Path) -> list[tuple[bytes, int, str]]:
    """Return address, flags and interface of each line; none on a kernel without IPv6."""
    try:
        lines = path.read_bytes().decode("ascii").splitlines()
    except FileNotFoundError:
        return []
    # `address index prefix scope flags name`; all fields except the name are hexadecimal (Linux
    # net/ipv6/addrconf.c).
    rows = (fields for line in lines if len(fields := line.split()) == 6)
    return [(bytes.fromhex(row[0]), int(row[4], 16), row[5]) for row in rows]


def _address(packed: bytes, interface: str) -> Address:
    if len(packed) == 4:
        return Address(
            socket.inet_ntop(socket.AF_INET, packed), interface, loopback=packed[0] == 127
        )
    text = socket.inet_ntop(socket.AF_INET6, packed)
    # fe80::/10, link-local: such an address is meaningless without its interface.
    local = packed[0] == 0xFE and packed[1] & 0xC0 == 0x80
    return Address(f"{text}%{interface}" if local else text, interface, loopback=text == "::1")
