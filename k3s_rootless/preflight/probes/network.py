"""Probes of the addresses, routes, MTU and resolver of the host.

`linux.routes` reads IPv4. IPv6 is read from /proc/net/ipv6_route, which has routes and interfaces.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path

from k3s_rootless.linux import routes
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.preflight.probes import files
from k3s_rootless.preflight.records import Network, Resolver

_TYPES = frozenset({"UNICAST", "LOCAL"})
_LARGEST = 4 * 1024 * 1024


def network(root: Path) -> Observed[Network]:
    """Return the networks that the host has addresses in or routes to.

    Default routes and loopback are left out.
    """
    net = root / "proc/net"
    try:
        tries = [one.network for one in routes.all_tables(net) if one.type in _TYPES]
        table = routes.main_table(net)
    except (OSError, ValueError, IndexError) as error:
        return Unknown(f"the routes in {net} cannot be read: {error}")
    found = dict.fromkeys(tries, "")
    found |= {one.network: one.interface for one in table if one.network in found}
    found |= _six(root / "proc/net/ipv6_route")
    interface = ""
    mtu = None
    defaults = sorted((one.metric, one.interface) for one in table if one.network == "0.0.0.0/0")
    if defaults:
        interface = defaults[0][1]
    if interface:
        mtu = _number(root / "sys/class/net" / interface / "mtu")
    networks = tuple(
        (network, name) for network, name in found.items() if not _is_irrelevant(network)
    )
    return Known(Network(networks, mtu, interface), str(net / "fib_trie"))


def _read(path: Path) -> list[str]:
    with path.open("rb") as file:
        return file.read(_LARGEST).decode("ascii", "replace").splitlines()


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


def _is_irrelevant(network: str) -> bool:
    # Loopback, multicast and link-local networks are the same on all hosts. A default route
    # overlaps with every network.
    return network.endswith("/0") or network.startswith(("127.", "fe80:", "ff", "169.254.", "224."))


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return None


def resolver(root: Path) -> Observed[Resolver]:
    """Read the name servers and search domains, and whether /etc/hosts contains localhost."""
    servers: list[str] = []
    domains: tuple[str, ...] = ()
    for words in (line.split() for line in files.text(root / "etc/resolv.conf").splitlines()):
        if words[:1] == ["nameserver"] and len(words) > 1:
            servers.append(words[1])
        elif words[:1] in (["search"], ["domain"]):
            domains = tuple(words[1:])
    local = any(
        "localhost" in line.partition("#")[0].split()[1:]
        for line in files.text(root / "etc/hosts").splitlines()
    )
    return Known(Resolver(tuple(servers), domains, local), str(root / "etc/resolv.conf"))
