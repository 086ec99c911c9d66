"""The join: what K3s should forward, what rootlesskit forwards, what the host listens on, what
stands inside; a row for each.

A row is `answering` only where all sources agree. A source that could not be read blanks nothing:
its column is None, and the rows that would have needed it say `unknown` and why.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from k3s_rootless.finding import Verdict
from k3s_rootless.k3s.settings import Settings
from k3s_rootless.k3s.version import Version
from k3s_rootless.linux.facts import Listener
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.ports.facts import Exposure, Kind, PortMap, Probe, Sources, Status
from k3s_rootless.ports.rules import expected, reasons, starting, urls
from k3s_rootless.ports.rules.expected import Wanted
from k3s_rootless.ports.rules.socket_index import Key, Sight, key_of
from k3s_rootless.printable import printable
from k3s_rootless.rootlesskit.facts import Forward

_VERDICTS = {
    Status.ANSWERING: Verdict.PASS,
    Status.FORWARDED: Verdict.PASS,
    Status.PENDING: Verdict.WARN,
    Status.STRAY: Verdict.WARN,
    Status.UNKNOWN: Verdict.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class Running:
    """The K3s whose ports these are: its settings, release, user, its unit's control group, and for
    how long it runs.
    """

    settings: Settings
    version: Version | None
    uid: int
    unit_group: str = ""
    seconds: float | None = None


def join(sources: Sources, running: Running, *, everything: bool = False) -> PortMap:
    """Join the sources into rows, sorted by protocol, host port and target; the order of the input
    never matters.

    With `everything` there are also rows for what K3s never forwards.
    """
    sight = replace(Sight.of(sources, running.uid), starting=_starting(sources, running))
    services = sources.services.value if isinstance(sources.services, Known) else ()
    wants = _wants(sources, running)
    rows = list(_rows(sources, wants, sight))
    if everything:
        pods = sources.pods.value if isinstance(sources.pods, Known) else ()
        vain = expected.never(services, pods, running.settings, running.version)
        rows += [_row(want, None, sight, Status.NOT_FORWARDED, want.why) for want in vain]
    named = {
        "rootlesskit": sources.forwards,
        "services": sources.services,
        "sockets": sources.listeners,
        "child": sources.inside,
        "pods": sources.pods,
    }
    internal = {(port.namespace, port.service) for port in services if expected.is_internal(port)}
    return PortMap(
        rows=tuple(sorted(rows, key=_row_order)),
        internal=len(internal) if isinstance(sources.services, Known) else None,
        blind=tuple((name, one.reason) for name, one in named.items() if isinstance(one, Unknown)),
        starting=bool(sight.starting) and all(row.reason == sight.starting for row in rows),
    )


def in_the_way(sources: Sources, running: Running) -> tuple[Listener, ...]:
    """Give the sockets of the host at ports that K3s wants and rootlesskit does not forward: whose
    they are is worth a look.
    """
    if isinstance(sources.forwards, Unknown) or isinstance(sources.listeners, Unknown):
        return ()
    sight = Sight.of(sources, running.uid)
    served = {
        key_of(one) for one in sources.forwards.value if sight.serving(key_of(one), one.parent_ip)
    }
    keys = {want.key for want in _wants(sources, running)} - served
    return tuple(one for one in sources.listeners.value if (one.proto, one.port) in keys)


def with_probe(row: Exposure, probe: Probe) -> Exposure:
    """Give the row as it stands after a real connection: who was met answers, and who was not does
    not.
    """
    changed = replace(row, probe=probe)
    if probe.well and row.status is Status.FORWARDED:
        return replace(changed, status=Status.ANSWERING)
    if probe.well is False and row.verdict is Verdict.PASS:
        reason = f"forwarded, but a real connection failed: {probe.said}"
        return replace(changed, status=Status.SILENT, verdict=Verdict.FAIL, reason=reason)
    return changed


def _wants(sources: Sources, running: Running) -> list[Wanted]:
    services = sources.services.value if isinstance(sources.services, Known) else ()
    asked = expected.of_services(services, running.settings, running.version)
    return sorted({expected.api(running.settings), *asked}, key=lambda one: one.order)


def _starting(sources: Sources, running: Running) -> str:
    begins = starting.is_starting(sources, running.settings.https_port, running.seconds)
    return starting.reason(sources) if begins else ""


def _rows(sources: Sources, wants: list[Wanted], sight: Sight) -> Iterator[Exposure]:
    rivals = expected.rivals(wants)
    if isinstance(sources.forwards, Unknown):
        for want in wants:
            status, reason = want.status, want.why
            if not want.why:
                unread = f"nobody could see whether it is forwarded: {sources.forwards.reason}"
                status, reason = Status.UNKNOWN, sight.starting or unread
            yield _row(
                want, None, sight, status, reason, forwarded=None, rivals=rivals.get(want, ())
            )
        return
    there: dict[Key, list[Forward]] = {}
    for forward in sorted(sources.forwards.value, key=_forward_order):
        there.setdefault(key_of(forward), []).append(forward)
    taken = {key: found[0] for key, found in there.items()}
    missing = []
    for want in wants:
        match = next(
            (one for one in there.get(want.key, ()) if one.child_port == want.child_port), None
        )
        if match is None:
            missing.append(want)
        else:
            there[want.key].remove(match)
            status, reason = _forwarded(want, match, sight)
            yield _row(want, match, sight, status, reason, rivals=rivals.get(want, ()))
    first = min(
        (want for want in missing if _is_blocked(want, taken, sight)),
        key=lambda one: one.parent_port,
        default=None,
    )
    for want in missing:
        others = rivals.get(want, ())
        status, reason = _missing(want, taken.get(want.key), first, others, sight)
        yield _row(want, None, sight, status, reason, rivals=others)
    for stray in (forward for rest in there.values() for forward in rest):
        yield _stray(stray, sources, sight)


def _forwarded(want: Wanted, forward: Forward, sight: Sight) -> tuple[Status, str]:
    listening = sight.listening(key_of(forward), forward.parent_ip)
    if listening is None:
        return Status.UNKNOWN, f"forwarded; nobody could see whether the host listens: {sight.why}"
    if not listening:
        return Status.SILENT, reasons.listed_only(
            forward.parent_port, sight.holder(want.key), sight.uid
        )
    if want.why:
        return want.status, f"rootlesskit still forwards it, though {want.why}"
    inside = sight.inside(want.proto, want.child_port, forward.child_ip)
    if want.kind is Kind.API and inside is False:
        return Status.SILENT, reasons.api_down(want.child_port)
    return (Status.ANSWERING if inside else Status.FORWARDED), ""


def _is_blocked(want: Wanted, taken: dict[Key, Forward], sight: Sight) -> bool:
    if want.why or want.key in taken or sight.held_by_k3s(want.key):
        return False
    return sight.holder(want.key) is not None or want.parent_port < sight.unprivileged_from


def _missing(
    want: Wanted,
    instead: Forward | None,
    first: Wanted | None,
    rivals: tuple[str, ...],
    sight: Sight,
) -> tuple[Status, str]:
    if want.status is Status.PENDING and rivals and want.kind is Kind.SERVICE_PORT:
        return Status.COLLISION, reasons.no_room(want, rivals)
    if want.why:
        return want.status, want.why
    if instead is not None:
        return Status.COLLISION, reasons.lost(want, instead.child_port, rivals)
    if sight.held_by_k3s(want.key):
        return Status.PENDING, reasons.being_forwarded(want.parent_port)
    if not want.certain:
        return Status.UNKNOWN, "the release of K3s is not known, and only newer ones forward this"
    return _absent(want, first, sight)


def _absent(want: Wanted, first: Wanted | None, sight: Sight) -> tuple[Status, str]:
    port, holder = want.parent_port, sight.holder(want.key)
    if sight.why is not None:
        return (
            Status.NOT_FORWARDED,
            f"nobody could see who holds port {port} of the host: {sight.why}",
        )
    if holder is not None:
        return Status.BLOCKED, reasons.blocked(port, holder, sight.uid)
    if port < sight.unprivileged_from:
        return Status.BLOCKED, reasons.privileged(port, sight.unprivileged_from)
    if first is not None:
        return Status.STALLED, reasons.stalled(first, sight.holder(first.key), sight.uid)
    if sight.starting:
        return Status.PENDING, sight.starting
    return Status.NOT_FORWARDED, reasons.not_yet(port)


def _stray(forward: Forward, sources: Sources, sight: Sight) -> Exposure:
    if isinstance(sources.services, Unknown):
        status, kind = Status.UNKNOWN, Kind.UNKNOWN
        reason = f"nobody could see which Service it is for: {sources.services.reason}"
    else:
        status, kind, reason = (
            Status.STRAY,
            Kind.STRAY,
            "no Service asks for this forward; K3s removes such at its next pass",
        )
    want = Wanted(printable(forward.proto), forward.parent_port, forward.child_port, kind)
    return _row(want, forward, sight, status, reason)


def _row(
    want: Wanted,
    forward: Forward | None,
    sight: Sight,
    status: Status,
    reason: str,
    *,
    forwarded: bool | None = False,
    rivals: tuple[str, ...] = (),
) -> Exposure:
    key = key_of(forward) if forward else want.key
    address = printable(forward.parent_ip) if forward else ""
    by_design = status is Status.NOT_FORWARDED and want.why
    url, guess = urls.guess(want, address)
    return Exposure(
        proto=want.proto,
        parent_ip=address,
        parent_port=want.parent_port,
        child_port=want.child_port,
        kind=want.kind,
        status=status,
        verdict=_VERDICTS.get(status, Verdict.WARN if by_design else Verdict.FAIL),
        reason=printable(reason, 600),
        namespace=want.namespace,
        service=want.service,
        port_name=want.name,
        target=want.target,
        offset=want.parent_port - want.child_port if want.target else 0,
        forwarded=True if forward else forwarded,
        listening=sight.listening(key, forward.parent_ip) if forward else sight.held(key),
        inside=sight.inside(key[0], want.child_port, forward.child_ip if forward else ""),
        listens_on=sight.addresses(key, forward.parent_ip) if forward else (),
        holder=sight.holder(key) if status in {Status.BLOCKED, Status.SILENT} else None,
        rivals=rivals,
        explanation=reasons.explanation(want, address),
        url=url,
        url_guess=guess,
    )


def _forward_order(forward: Forward) -> tuple[str, int, int, str, str]:
    return (
        forward.proto,
        forward.parent_port,
        forward.child_port,
        forward.parent_ip,
        forward.child_ip,
    )


def _row_order(row: Exposure) -> tuple[str, int, str, int, str, str, str, bool]:
    said = (row.parent_ip, row.port_name, row.reason)
    return (row.proto, row.parent_port, row.target, row.child_port, *said, row.forwarded is True)
