"""The rows of `ports`, joined from four sources.

The sources are the forwards that K3s should make, the forwards of rootlesskit, the sockets of the
host, and the sockets inside. A row is `listening` only if all sources agree. If a source cannot be
read, its column is None, and the rows that depend on it have the status `unknown` and a reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from k3s_rootless.finding import Verdict
from k3s_rootless.linux.facts import Listener
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.ports.facts import (
    Exposure,
    Kind,
    PodPort,
    PortMap,
    Probe,
    Running,
    ServicePort,
    Sources,
    Status,
)
from k3s_rootless.ports.rules import expected, reasons, rows, starting
from k3s_rootless.ports.rules.expected import ExpectedForward
from k3s_rootless.ports.rules.socket_index import Key, SocketIndex, key_of
from k3s_rootless.printable import printable
from k3s_rootless.rootlesskit.facts import Forward

_LONGEST_REASON = 600


def join(sources: Sources, running: Running, *, everything: bool = False) -> PortMap:
    """Join the sources into rows, sorted by protocol, host port and target.

    The order of the input does not matter. With `everything` there are also rows for what K3s never
    forwards.
    """
    index = replace(SocketIndex.of(sources, running.uid), starting=_starting(sources, running))
    entries = _entries(sources, running)
    found = list(_rows(sources, entries, index))
    if everything:
        found += _never(sources, running, index)
    internal = None
    node_ports = 0
    if isinstance(sources.services, Known):
        inside = [port for port in sources.services.value if expected.is_internal(port)]
        internal = _count(inside)
        if not everything:
            node_ports = _count(port for port in inside if port.type == "NodePort")
    return PortMap(
        rows=tuple(sorted(found, key=_row_order)),
        internal=internal,
        unread=sources.unread(),
        starting=bool(index.starting) and all(row.reason == index.starting for row in found),
        node_ports=node_ports,
    )


def _count(ports: Iterable[ServicePort]) -> int:
    """Return the number of Services that have these ports."""
    return len({(port.namespace, port.service) for port in ports})


def conflicting_sockets(sources: Sources, running: Running) -> tuple[Listener, ...]:
    """Return the host sockets on ports that K3s needs and that rootlesskit does not forward.

    The owners of these sockets explain a port conflict.
    """
    if isinstance(sources.forwards, Unknown) or isinstance(sources.listeners, Unknown):
        return ()
    index = SocketIndex.of(sources, running.uid)
    served = {
        key_of(one) for one in sources.forwards.value if index.serving(key_of(one), one.parent_ip)
    }
    keys = {entry.key for entry in _entries(sources, running)} - served
    return tuple(one for one in sources.listeners.value if (one.proto, one.port) in keys)


def with_probe(row: Exposure, probe: Probe) -> Exposure:
    """Return the row after a real connection.

    If a program answered, the row becomes `listening`. If the connection failed, the row becomes
    `unreachable`.
    """
    changed = replace(row, probe=probe)
    if probe.answered and row.status is Status.FORWARDED:
        return replace(changed, status=Status.LISTENING)
    if probe.answered is False and row.verdict is Verdict.PASS:
        reason = f"forwarded, but the connection failed: {probe.result}"
        return replace(changed, status=Status.UNREACHABLE, verdict=Verdict.FAIL, reason=reason)
    return changed


def _services(sources: Sources) -> tuple[ServicePort, ...]:
    if isinstance(sources.services, Unknown):
        return ()
    return sources.services.value


def _pods(sources: Sources) -> tuple[PodPort, ...]:
    if isinstance(sources.pods, Unknown):
        return ()
    return sources.pods.value


def _entries(sources: Sources, running: Running) -> list[ExpectedForward]:
    of_services = expected.of_services(_services(sources), running.settings, running.version)
    return sorted({expected.api(running.settings), *of_services}, key=lambda one: one.order)


def _starting(sources: Sources, running: Running) -> str:
    if starting.is_starting(sources, running.settings.https_port, running.seconds):
        return starting.reason(sources)
    return ""


def _never(sources: Sources, running: Running, index: SocketIndex) -> Iterator[Exposure]:
    services, pods = _services(sources), _pods(sources)
    for entry in expected.never(services, pods, running.settings, running.version):
        yield _without_forward(entry, Status.NOT_FORWARDED, entry.why, index)


def _rows(
    sources: Sources, entries: list[ExpectedForward], index: SocketIndex
) -> Iterator[Exposure]:
    conflicts = expected.conflicts(entries)
    if isinstance(sources.forwards, Unknown):
        for entry in entries:
            others = conflicts.get(entry, ())
            yield _of_unread_forwards(entry, sources.forwards.reason, others, index)
        return
    remaining = _by_key(sources.forwards.value)
    listed = {key: found[0] for key, found in remaining.items()}
    missing = []
    for entry in entries:
        forward = _take(remaining, entry)
        if forward is None:
            missing.append(entry)
            continue
        status, reason = _forwarded(entry, forward, index)
        yield _with_forward(entry, forward, status, reason, index, conflicts.get(entry, ()))
    first = _first_blocked(missing, listed, index)
    for entry in missing:
        others = conflicts.get(entry, ())
        status, reason = _missing(entry, listed.get(entry.key), first, others, index)
        yield _without_forward(entry, status, reason, index, others)
    for group in remaining.values():
        for forward in group:
            yield _orphaned(forward, sources, index)


def _by_key(forwards: tuple[Forward, ...]) -> dict[Key, list[Forward]]:
    found: dict[Key, list[Forward]] = {}
    for forward in sorted(forwards, key=_forward_order):
        found.setdefault(key_of(forward), []).append(forward)
    return found


def _take(remaining: dict[Key, list[Forward]], entry: ExpectedForward) -> Forward | None:
    """Remove the forward that K3s made for `entry`, and return it."""
    for forward in remaining.get(entry.key, ()):
        if forward.child_port == entry.child_port:
            remaining[entry.key].remove(forward)
            return forward
    return None


def _of_unread_forwards(
    entry: ExpectedForward, why: str, conflicts: tuple[str, ...], index: SocketIndex
) -> Exposure:
    status, reason = entry.status, entry.why
    if not entry.why:
        status = Status.UNKNOWN
        reason = index.starting or f"cannot check whether the port is forwarded: {why}"
    return _without_forward(entry, status, reason, index, conflicts, forwarded=None)


def _forwarded(entry: ExpectedForward, forward: Forward, index: SocketIndex) -> tuple[Status, str]:
    listening = index.listening(key_of(forward), forward.parent_ip)
    if listening is None:
        return Status.UNKNOWN, f"forwarded; cannot check whether the host listens: {index.why}"
    if not listening:
        holder = index.holder(entry.key)
        return Status.UNREACHABLE, reasons.listed_only(forward.parent_port, holder, index.uid)
    if entry.why:
        return entry.status, f"rootlesskit still forwards this port, although {entry.why}"
    inside = index.inside(entry.proto, entry.child_port, forward.child_ip)
    if entry.kind is Kind.API and inside is False:
        return Status.UNREACHABLE, reasons.api_stopped(entry.child_port)
    if inside:
        return Status.LISTENING, ""
    return Status.FORWARDED, ""


def _first_blocked(
    missing: list[ExpectedForward], listed: dict[Key, Forward], index: SocketIndex
) -> ExpectedForward | None:
    """Return the missing forward with the lowest port at which K3s stops."""
    blocked = (entry for entry in missing if _is_blocked(entry, listed, index))
    return min(blocked, key=lambda one: one.parent_port, default=None)


def _is_blocked(entry: ExpectedForward, listed: dict[Key, Forward], index: SocketIndex) -> bool:
    if entry.why or entry.key in listed or index.used_by_k3s(entry.key):
        return False
    return index.holder(entry.key) is not None or entry.parent_port < index.unprivileged_from


def _missing(
    entry: ExpectedForward,
    instead: Forward | None,
    first: ExpectedForward | None,
    conflicts: tuple[str, ...],
    index: SocketIndex,
) -> tuple[Status, str]:
    if entry.status is Status.PENDING and conflicts and entry.kind is Kind.SERVICE_PORT:
        return Status.PORT_CONFLICT, reasons.no_room(entry, conflicts)
    if entry.why:
        return entry.status, entry.why
    if instead is not None:
        return Status.PORT_CONFLICT, reasons.lost(entry, instead.child_port, conflicts)
    if index.used_by_k3s(entry.key):
        return Status.PENDING, reasons.being_forwarded(entry.parent_port)
    if not entry.certain:
        return Status.UNKNOWN, reasons.UNCERTAIN
    return _absent(entry, first, index)


def _absent(
    entry: ExpectedForward, first: ExpectedForward | None, index: SocketIndex
) -> tuple[Status, str]:
    port, holder = entry.parent_port, index.holder(entry.key)
    if index.why is not None:
        return Status.NOT_FORWARDED, reasons.use_unknown(port, index.why)
    if holder is not None:
        return Status.PORT_IN_USE, reasons.in_use(port, holder, index.uid)
    if port < index.unprivileged_from:
        return Status.PRIVILEGED_PORT, reasons.privileged(port, index.unprivileged_from)
    if first is not None:
        return Status.STALLED, reasons.stalled(first, index.holder(first.key), index.uid)
    if index.starting:
        return Status.PENDING, index.starting
    return Status.NOT_FORWARDED, reasons.not_yet(port)


def _orphaned(forward: Forward, sources: Sources, index: SocketIndex) -> Exposure:
    status, kind = Status.ORPHANED, Kind.ORPHANED
    reason = "no Service needs this forward; K3s removes it at its next update"
    if isinstance(sources.services, Unknown):
        status, kind = Status.UNKNOWN, Kind.UNKNOWN
        reason = f"cannot check which Service this forward is for: {sources.services.reason}"
    entry = ExpectedForward(printable(forward.proto), forward.parent_port, forward.child_port, kind)
    return _with_forward(entry, forward, status, reason, index)


def _with_forward(
    entry: ExpectedForward,
    forward: Forward,
    status: Status,
    reason: str,
    index: SocketIndex,
    conflicts: tuple[str, ...] = (),
) -> Exposure:
    key = key_of(forward)
    observed = rows.Observations(
        parent_ip=printable(forward.parent_ip),
        forwarded=True,
        parent_listening=index.listening(key, forward.parent_ip),
        child_listening=index.inside(key[0], entry.child_port, forward.child_ip),
        listens_on=index.addresses(key, forward.parent_ip),
    )
    text = printable(reason, _LONGEST_REASON)
    return rows.row(entry, status, text, index, conflicts=conflicts, observed=observed)


def _without_forward(
    entry: ExpectedForward,
    status: Status,
    reason: str,
    index: SocketIndex,
    conflicts: tuple[str, ...] = (),
    *,
    forwarded: bool | None = False,
) -> Exposure:
    observed = rows.Observations(
        forwarded=forwarded,
        parent_listening=index.in_use(entry.key),
        child_listening=index.inside(entry.proto, entry.child_port, ""),
    )
    text = printable(reason, _LONGEST_REASON)
    return rows.row(entry, status, text, index, conflicts=conflicts, observed=observed)


def _forward_order(forward: Forward) -> tuple[str, int, int, str, str]:
    return (
        forward.proto,
        forward.parent_port,
        forward.child_port,
        forward.parent_ip,
        forward.child_ip,
    )


def _row_order(row: Exposure) -> tuple[str, int, str, int, str, str, str, bool]:
    texts = (row.parent_ip, row.port_name, row.reason)
    return (row.proto, row.parent_port, row.target, row.child_port, *texts, row.forwarded is True)
