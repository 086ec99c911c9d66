"""The sentences about a row: why it is not as it should be, and what its numbers mean."""

from __future__ import annotations

from k3s_rootless.ports.facts import Holder, Kind, Status
from k3s_rootless.ports.rules.expected import Wanted
from k3s_rootless.ports.rules.socket_index import WILD


def described(holder: Holder, uid: int) -> str:
    """Name who holds a port: uid, user, program, process and unit, as far as they are known."""
    if holder.uid == uid:
        whose = (
            f"your program `{holder.program}` (pid {holder.pid})"
            if holder.program
            else "another program of yours"
        )
        if holder.unit:
            whose += f" of {holder.unit}"
    else:
        whose = f"a program of uid {holder.uid}" + (f" ({holder.user})" if holder.user else "")
    return whose if holder.address in {"", *WILD} else f"{whose}, on {holder.address},"


def listed_only(port: int, holder: Holder | None, uid: int) -> str:
    """Say that rootlesskit lists a forward which the host does not have."""
    if holder is None:
        return f"rootlesskit lists the forward, but nothing listens on port {port} of the host"
    return f"rootlesskit lists the forward, but {described(holder, uid)} holds the port"


def api_down(port: int) -> str:
    """Say that the forward of the API server leads nowhere."""
    return (
        f"forwarded, but nothing listens at port {port} of K3s's namespace: the API server is down"
    )


def being_forwarded(port: int) -> str:
    """Return the reason for a port on which rootlesskit listens before it lists the forward."""
    return f"K3s already listens on port {port}, but its rootlesskit does not list the forward yet"


def blocked(port: int, holder: Holder, uid: int) -> str:
    """Say that somebody else holds the port."""
    return f"{described(holder, uid)} holds port {port} of the host"


def privileged(port: int, first: int) -> str:
    """Say that the kernel refuses the port to an ordinary user."""
    may = f"users may listen from {first} on (net.ipv4.ip_unprivileged_port_start)"
    return f"port {port} is an administrator's; {may}"


def stalled(first: Wanted, holder: Holder | None, uid: int) -> str:
    """Say that K3s stopped at another port before it came to this one; it stops at a refusal."""
    by = (
        f"which {described(holder, uid)} holds"
        if holder
        else "which only an administrator may give"
    )
    return f"K3s waits behind port {first.parent_port} of the host ({first.target}), {by}"


def lost(want: Wanted, child_port: int, rivals: tuple[str, ...]) -> str:
    """Say that another row has the port of the host."""
    port, named = want.parent_port, ", ".join(rivals)
    if child_port == want.child_port:
        other = f"{named} has it" if named else "another row has it"
        return (
            f"port {port} of the host is wanted by {want.target} as well, and {other}: one child"
            " port is one program's"
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
    """Say that a load balancer gets no address since another has its port."""
    return (
        f"{want.target} has no address, and {', '.join(rivals)} wants port {want.parent_port} of"
        " the host as well"
    )


def not_yet(port: int) -> str:
    """Say that nothing explains why there is no forward."""
    return f"nothing holds port {port} of the host: K3s has not come to it yet, or could not"


def explanation(want: Wanted, address: str) -> str:
    """Say in one sentence what the numbers of a row mean."""
    if want.status is Status.NOT_FORWARDED:
        return f"{want.target} is not reached from the host: {want.why}"
    offset = want.parent_port - want.child_port if want.target else 0
    where = f"port {want.parent_port} of {address or 'all addresses of the host'}"
    if want.kind is Kind.API:
        return f"{where} is the Kubernetes API, which K3s never offsets"
    if not want.target:
        return f"{where} leads to port {want.child_port} of K3s's namespace"
    if offset:
        return (
            f"{where} stands for {want.target}: K3s adds {offset} to ports up to and including 1024"
        )
    return f"{where} stands for {want.target}, without an offset"
