"""The sentences about a row: the reason for its status, and what its numbers mean."""

from __future__ import annotations

from k3s_rootless.ports.facts import Holder, Kind, Status
from k3s_rootless.ports.rules.expected import ExpectedForward
from k3s_rootless.ports.rules.socket_index import WILD

UNCERTAIN = "the release of K3s is not known, and older releases do not forward this port"


def described(holder: Holder, uid: int) -> str:
    """Describe the owner of a port: program, PID, unit, user and address, as far as known.

    `uid` is that of K3s. The text follows "in use by".
    """
    name, details = _named(holder, uid)
    if holder.address not in {"", *WILD}:
        details.append(f"listening on {holder.address}")
    if not details:
        return name
    return f"{name} ({', '.join(details)})"


def _named(holder: Holder, uid: int) -> tuple[str, list[str]]:
    if holder.uid != uid:
        if not holder.user:
            return f"a process of uid {holder.uid}", []
        return f"a process of user {holder.user}", [f"uid {holder.uid}"]
    if not holder.program:
        return "one of your own processes", list(filter(None, [holder.unit]))
    return holder.program, list(filter(None, [f"PID {holder.pid}", holder.unit]))


def in_use(port: int, holder: Holder, uid: int) -> str:
    """Return the reason for a port that another process uses."""
    own = ""
    if holder.uid == uid and holder.program:
        own = ", one of your own processes"
    return f"port {port} is in use by {described(holder, uid)}{own}"


def listed_only(port: int, holder: Holder | None, uid: int) -> str:
    """Return the reason for a forward that rootlesskit lists but that the host does not have."""
    if holder is None:
        return f"rootlesskit lists the forward, but no process listens on port {port} of the host"
    return f"rootlesskit lists the forward, but {in_use(port, holder, uid)}"


def api_stopped(port: int) -> str:
    """Return the reason for a forward of the API server that no program answers."""
    return (
        f"forwarded, but no process listens on port {port} of K3s's namespace: the API server is"
        " not running"
    )


def being_forwarded(port: int) -> str:
    """Return the reason for a port on which rootlesskit listens before it lists the forward."""
    return f"K3s already listens on port {port}, but rootlesskit does not list the forward yet"


def privileged(port: int, first: int) -> str:
    """Return the reason for a port that the kernel refuses to an ordinary user."""
    return (
        f"port {port} is privileged: users can listen on ports from {first} on"
        " (net.ipv4.ip_unprivileged_port_start)"
    )


def stalled(first: ExpectedForward, holder: Holder | None, uid: int) -> str:
    """Return the reason for a port that K3s did not reach, because it stopped at another port."""
    why = "which is privileged"
    if holder:
        why = f"which is in use by {described(holder, uid)}"
    return f"K3s stopped at port {first.parent_port} of the host ({first.target}), {why}"


def lost(entry: ExpectedForward, child_port: int, conflicts: tuple[str, ...]) -> str:
    """Return the reason for a missing forward if another row has its host port."""
    port, named = entry.parent_port, ", ".join(conflicts)
    if child_port == entry.child_port:
        return (
            f"port {port} of the host is already forwarded for {named or 'another Service port'};"
            f" only one program can use child port {child_port}"
        )
    if named:
        return (
            f"{entry.target} and {named} need the same port of the host, {port}, which is forwarded"
            f" to child port {child_port}"
        )
    return (
        f"port {port} of the host is forwarded to child port {child_port}, which no Service needs;"
        f" K3s treats this forward as that of {entry.target}"
    )


def no_room(entry: ExpectedForward, conflicts: tuple[str, ...]) -> str:
    """Return the reason for a load balancer without an address because another one has its port."""
    return (
        f"the load balancer of {entry.target} has no address; port {entry.parent_port} of the host"
        f" is also needed by {', '.join(conflicts)}"
    )


def not_yet(port: int) -> str:
    """Return the reason for a missing forward that no other rule explains."""
    return f"port {port} is free, but K3s has not forwarded it yet"


def use_unknown(port: int, why: str) -> str:
    """Return the reason for a port with an unknown owner; `why` is that of the sockets."""
    return f"cannot check whether port {port} of the host is in use: {why}"


def conflicting(port: int, conflicts: tuple[str, ...]) -> str:
    """Return the reason for a planned host port that other targets need as well."""
    return (
        f"port {port} of the host is also needed by {', '.join(conflicts)}; K3s forwards it to only"
        " one of them"
    )


def used_by_k3s(port: int) -> str:
    """Return the reason for a planned port that K3s itself uses inside its namespace."""
    return (
        f"K3s itself listens on port {port} of its namespace; a load balancer on this port would"
        " take over its connections"
    )


def explanation(entry: ExpectedForward, address: str) -> str:
    """Return one sentence on what the numbers of a row mean."""
    if entry.status is Status.NOT_FORWARDED:
        return f"{entry.target} is not reachable from the host: {entry.why}"
    where = f"port {entry.parent_port} on {address or 'all addresses of the host'}"
    if entry.kind is Kind.API:
        return f"{where} is mapped to the Kubernetes API (K3s never adds an offset to this port)"
    if not entry.target:
        return f"{where} is mapped to port {entry.child_port} of K3s's namespace"
    if entry.offset:
        return (
            f"{where} is mapped to {entry.target} (K3s adds {entry.offset} to ports up to and"
            " including 1024)"
        )
    return f"{where} is mapped to {entry.target}, without an offset"
