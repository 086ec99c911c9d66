"""The join: what K3s should forward, what rootlesskit forwards, and what the host listens on, one row for each.

A row says `pass` only where all sources agree. A source that could not be read blanks nothing: its column is None, and the
rows that would have needed it say `unknown` and why.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from k3s_rootless.finding import Verdict
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.ports import wanted
from k3s_rootless.ports.facts import Exposure, Forward, Kind, Listener, PortMap, ServicePort
from k3s_rootless.ports.wanted import Wanted
from k3s_rootless.printable import printable
from k3s_rootless.release.flags import ServerSettings
from k3s_rootless.release.version import Version

_WILD = frozenset({"0.0.0.0", "::"})  # noqa: S104 (compared with, not bound to)
Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class _Host:
    """What holds the ports of the host; `why` says why that is not known, and is None when it is."""

    holders: Mapping[Key, Sequence[Listener]]
    why: str | None
    uid: int

    def listening(self, forward: Forward) -> bool | None:
        if self.why is not None:
            return None
        return any(self._serves(holder, forward.parent_ip) for holder in self._at(_key(forward)))

    def holder(self, key: Key) -> Listener | None:
        """Name who else holds a port: somebody else's socket first, since that is the one to go and ask about."""
        return min(self._at(key), key=lambda one: (one.uid == self.uid, one.uid, one.address), default=None)

    def _at(self, key: Key) -> Sequence[Listener]:
        return self.holders.get(key, ())

    def _serves(self, holder: Listener, parent_ip: str) -> bool:
        return holder.uid == self.uid and (holder.address in _WILD or holder.address == parent_ip)


def join(
    forwards: Observed[tuple[Forward, ...]],
    services: Observed[tuple[ServicePort, ...]],
    listeners: Observed[tuple[Listener, ...]],
    settings: ServerSettings,
    version: Version | None,
    *,
    uid: int,
) -> PortMap:
    """Join the three sources into rows, sorted by protocol, host port and target; the order of the input never matters.

    `settings` and `version` are those of the running K3s, `uid` is its user: a listener of somebody else is no forward.
    """
    host = _host(listeners, uid)
    known = services.value if isinstance(services, Known) else ()
    wants = sorted({wanted.api(settings), *wanted.of_services(known, settings, version)}, key=lambda one: one.order)
    if isinstance(forwards, Unknown):
        rows = [_unasked(want, forwards.reason, host) for want in wants]
    else:
        rows = list(_joined(forwards.value, wants, services, host))
    internal = {(port.namespace, port.service) for port in known if wanted.is_internal(port)}
    sources = {"rootlesskit": forwards, "services": services, "sockets": listeners}
    return PortMap(
        rows=tuple(sorted(rows, key=_row_order)),
        internal=len(internal) if isinstance(services, Known) else None,
        blind=tuple((name, one.reason) for name, one in sources.items() if isinstance(one, Unknown)),
    )


def _joined(
    forwards: Iterable[Forward], wants: Iterable[Wanted], services: Observed[tuple[ServicePort, ...]], host: _Host
) -> Iterator[Exposure]:
    there: dict[Key, list[Forward]] = {}
    for forward in sorted(forwards, key=_forward_order):
        there.setdefault(_key(forward), []).append(forward)
    missing = []
    for want in wants:
        match = next((one for one in there.get(want.key, ()) if one.child_port == want.child_port), None)
        if match is None:
            missing.append(want)
        else:
            there[want.key].remove(match)
            yield _forwarded(want, match, host)
    yield from _missing(missing, forwards, host)
    for stray in (forward for rest in there.values() for forward in rest):
        yield _stray(stray, services, host)


def _forwarded(want: Wanted, forward: Forward, host: _Host) -> Exposure:
    listening = host.listening(forward)
    verdict, reason = _heard(forward, listening, host)
    if want.pending and verdict is Verdict.PASS:
        verdict, reason = Verdict.WARN, f"rootlesskit still forwards it, though {want.pending}"
    return _row(want, forward, listening=listening, verdict=verdict, reason=reason)


def _heard(forward: Forward, listening: bool | None, host: _Host) -> tuple[Verdict, str]:  # noqa: FBT001 (an observation)
    if listening is None:
        return Verdict.UNKNOWN, f"forwarded; nobody could see whether the host listens: {host.why}"
    if listening:
        return Verdict.PASS, ""
    holder = host.holder(_key(forward))
    if holder is None:
        return Verdict.FAIL, f"rootlesskit lists the forward, but nothing listens on port {forward.parent_port} of the host"
    return Verdict.FAIL, f"rootlesskit lists the forward, but {_described(holder, host.uid)} holds the port"


def _missing(wants: list[Wanted], forwards: Iterable[Forward], host: _Host) -> Iterator[Exposure]:
    taken = {_key(forward): forward for forward in sorted(forwards, key=_forward_order, reverse=True)}
    # K3s stops at the first forward that it cannot make, so one port held by another program keeps others from being made.
    blocked = sorted(want.parent_port for want in wants if not want.pending and want.key not in taken and host.holder(want.key))
    for want in wants:
        if want.pending:
            yield _row(want, None, listening=None, verdict=Verdict.WARN, reason=want.pending)
        else:
            verdict = Verdict.FAIL if want.certain or want.key in taken else Verdict.UNKNOWN
            reason = _why_missing(want, taken.get(want.key), blocked, host)
            if verdict is Verdict.UNKNOWN:
                reason = "the release of K3s is not known, and only newer ones forward this"
            yield _row(want, None, listening=_held(want.key, host), verdict=verdict, reason=reason)


def _why_missing(want: Wanted, instead: Forward | None, blocked: list[int], host: _Host) -> str:
    port = want.parent_port
    if instead is not None and instead.child_port == want.child_port:
        return f"port {port} of the host is another row's: of two that want child port {want.child_port}, one answers there"
    if instead is not None:
        return f"port {port} of the host leads to child port {instead.child_port}: K3s maps two ports to it, and one loses"
    if host.why is not None:
        return f"not forwarded; nobody could see who holds port {port} of the host: {host.why}"
    holder = host.holder(want.key)
    if holder is not None:
        return f"not forwarded: {_described(holder, host.uid)} holds port {port} of the host"
    if blocked:
        return f"not forwarded: K3s waits behind port {blocked[0]} of the host, which another program holds"
    return f"not forwarded, though nothing holds port {port} of the host: K3s has not come to it yet, or could not"


def _unasked(want: Wanted, why: str, host: _Host) -> Exposure:
    if want.pending:
        return _row(want, None, forwarded=None, listening=None, verdict=Verdict.WARN, reason=want.pending)
    reason = f"nobody could see whether it is forwarded: {why}"
    return _row(want, None, forwarded=None, listening=_held(want.key, host), verdict=Verdict.UNKNOWN, reason=reason)


def _stray(forward: Forward, services: Observed[tuple[ServicePort, ...]], host: _Host) -> Exposure:
    listening = host.listening(forward)
    if isinstance(services, Unknown):
        verdict, kind, reason = Verdict.UNKNOWN, Kind.UNKNOWN, f"nobody could see which Service it is for: {services.reason}"
    else:
        verdict, kind, reason = Verdict.WARN, Kind.STRAY, "no Service asks for this forward; K3s removes such at its next pass"
    want = Wanted(printable(forward.proto), forward.parent_port, forward.child_port, kind)
    return _row(want, forward, listening=listening, verdict=verdict, reason=reason)


def _row(
    want: Wanted,
    forward: Forward | None,
    *,
    listening: bool | None,
    verdict: Verdict,
    reason: str,
    forwarded: bool | None = False,
) -> Exposure:
    named = want.kind not in {Kind.STRAY, Kind.UNKNOWN}
    offset = want.parent_port - want.child_port if named else 0
    address = printable(forward.parent_ip) if forward else ""
    return Exposure(
        proto=want.proto,
        parent_ip=address,
        parent_port=want.parent_port,
        child_port=want.child_port,
        kind=want.kind,
        namespace=want.namespace,
        service=want.service,
        port_name=want.name,
        target=want.target if named else "",
        offset=offset,
        forwarded=True if forward else forwarded,
        listening=listening,
        verdict=verdict,
        reason=printable(reason),
        explanation=_explanation(want, address, offset),
    )


def _explanation(want: Wanted, address: str, offset: int) -> str:
    where = f"port {want.parent_port} of {address or 'all addresses of the host'}"
    if want.kind is Kind.API:
        return f"{where} is the Kubernetes API, which K3s never offsets"
    if want.kind in {Kind.STRAY, Kind.UNKNOWN}:
        return f"{where} leads to port {want.child_port} of K3s's namespace"
    if offset:
        return f"{where} stands for {want.target}: K3s adds {offset} to ports up to and including 1024"
    return f"{where} stands for {want.target}, without an offset"


def _host(listeners: Observed[tuple[Listener, ...]], uid: int) -> _Host:
    if isinstance(listeners, Unknown):
        return _Host({}, listeners.reason, uid)
    holders: dict[Key, list[Listener]] = {}
    for one in listeners.value:
        key = (one.proto, one.port)
        holders.setdefault(key, []).append(one)
    return _Host(holders, None, uid)


def _held(key: Key, host: _Host) -> bool | None:
    return None if host.why is not None else host.holder(key) is not None


def _described(holder: Listener, uid: int) -> str:
    whose = "another program of yours" if holder.uid == uid else f"a program of uid {holder.uid}"
    return whose if holder.address in _WILD else f"{whose} (on {holder.address})"


def _key(forward: Forward) -> Key:
    # rootlesskit's tcp4 and tcp6 name a family of addresses; the port that they take is one and the same.
    return (printable(forward.proto).removesuffix("4").removesuffix("6"), forward.parent_port)


def _forward_order(forward: Forward) -> tuple[str, int, int, str, str]:
    return (forward.proto, forward.parent_port, forward.child_port, forward.parent_ip, forward.child_ip)


def _row_order(row: Exposure) -> tuple[str, int, str, int, str, str, str, bool]:
    return (
        row.proto,
        row.parent_port,
        row.target,
        row.child_port,
        row.parent_ip,
        row.port_name,
        row.reason,
        row.forwarded is True,
    )
