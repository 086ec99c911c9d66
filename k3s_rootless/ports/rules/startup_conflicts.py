"""Port conflicts before a start: ports of K3s that another process uses, and free ports instead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from k3s_rootless.k3s.features import child_to_parent_port
from k3s_rootless.k3s.settings import Settings
from k3s_rootless.linux.facts import Listener
from k3s_rootless.ports.facts import Holder

TRAEFIK = (80, 443)
"""The ports of the Service of traefik, which K3s deploys by default."""
_STEP = 100
_LAST = 65000
_INSIDE = frozenset({6444, 10248, 10249, 10250, 10256, 10257, 10258, 10259, 10010})
"""Ports that K3s uses in its own namespace.

Source: K3s's documentation, "Networking"; containerd's streams are 10010.
"""


def ports_in_use(
    settings: Settings, listeners: Iterable[Listener], *, traefik: bool
) -> Mapping[int, Listener]:
    """Return the host ports that K3s needs and that are in use, each with its socket."""
    used = {one.port: one for one in listeners if one.proto == "tcp"}
    return {port: used[port] for port in needed_ports(settings, traefik=traefik) if port in used}


def needed_ports(settings: Settings, *, traefik: bool) -> tuple[int, ...]:
    """Return the host ports that K3s itself needs.

    These are the port of its API, and the ports of traefik if servicelb serves it.
    """
    if not (traefik and settings.servicelb):
        return (settings.https_port,)
    return (settings.https_port, *map(child_to_parent_port, TRAEFIK))


def free_ports(
    ports: Sequence[int], listeners: Iterable[Listener], settings: Settings
) -> Mapping[int, int]:
    """Return a free port in place of each port, where there is one.

    The new port is free on the host, and K3s does not use it inside: the API has the same port in
    both namespaces.
    """
    busy = {one.port for one in listeners} | _INSIDE | set(needed_ports(settings, traefik=True))
    found: dict[int, int] = {}
    for port in ports:
        start = port
        if port != settings.https_port:
            start = port - child_to_parent_port(TRAEFIK[0]) + 8080
        # K3s also listens on the port after the port of the API (K3s pkg/cli/server/server.go).
        free = next((one for one in range(start, _LAST, _STEP) if not {one, one + 1} & busy), None)
        if free is not None:
            found[port] = free
            busy.add(free)
    return found


def owner(
    holder: Holder, others: Iterable[Holder], uid: int, described: Callable[[Holder, int], str]
) -> str:
    """Describe the owner of a port, and the K3s that this owner runs."""
    named = described(holder, uid)
    runs = next((one for one in others if one.uid == holder.uid and one.unit), None)
    if runs is None or runs.unit in named:
        return named
    return f"{named}; the same user runs K3s ({runs.unit}, PID {runs.pid})"
