"""The ports that Services would get before they are applied, and the conflicts of these ports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from k3s_rootless.observation import Known, Unknown
from k3s_rootless.ports.facts import Exposure, PodPort, Running, ServicePort, Sources, Status
from k3s_rootless.ports.rules import expected, reasons, rows
from k3s_rootless.ports.rules.expected import Wanted
from k3s_rootless.ports.rules.socket_index import Key, SocketIndex, key_of

_BALANCED = ("127.0.0.1",)


def predict(
    planned: Sequence[ServicePort], pods: Iterable[PodPort], sources: Sources, running: Running
) -> tuple[Exposure, ...]:
    """Return a row for each port of planned Services.

    The status is FORWARDED if K3s would forward the port. Otherwise it is BLOCKED, COLLISION,
    NOT_FORWARDED or UNKNOWN, with the reason. A Service of the cluster with the same namespace and
    name would be replaced, so it is no conflict.
    """
    # servicelb gives each LoadBalancer Service an address once it has processed the Service.
    balanced = [_balanced(one) for one in planned]
    wants = set(expected.of_services(balanced, running.settings, running.version))
    names = {(one.namespace, one.service) for one in planned}
    existing = {*_existing(sources, names, running), expected.api(running.settings)}
    cluster = _Cluster(
        claims=_claims(wants | existing),
        forwarded=_forwarded(sources),
        inside=_taken_inside(sources, existing),
        index=SocketIndex.of(sources, running.uid),
    )
    found = [_judged(want, cluster) for want in wants]
    found += [
        rows.row(want, Status.NOT_FORWARDED, want.why, cluster.index)
        for want in expected.never(balanced, pods, running.settings, running.version)
    ]
    return tuple(sorted(found, key=_order))


@dataclass(frozen=True, slots=True)
class _Cluster:
    """The ports that are taken.

    `claims` are host ports that Services need, `forwarded` host ports that K3s forwards already,
    and `inside` ports that K3s uses in its own namespace.
    """

    claims: Mapping[Key, set[Wanted]]
    forwarded: set[Key]
    inside: set[Key]
    index: SocketIndex


def _balanced(port: ServicePort) -> ServicePort:
    if port.type != "LoadBalancer":
        return port
    return replace(port, addresses=_BALANCED)


def _existing(sources: Sources, names: set[tuple[str, str]], running: Running) -> Iterator[Wanted]:
    if isinstance(sources.services, Unknown):
        return iter(())
    others = [one for one in sources.services.value if (one.namespace, one.service) not in names]
    return expected.of_services(others, running.settings, running.version)


def _claims(wants: Iterable[Wanted]) -> Mapping[Key, set[Wanted]]:
    found: dict[Key, set[Wanted]] = {}
    for want in wants:
        if want.status is not Status.NOT_FORWARDED:
            found.setdefault(want.key, set()).add(want)
    return found


def _forwarded(sources: Sources) -> set[Key]:
    if isinstance(sources.forwards, Unknown):
        return set()
    return {key_of(one) for one in sources.forwards.value}


def _taken_inside(sources: Sources, existing: set[Wanted]) -> set[Key]:
    # Sockets inside that belong to no Service are K3s's own (6444, 10250 and the like). A load
    # balancer on such a port would cut them off.
    if not (isinstance(sources.inside, Known) and isinstance(sources.services, Known)):
        return set()
    of_services = {
        (one.proto, port) for one in sources.services.value for port in (one.port, one.node_port)
    }
    of_forwards = {(one.proto, one.child_port) for one in existing}
    return {(one.proto, one.port) for one in sources.inside.value} - of_services - of_forwards


def _judged(want: Wanted, cluster: _Cluster) -> Exposure:
    others = cluster.claims.get(want.key, {want}) - {want}
    if not want.why and others:
        return _contested(want, others, cluster.index)
    status, reason = _state(want, cluster)
    return rows.row(want, status, reason, cluster.index)


def _contested(want: Wanted, others: set[Wanted], index: SocketIndex) -> Exposure:
    ordered = sorted(others, key=lambda one: one.order)
    rivals = tuple(dict.fromkeys(one.target for one in ordered))
    reason = reasons.contested(want.parent_port, rivals)
    return rows.row(want, Status.COLLISION, reason, index, rivals=rivals)


def _state(want: Wanted, cluster: _Cluster) -> tuple[Status, str]:
    if want.why:
        return want.status, want.why
    if (want.proto, want.child_port) in cluster.inside:
        return Status.COLLISION, reasons.taken_inside(want.child_port)
    return _state_on_host(want, cluster)


def _state_on_host(want: Wanted, cluster: _Cluster) -> tuple[Status, str]:
    port, index = want.parent_port, cluster.index
    if index.why is not None:
        return Status.UNKNOWN, reasons.holder_unknown(port, index.why)
    # A port that K3s forwards already belongs to the Service that would be replaced.
    holder = index.holder(want.key)
    if holder is not None and want.key not in cluster.forwarded:
        return Status.BLOCKED, reasons.blocked(port, holder, index.uid)
    if port < index.unprivileged_from:
        return Status.BLOCKED, reasons.privileged(port, index.unprivileged_from)
    if not want.certain:
        return Status.UNKNOWN, reasons.UNCERTAIN
    return Status.FORWARDED, ""


def _order(row: Exposure) -> tuple[str, str, int, int, str]:
    return (row.target, row.proto, row.parent_port, row.child_port, row.reason)
