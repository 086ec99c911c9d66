"""The IPv4 networks that this host uses: what a network of one's own must not cover.

/proc/net/route holds the main table alone, so routes of other tables, as some VPNs make them, are
not seen; the addresses of their interfaces are, since /proc/net/fib_trie holds all addresses of the
host (Linux net/ipv4/fib_trie.c).
"""

from __future__ import annotations

import ipaddress
import re
import socket
import struct
from pathlib import Path

from k3s_rootless.errors import RootlessError

_UP, _REJECT = 0x0001, 0x0200
"""RTF_UP and RTF_REJECT (linux/route.h)."""
_HALF = 1
"""Prefix of the two halves of the Internet, into which some VPNs split their default route."""
_LOCAL = re.compile(r"\|-- (?P<address>[\d.]+)\n +/32 host LOCAL")


def networks(directory: Path = Path("/proc/self/net")) -> dict[str, str]:
    """Give each network with a route of its own, and each address of this host that lies in none of
    them, with its interface.

    The interface of a mere address is not known, and empty. The default route is left out. Raises
    RootlessError.
    """
    try:
        lines = (directory / "route").read_text("ascii").splitlines()[1:]
        local = _LOCAL.findall((directory / "fib_trie").read_text("ascii"))
    except OSError as error:
        raise RootlessError(
            f"cannot list the networks of this host: {(error.strerror or str(error)).lower()}"
        ) from error
    # `interface destination gateway flags refcnt use metric mask mtu window irtt`; addresses in the
    # order of the network.
    rows = (words for line in lines if len(words := line.split()) >= 8)
    routes = [
        (_network(row[1], row[7]), row[0])
        for row in rows
        if int(row[3], 16) & (_UP | _REJECT) == _UP
    ]
    found = {network: interface for network, interface in routes if network.prefixlen > _HALF}
    addresses = (ipaddress.IPv4Network(address) for address in dict.fromkeys(local))
    apart = [one for one in addresses if not any(one.subnet_of(network) for network in found)]
    return {
        str(network): interface
        for network, interface in (*found.items(), *((one, "") for one in apart))
    }


def _network(destination: str, mask: str) -> ipaddress.IPv4Network:
    address, bits = (
        socket.inet_ntoa(struct.pack("=I", int(word, 16))) for word in (destination, mask)
    )
    return ipaddress.IPv4Network(f"{address}/{bits}", strict=False)
