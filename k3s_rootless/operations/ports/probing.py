"""Connect through the forwards of this host, for `ports --probe`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from k3s_rootless.ports.rules import exposure
from k3s_rootless.ports.rules.socket_index import LOOPBACK, WILD
from k3s_rootless.ports.sources import probe
from k3s_rootless.ports.sources.probe import Target

if TYPE_CHECKING:
    from k3s_rootless.ports.facts import Exposure, PortMap, Probe

_SCHEMES = frozenset({"http", "https", "udp"})


def probed(found: PortMap) -> PortMap:
    """Connect to each forward that is reachable on loopback, and return the updated rows."""
    targets: dict[Exposure, Target] = {}
    for row in found.rows:
        if is_on_loopback(row):
            targets[row] = target(row)
    if not targets:
        return found
    results = probe.probe(targets.values())
    rows = tuple(_after(row, targets, results) for row in found.rows)
    return replace(found, rows=rows)


def is_on_loopback(row: Exposure) -> bool:
    """Return whether a forward is reachable on loopback.

    A connection to another address of this host could be blocked by a firewall, or be logged.
    """
    return bool(row.forwarded) and row.parent_ip in {"", *LOOPBACK, *WILD}


def target(row: Exposure) -> Target:
    """Return the address, the port and the protocol for a connection to a row."""
    address = "127.0.0.1"
    if row.parent_ip == "::1" or row.listens_on == ("::1",):
        address = "::1"
    scheme = row.url.partition(":")[0]
    if scheme not in _SCHEMES:
        scheme = "tcp"
    return Target(address, row.parent_port, scheme)


def _after(
    row: Exposure, targets: Mapping[Exposure, Target], results: Mapping[Target, Probe]
) -> Exposure:
    if row not in targets:
        return row
    return exposure.with_probe(row, results[targets[row]])
