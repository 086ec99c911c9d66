"""The IPv4 networks in use on this host, which a new private network must not overlap.

Only the main table lists interfaces. Therefore routes in other tables, which some VPNs create, are
ignored; the addresses of their interfaces are included.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path

from k3s_rootless.errors import RootlessError
from k3s_rootless.linux import routes

_HALF = 1
"""Prefix length of the two halves of the Internet, which some VPNs use as their default route."""


def networks(directory: Path = Path("/proc/self/net")) -> dict[str, str]:
    """Return each network with a route, and each host address outside of them, with its interface.

    The interface is empty for an address without a network, because it is unknown. The default
    route is excluded. Raises RootlessError.
    """
    try:
        table = routes.main_table(directory)
        local = routes.local_addresses(directory)
    except OSError as error:
        raise RootlessError(
            f"cannot list the networks of this host: {(error.strerror or str(error)).lower()}"
        ) from error
    leading = {_network(one.network): one.interface for one in table if one.leads}
    found = {network: name for network, name in leading.items() if network.prefixlen > _HALF}
    addresses = map(_network, local)
    apart = [one for one in addresses if not any(one.subnet_of(network) for network in found)]
    return {str(one): name for one, name in (found | dict.fromkeys(apart, "")).items()}


def _network(text: str) -> ipaddress.IPv4Network:
    return ipaddress.IPv4Network(text, strict=False)
