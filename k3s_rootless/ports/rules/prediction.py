"""The ports that Services would get before they are applied, and the conflicts of these ports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from k3s_rootless.observation import Known, Unknown
from k3s_rootless.ports.facts import Exposure, PodPort, Running, ServicePort, Sources, Status
from k3s_rootless.ports.rules import expected, reasons, rows
from k3s_rootless.ports.rules.expected import ExpectedForward
from k3s_rootless.ports.rules.socket_index import Key, SocketIndex, key_of

_BALANCED = ("127.0.0.1",)


def predict(
    planned: Sequence[ServicePort], pods: Iterable[PodPort], sources: Sources, running: Running
) -> tuple[Exposure, ...]:
    """Return a row for each port of planned Services.

    The status is FORWARDED if K3s would forward the port. Otherwise it is PORT_IN_USE,
    PRIVILEGED_PORT, PORT_CONFLICT, NOT_FORWARDED or UNKNOWN, with the reason. A Service of the
    cluster with the same namespace and name would be replaced, so it is not a conflict.
    """
    # servicelb gives each LoadBalancer Service an address once it has processed the Service.
    balanced = [_balanced(one) for one in planned]
    entries = set(expected.of_services(balanced, running.settings, running.version))
    names = {(one.namespace, one.service) for one in planned}
    existing = {*_existing(sources, names, running), expected.api(running.settings)}
    cluster = _Cluster(
        claims=_claims(entries | existing),
        forwarded=_forwarded(sources),
        inside=_used_inside(sources, existing),
        index=SocketIndex.of(sources, running.uid),
    )
    found = [_judged(entry, cluster) for entry in entries]
    found += [
        rows.row(entry, Status.NOT_FORWARDED, entry.why, cluster.index)
        for entry in expected.never(balanced, pods, running.settings, running.version)
    ]
    return tuple(sorted(found, key=_order))


@dataclass(frozen=True, slots=True)
class _Cluster:
    """The ports that are in use or needed.

    `claims` are host ports that Services need, `forwarded` host ports that K3s forwards already,
    and `inside` ports that K3s uses in its own namespace.
    """

    claims: Mapping[Key, set[ExpectedForward]]
    forwarded: set[Key]
    inside: set[Key]
    index: SocketIndex


def _balanced(port: ServicePort) -> ServicePort:
    if port.type != "LoadBalancer":
        return port
    return replace(port, addresses=_BALANCED)


def _existing(
    sources: Sources, names: set[tuple[str, str]], running: Running
) -> Iterator[ExpectedForward]:
    if isinstance(sources.services, Unknown):
        return iter(())
    others = [one for one in sources.services.value if (one.namespace, one.service) not in names]
    return expected.of_services(others, running.settings, running.version)


def _claims(entries: Iterable[ExpectedForward]) -> Mapping[Key, set[ExpectedForward]]:
    found: dict[Key, set[ExpectedForward]] = {}
    for entry in entries:
        if entry.status is not Status.NOT_FORWARDED:
            found.setdefault(entry.key, set()).add(entry)
    return found


def _forwarded(sources: Sources) -> set[Key]:
    if isinstance(sources.forwards, Unknown):
        return set()
    return {key_of(one) for one in sources.forwards.value}


def _used_inside(sources: Sources, existing: set[ExpectedForward]) -> set[Key]:
    # Sockets inside that belong to no Service are K3s's own (6444, 10250 and the like). A load
    # balancer on such a port would cut them off.
    if not (isinstance(sources.inside, Known) and isinstance(sources.services, Known)):
        return set()
    of_services = {
        (one.proto, port) for one in sources.services.value for port in (one.port, one.node_port)
    }
    of_forwards = {(one.proto, one.child_port) for one in existing}
    return {(one.proto, one.port) for one in sources.inside.value} - of_services - of_forwards


def _judged(entry: ExpectedForward, cluster: _Cluster) -> Exposure:
    others = cluster.claims.get(entry.key, {entry}) - {entry}
    if not entry.why and others:
        return _conflicting(entry, others, cluster.index)
    status, reason = _state(entry, cluster)
    return rows.row(entry, status, reason, cluster.index)


def _conflicting(
    entry: ExpectedForward, others: set[ExpectedForward], index: SocketIndex
) -> Exposure:
    ordered = sorted(others, key=lambda one: one.order)
    targets = tuple(dict.fromkeys(one.target for one in ordered))
    reason = reasons.conflicting(entry.parent_port, targets)
    return rows.row(entry, Status.PORT_CONFLICT, reason, index, conflicts=targets)


def _state(entry: ExpectedForward, cluster: _Cluster) -> tuple[Status, str]:
    if entry.why:
        return entry.status, entry.why
    if (entry.proto, entry.child_port) in cluster.inside:
        return Status.PORT_CONFLICT, reasons.used_by_k3s(entry.child_port)
    return _state_on_host(entry, cluster)


def _state_on_host(entry: ExpectedForward, cluster: _Cluster) -> tuple[Status, str]:
    port, index = entry.parent_port, cluster.index
    if index.why is not None:
        return Status.UNKNOWN, reasons.use_unknown(port, index.why)
    # A port that K3s forwards already belongs to the Service that would be replaced.
    holder = index.holder(entry.key)
    if holder is not None and entry.key not in cluster.forwarded:
        return Status.PORT_IN_USE, reasons.in_use(port, holder, index.uid)
    if port < index.unprivileged_from:
        return Status.PRIVILEGED_PORT, reasons.privileged(port, index.unprivileged_from)
    if not entry.certain:
        return Status.UNKNOWN, reasons.UNCERTAIN
    return Status.FORWARDED, ""


def _order(row: Exposure) -> tuple[str, str, int, int, str]:
    return (row.target, row.proto, row.parent_port, row.child_port, row.reason)
