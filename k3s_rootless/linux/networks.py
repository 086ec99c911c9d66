"""The IPv4 networks that this host uses: what a network of one's own must not cover.

The main table alone has interfaces, so routes of other tables, as some VPNs make them, are not
seen; the addresses of their interfaces are.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path

from k3s_rootless.errors import RootlessError
from k3s_rootless.linux import routes

_HALF = 1
"""Prefix of the two halves of the Internet, into which some VPNs split their default route."""


def networks(directory: Path = Path("/proc/self/net")) -> dict[str, str]:
    """Return each network with a route of its own, and each address of this host that is in none of
    them, with its interface.

    The interface of an address without a network is not known, and empty. The default route is left
    out. Raises RootlessError.
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
