"""The sentences about a row: the reason for its status, and what its numbers mean."""

from __future__ import annotations

from k3s_rootless.ports.facts import Holder, Kind, Status
from k3s_rootless.ports.rules.expected import Wanted
from k3s_rootless.ports.rules.socket_index import WILD

UNCERTAIN = "the release of K3s is not known, and only newer ones forward this"


def described(holder: Holder, uid: int) -> str:
    """Describe the owner of a port: uid, user, program, process and unit, as far as known."""
    owner = _owner(holder, uid)
    if holder.address in {"", *WILD}:
        return owner
    return f"{owner}, on {holder.address},"


def _owner(holder: Holder, uid: int) -> str:
    if holder.uid != uid:
        user = f" ({holder.user})" if holder.user else ""
        return f"a program of uid {holder.uid}{user}"
    unit = f" of {holder.unit}" if holder.unit else ""
    if not holder.program:
        return f"another program of yours{unit}"
    return f"your program `{holder.program}` (pid {holder.pid}){unit}"


def listed_only(port: int, holder: Holder | None, uid: int) -> str:
    """Return the reason for a forward that rootlesskit lists but that the host does not have."""
    if holder is None:
        return f"rootlesskit lists the forward, but nothing listens on port {port} of the host"
    return f"rootlesskit lists the forward, but {described(holder, uid)} holds the port"


def api_down(port: int) -> str:
    """Return the reason for a forward of the API server that no program answers."""
    return (
        f"forwarded, but nothing listens at port {port} of K3s's namespace: the API server is down"
    )


def being_forwarded(port: int) -> str:
    """Return the reason for a port on which rootlesskit listens before it lists the forward."""
    return f"K3s already listens on port {port}, but its rootlesskit does not list the forward yet"


def blocked(port: int, holder: Holder, uid: int) -> str:
    """Return the reason for a port that another process holds."""
    return f"{described(holder, uid)} holds port {port} of the host"


def privileged(port: int, first: int) -> str:
    """Return the reason for a port that the kernel refuses to an ordinary user."""
    may = f"users may listen from {first} on (net.ipv4.ip_unprivileged_port_start)"
    return f"port {port} is an administrator's; {may}"


def stalled(first: Wanted, holder: Holder | None, uid: int) -> str:
    """Return the reason for a port that K3s did not reach, because it stopped at another port."""
    by = "which only an administrator may give"
    if holder:
        by = f"which {described(holder, uid)} holds"
    return f"K3s waits behind port {first.parent_port} of the host ({first.target}), {by}"


def lost(want: Wanted, child_port: int, rivals: tuple[str, ...]) -> str:
    """Return the reason for a missing forward if another row has its host port."""
    port, named = want.parent_port, ", ".join(rivals)
    if child_port == want.child_port:
        other = named or "another row"
        return (
            f"port {port} of the host is wanted by {want.target} as well, and {other} has it: one"
            " child port is one program's"
        )
    if named:
        return (
            f"{want.target} and {named} want one port of the host, {port}; it leads to child port"
            f" {child_port}"
        )
    return (
        f"port {port} of the host leads to child port {child_port}, which nobody asks for; K3s"
        " takes it for this one"
    )


def no_room(want: Wanted, rivals: tuple[str, ...]) -> str:
    """Return the reason for a load balancer without an address because another one has its port."""
    return (
        f"{want.target} has no address, and {', '.join(rivals)} wants port {want.parent_port} of"
        " the host as well"
    )


def not_yet(port: int) -> str:
    """Return the reason for a missing forward that no other rule explains."""
    return f"nothing holds port {port} of the host: K3s has not come to it yet, or could not"


def holder_unknown(port: int, why: str) -> str:
    """Return the reason for a port with an unknown owner; `why` is that of the sockets."""
    return f"nobody could see who holds port {port} of the host: {why}"


def contested(port: int, rivals: tuple[str, ...]) -> str:
    """Return the reason for a planned host port that other targets need as well."""
    return (
        f"port {port} of the host is wanted by {', '.join(rivals)} as well: K3s would give it to"
        " one of them"
    )


def taken_inside(port: int) -> str:
    """Return the reason for a planned port that K3s itself uses inside its namespace."""
    return (
        f"K3s itself listens at port {port} of its namespace: a load balancer there would take its"
        " place"
    )


def explanation(want: Wanted, address: str) -> str:
    """Return one sentence on what the numbers of a row mean."""
    if want.status is Status.NOT_FORWARDED:
        return f"{want.target} is not reached from the host: {want.why}"
    where = f"port {want.parent_port} of {address or 'all addresses of the host'}"
    if want.kind is Kind.API:
        return f"{where} is the Kubernetes API, which K3s never offsets"
    if not want.target:
        return f"{where} leads to port {want.child_port} of K3s's namespace"
    if want.offset:
        return (
            f"{where} stands for {want.target}: K3s adds {want.offset} to ports up to and including"
            " 1024"
        )
    return f"{where} stands for {want.target}, without an offset"
