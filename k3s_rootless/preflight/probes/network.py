"""Reads addresses, routes, MTU and resolver of the host.

/proc/net/fib_trie lists the IPv4 routes of all tables, those of VPNs with tables of their own
included, and all addresses; /proc/net/route adds the interfaces, /proc/net/ipv6_route is both for
IPv6. Together they take under a millisecond for a usual host, where the import of a netlink library
takes 500.
"""

from __future__ import annotations

import ipaddress
import sys
from pathlib import Path

from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.preflight.records import Network, Resolver

_KINDS = frozenset({"UNICAST", "LOCAL"})
_LARGEST = 4 * 1024 * 1024


def network(root: Path) -> Observed[Network]:
    """List the networks that the host has addresses in or routes to, without default routes and
    loopback.
    """
    trie = root / "proc/net/fib_trie"
    try:
        found = dict.fromkeys(_trie(_read(trie)), "")
        routes = _routes(_read(root / "proc/net/route"))
    except (OSError, ValueError, IndexError) as error:
        return Unknown(f"the routes of {trie.parent} cannot be read: {error}")
    found |= {network: name for network, name, _ in routes if network in found}
    found |= _six(root / "proc/net/ipv6_route")
    ways = sorted((metric, name) for network, name, metric in routes if network == "0.0.0.0/0")
    interface = ways[0][1] if ways else ""
    mtu = _number(root / "sys/class/net" / interface / "mtu") if interface else None
    networks = tuple(
        (network, name) for network, name in found.items() if not _of_no_interest(network)
    )
    return Known(Network(networks, mtu, interface), str(trie))


def _read(path: Path) -> list[str]:
    with path.open("rb") as file:
        return file.read(_LARGEST).decode("ascii", "replace").splitlines()


def _trie(lines: list[str]) -> list[str]:
    # `|-- 10.8.0.0`, and below it a line for each prefix length: `/24 link UNICAST` (Linux
    # net/ipv4/fib_trie.c).
    found, address = [], ""
    for words in (line.split() for line in lines):
        if words[:1] == ["|--"]:
            address = words[1]
        elif len(words) == 3 and words[0].startswith("/") and words[2] in _KINDS:
            found.append(f"{address}{words[0]}")
    return found


def _routes(lines: list[str]) -> list[tuple[str, str, int]]:
    # `Iface Destination Gateway Flags RefCnt Use Metric Mask …`, addresses in the machine's own
    # byte order.
    found = []
    for words in (line.split() for line in lines[1:]):
        address, mask = (
            ipaddress.IPv4Address(int(words[at], 16).to_bytes(4, sys.byteorder)) for at in (1, 7)
        )
        found.append((f"{address}/{int(mask).bit_count()}", words[0], int(words[6])))
    return found


def _six(path: Path) -> dict[str, str]:
    try:
        rows = [line.split() for line in _read(path)]
        return {
            f"{ipaddress.IPv6Address(int(row[0], 16))}/{int(row[1], 16)}": row[9]
            for row in rows
            if row[9] != "lo"
        }
    except (OSError, ValueError, IndexError):
        return {}


def _of_no_interest(network: str) -> bool:
    # Loopback, multicast and link-local networks are the same everywhere; a default route overlaps
    # with everything.
    return network.endswith("/0") or network.startswith(("127.", "fe80:", "ff", "169.254.", "224."))


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return None


def resolver(root: Path) -> Observed[Resolver]:
    """Read name servers and search domains, and whether /etc/hosts knows localhost."""
    servers: list[str] = []
    domains: tuple[str, ...] = ()
    for words in (line.split() for line in _lines(root / "etc/resolv.conf")):
        if words[:1] == ["nameserver"] and len(words) > 1:
            servers.append(words[1])
        elif words[:1] in (["search"], ["domain"]):
            domains = tuple(words[1:])
    local = any(
        "localhost" in line.partition("#")[0].split()[1:] for line in _lines(root / "etc/hosts")
    )
    return Known(Resolver(tuple(servers), domains, local), str(root / "etc/resolv.conf"))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8", "replace")[:_LARGEST].splitlines()
    except OSError:
        return []
