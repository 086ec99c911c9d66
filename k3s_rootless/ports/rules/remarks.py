"""The remarks below a table of ports: the reasons of rows, and what a new user must know."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from k3s_rootless.linux.facts import Address
from k3s_rootless.observation import Observed, Unknown
from k3s_rootless.ports.facts import Exposure, Kind, Status

_SOURCES = {
    "rootlesskit": "forwards",
    "services": "Services",
    "sockets": "sockets of the host",
    "child": "sockets of K3s's namespace",
    "pods": "hostPorts of Pods",
    "addresses": "addresses of this host",
    "unit": "ports",
}
_OFFSET = "K3s adds 10000 to ports up to and including 1024"
_EXPOSED = (
    "\nwarning: forwards marked * listen on all interfaces, so the API server and these Services"
    " are reachable from the network."
)


def of_row(row: Exposure) -> str:
    """Return the line about one row; empty if the table shows everything."""
    if row.status is Status.NOT_FORWARDED and row.target:
        return f"{row.target}/{row.proto}: {row.reason}"
    if row.reason:
        return f"{row.parent_port}/{row.proto}: {row.reason}"
    if row.conflicts_with:
        targets = ", ".join(row.conflicts_with)
        return f"{row.parent_port}/{row.proto}: this port of the host is also needed by {targets}"
    return ""


def of_table(rows: Sequence[Exposure]) -> tuple[str, ...]:
    """Return what the columns of these rows mean."""
    found = []
    if any(row.offset for row in rows):
        found.append(f"{_OFFSET}: port 80 of a Service is port 10080 of this host.")
    if any(row.url_guess and row.is_reachable for row in rows):
        found.append("http and https in URLs are guessed from the names and numbers of ports.")
    if any(row.status is Status.FORWARDED for row in rows):
        found.append(
            "`forwarded`: no listening socket was found in K3s's namespace, which is usual for"
            " K3s's load balancer; test the connection with --probe"
        )
    return tuple(found)


def of_node_ports(count: int) -> tuple[str, ...]:
    """Return the line about NodePort Services, which the table leaves out; none if there are none.

    On a K3s of root, each nodePort is a port of the host.
    """
    if not count:
        return ()
    services = "1 NodePort Service has"
    if count > 1:
        services = f"{count} NodePort Services have"
    reason = "K3s forwards LoadBalancer Services only"
    return (f"{services} no port on this host: {reason}; list all with: k3s-rootless ports --all",)


def of_exposed(addresses: Observed[tuple[Address, ...]]) -> tuple[str, ...]:
    """Return the paragraph about forwards that the network can reach, with their addresses."""
    if isinstance(addresses, Unknown):
        return (_EXPOSED,)
    outside = [f"{one.text} ({one.interface})" for one in addresses.value if not one.loopback]
    if not outside:
        return (_EXPOSED, "At the moment this host has only loopback addresses.")
    return (_EXPOSED, f"Addresses of this host: {', '.join(outside)}")


def of_unread(unread: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return a line for each source that could not be read, by its name and the reason."""
    return tuple(f"{_SOURCES.get(name, name)} unknown: {reason}" for name, reason in unread)


def of_plan(rows: Sequence[Exposure]) -> tuple[str, ...]:
    """Return what the rows of a plan mean; the sentence about the offset starts a paragraph."""
    found = []
    if any(row.offset and row.status is not Status.NOT_FORWARDED for row in rows):
        found.append(f"\n{_OFFSET}.")
    if any(row.kind is Kind.SERVICE_PORT and row.status is Status.FORWARDED for row in rows):
        found.append(
            "Forwards listen on all interfaces, so these ports are reachable from the network. If a"
            " manifest sets no nodePort, K3s chooses one."
        )
    return tuple(found)
