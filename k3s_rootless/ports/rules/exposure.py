"""The rows of `ports`, joined from four sources.

The sources are the forwards that K3s should make, the forwards of rootlesskit, the sockets of the
host, and the sockets inside. A row is `answering` only if all sources agree. If a source cannot be
read, its column is None, and the rows that depend on it have the status `unknown` and a reason.
"""

from __future__ import annotations

from collections.abc import Iterator
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
from k3s_rootless.ports.rules.expected import Wanted
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
    wants = _wants(sources, running)
    found = list(_rows(sources, wants, index))
    if everything:
        found += _never(sources, running, index)
    internal = None
    if isinstance(sources.services, Known):
        names = {
            (port.namespace, port.service)
            for port in sources.services.value
            if expected.is_internal(port)
        }
        internal = len(names)
    return PortMap(
        rows=tuple(sorted(found, key=_row_order)),
        internal=internal,
        unread=sources.unread(),
        starting=bool(index.starting) and all(row.reason == index.starting for row in found),
    )


def in_the_way(sources: Sources, running: Running) -> tuple[Listener, ...]:
    """Return the host sockets on ports that K3s needs and that rootlesskit does not forward.

    The owners of these sockets explain a port conflict.
    """
    if isinstance(sources.forwards, Unknown) or isinstance(sources.listeners, Unknown):
        return ()
    index = SocketIndex.of(sources, running.uid)
    served = {
        key_of(one) for one in sources.forwards.value if index.serving(key_of(one), one.parent_ip)
    }
    keys = {want.key for want in _wants(sources, running)} - served
    return tuple(one for one in sources.listeners.value if (one.proto, one.port) in keys)


def with_probe(row: Exposure, probe: Probe) -> Exposure:
    """Return the row after a real connection.

    If a program answered, the row becomes `answering`. If the connection failed, the row becomes
    `silent`.
    """
    changed = replace(row, probe=probe)
    if probe.well and row.status is Status.FORWARDED:
        return replace(changed, status=Status.ANSWERING)
    if probe.well is False and row.verdict is Verdict.PASS:
        reason = f"forwarded, but a real connection failed: {probe.said}"
        return replace(changed, status=Status.SILENT, verdict=Verdict.FAIL, reason=reason)
    return changed


def _services(sources: Sources) -> tuple[ServicePort, ...]:
    if isinstance(sources.services, Unknown):
        return ()
    return sources.services.value


def _pods(sources: Sources) -> tuple[PodPort, ...]:
    if isinstance(sources.pods, Unknown):
        return ()
    return sources.pods.value


def _wants(sources: Sources, running: Running) -> list[Wanted]:
    of_services = expected.of_services(_services(sources), running.settings, running.version)
    return sorted({expected.api(running.settings), *of_services}, key=lambda one: one.order)


def _starting(sources: Sources, running: Running) -> str:
    if starting.is_starting(sources, running.settings.https_port, running.seconds):
        return starting.reason(sources)
    return ""


def _never(sources: Sources, running: Running, index: SocketIndex) -> Iterator[Exposure]:
    services, pods = _services(sources), _pods(sources)
    for want in expected.never(services, pods, running.settings, running.version):
        yield _without_forward(want, Status.NOT_FORWARDED, want.why, index)


def _rows(sources: Sources, wants: list[Wanted], index: SocketIndex) -> Iterator[Exposure]:
    rivals = expected.rivals(wants)
    if isinstance(sources.forwards, Unknown):
        for want in wants:
            others = rivals.get(want, ())
            yield _of_unread_forwards(want, sources.forwards.reason, others, index)
        return
    remaining = _by_key(sources.forwards.value)
    taken = {key: found[0] for key, found in remaining.items()}
    missing = []
    for want in wants:
        forward = _take(remaining, want)
        if forward is None:
            missing.append(want)
            continue
        status, reason = _forwarded(want, forward, index)
        yield _with_forward(want, forward, status, reason, index, rivals.get(want, ()))
    first = _first_blocked(missing, taken, index)
    for want in missing:
        others = rivals.get(want, ())
        status, reason = _missing(want, taken.get(want.key), first, others, index)
        yield _without_forward(want, status, reason, index, others)
    for group in remaining.values():
        for forward in group:
            yield _stray(forward, sources, index)


def _by_key(forwards: tuple[Forward, ...]) -> dict[Key, list[Forward]]:
    found: dict[Key, list[Forward]] = {}
    for forward in sorted(forwards, key=_forward_order):
        found.setdefault(key_of(forward), []).append(forward)
    return found


def _take(remaining: dict[Key, list[Forward]], want: Wanted) -> Forward | None:
    """Remove the forward that K3s made for `want`, and return it."""
    for forward in remaining.get(want.key, ()):
        if forward.child_port == want.child_port:
            remaining[want.key].remove(forward)
            return forward
    return None


def _of_unread_forwards(
    want: Wanted, why: str, others: tuple[str, ...], index: SocketIndex
) -> Exposure:
    status, reason = want.status, want.why
    if not want.why:
        status = Status.UNKNOWN
        reason = index.starting or f"nobody could see whether it is forwarded: {why}"
    return _without_forward(want, status, reason, index, others, forwarded=None)


def _forwarded(want: Wanted, forward: Forward, index: SocketIndex) -> tuple[Status, str]:
    listening = index.listening(key_of(forward), forward.parent_ip)
    if listening is None:
        return Status.UNKNOWN, f"forwarded; nobody could see whether the host listens: {index.why}"
    if not listening:
        holder = index.holder(want.key)
        return Status.SILENT, reasons.listed_only(forward.parent_port, holder, index.uid)
    if want.why:
        return want.status, f"rootlesskit still forwards it, though {want.why}"
    inside = index.inside(want.proto, want.child_port, forward.child_ip)
    if want.kind is Kind.API and inside is False:
        return Status.SILENT, reasons.api_down(want.child_port)
    if inside:
        return Status.ANSWERING, ""
    return Status.FORWARDED, ""


def _first_blocked(
    missing: list[Wanted], taken: dict[Key, Forward], index: SocketIndex
) -> Wanted | None:
    """Return the missing forward with the lowest port at which K3s stops."""
    blocked = (want for want in missing if _is_blocked(want, taken, index))
    return min(blocked, key=lambda one: one.parent_port, default=None)


def _is_blocked(want: Wanted, taken: dict[Key, Forward], index: SocketIndex) -> bool:
    if want.why or want.key in taken or index.held_by_k3s(want.key):
        return False
    return index.holder(want.key) is not None or want.parent_port < index.unprivileged_from


def _missing(
    want: Wanted,
    instead: Forward | None,
    first: Wanted | None,
    rivals: tuple[str, ...],
    index: SocketIndex,
) -> tuple[Status, str]:
    if want.status is Status.PENDING and rivals and want.kind is Kind.SERVICE_PORT:
        return Status.COLLISION, reasons.no_room(want, rivals)
    if want.why:
        return want.status, want.why
    if instead is not None:
        return Status.COLLISION, reasons.lost(want, instead.child_port, rivals)
    if index.held_by_k3s(want.key):
        return Status.PENDING, reasons.being_forwarded(want.parent_port)
    if not want.certain:
        return Status.UNKNOWN, reasons.UNCERTAIN
    return _absent(want, first, index)


def _absent(want: Wanted, first: Wanted | None, index: SocketIndex) -> tuple[Status, str]:
    port, holder = want.parent_port, index.holder(want.key)
    if index.why is not None:
        return Status.NOT_FORWARDED, reasons.holder_unknown(port, index.why)
    if holder is not None:
        return Status.BLOCKED, reasons.blocked(port, holder, index.uid)
    if port < index.unprivileged_from:
        return Status.BLOCKED, reasons.privileged(port, index.unprivileged_from)
    if first is not None:
        return Status.STALLED, reasons.stalled(first, index.holder(first.key), index.uid)
    if index.starting:
        return Status.PENDING, index.starting
    return Status.NOT_FORWARDED, reasons.not_yet(port)


def _stray(forward: Forward, sources: Sources, index: SocketIndex) -> Exposure:
    status, kind = Status.STRAY, Kind.STRAY
    reason = "no Service asks for this forward; K3s removes such at its next pass"
    if isinstance(sources.services, Unknown):
        status, kind = Status.UNKNOWN, Kind.UNKNOWN
        reason = f"nobody could see which Service it is for: {sources.services.reason}"
    want = Wanted(printable(forward.proto), forward.parent_port, forward.child_port, kind)
    return _with_forward(want, forward, status, reason, index)


def _with_forward(
    want: Wanted,
    forward: Forward,
    status: Status,
    reason: str,
    index: SocketIndex,
    rivals: tuple[str, ...] = (),
) -> Exposure:
    key = key_of(forward)
    seen = rows.Seen(
        parent_ip=printable(forward.parent_ip),
        forwarded=True,
        listening=index.listening(key, forward.parent_ip),
        inside=index.inside(key[0], want.child_port, forward.child_ip),
        listens_on=index.addresses(key, forward.parent_ip),
    )
    text = printable(reason, _LONGEST_REASON)
    return rows.row(want, status, text, index, rivals=rivals, seen=seen)


def _without_forward(
    want: Wanted,
    status: Status,
    reason: str,
    index: SocketIndex,
    rivals: tuple[str, ...] = (),
    *,
    forwarded: bool | None = False,
) -> Exposure:
    seen = rows.Seen(
        forwarded=forwarded,
        listening=index.held(want.key),
        inside=index.inside(want.proto, want.child_port, ""),
    )
    text = printable(reason, _LONGEST_REASON)
    return rows.row(want, status, text, index, rivals=rivals, seen=seen)


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
