"""What would become of Services that nobody has applied yet: the ports that they would get, and
what is in the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from k3s_rootless.finding import Verdict
from k3s_rootless.observation import Known
from k3s_rootless.ports.facts import Exposure, PodPort, ServicePort, Sources, Status
from k3s_rootless.ports.rules import expected, reasons, urls
from k3s_rootless.ports.rules.expected import Wanted
from k3s_rootless.ports.rules.exposure import Running
from k3s_rootless.ports.rules.socket_index import Key, Sight, key_of

_BALANCED = ("127.0.0.1",)
_VERDICTS = {
    Status.FORWARDED: Verdict.PASS,
    Status.NOT_FORWARDED: Verdict.WARN,
    Status.UNKNOWN: Verdict.UNKNOWN,
}


def predict(
    planned: Sequence[ServicePort], pods: Iterable[PodPort], sources: Sources, running: Running
) -> tuple[Exposure, ...]:
    """Give a row for each port: FORWARDED where it would be, BLOCKED, COLLISION, NOT_FORWARDED or
    UNKNOWN with the reason.

    A Service of the cluster with the same namespace and name would be replaced, and is in nobody's
    way.
    """
    # Once servicelb has seen it, a LoadBalancer Service has an address.
    addressed = [
        replace(one, addresses=_BALANCED) if one.type == "LoadBalancer" else one for one in planned
    ]
    wants = set(expected.of_services(addressed, running.settings, running.version))
    named = {(one.namespace, one.service) for one in planned}
    there = {*_existing(sources, named, running), expected.api(running.settings)}
    claims: dict[Key, set[Wanted]] = {}
    for want in wants | there:
        if want.status is not Status.NOT_FORWARDED:
            claims.setdefault(want.key, set()).add(want)
    sight = Sight.of(sources, running.uid)
    forwarded = (
        {key_of(one) for one in sources.forwards.value}
        if isinstance(sources.forwards, Known)
        else set()
    )
    inside = _taken_inside(sources, there)
    rows = []
    for want in wants:
        others = sorted(claims.get(want.key, {want}) - {want}, key=lambda one: one.order)
        if want.why:
            rows.append(_made(want, want.status, want.why, (), sight))
        elif others:
            rows.append(_contested(want, others, sight))
        elif (want.proto, want.child_port) in inside:
            why = (
                f"K3s itself listens at port {want.child_port} of its namespace: a load balancer"
                " there would take its place"
            )
            rows.append(_made(want, Status.COLLISION, why, (), sight))
        else:
            rows.append(_alone(want, sight, taken=want.key in forwarded))
    vain = expected.never(addressed, pods, running.settings, running.version)
    rows += [_made(want, Status.NOT_FORWARDED, want.why, (), sight) for want in vain]
    return tuple(
        sorted(
            rows,
            key=lambda row: (row.target, row.proto, row.parent_port, row.child_port, row.reason),
        )
    )


def _existing(sources: Sources, named: set[tuple[str, str]], running: Running) -> Iterator[Wanted]:
    services = sources.services.value if isinstance(sources.services, Known) else ()
    others = [one for one in services if (one.namespace, one.service) not in named]
    return expected.of_services(others, running.settings, running.version)


def _taken_inside(sources: Sources, there: set[Wanted]) -> set[Key]:
    # Sockets inside that are no Service's are K3s's own (6444, 10250 and the like): a load balancer
    # there would cut them off.
    inside = sources.inside.value if isinstance(sources.inside, Known) else ()
    if not isinstance(sources.services, Known):
        return set()
    own = {
        (one.proto, port) for one in sources.services.value for port in (one.port, one.node_port)
    }
    return (
        {(one.proto, one.port) for one in inside}
        - own
        - {(one.proto, one.child_port) for one in there}
    )


def _contested(want: Wanted, others: list[Wanted], sight: Sight) -> Exposure:
    rivals = tuple(dict.fromkeys(one.target for one in others))
    why = (
        f"port {want.parent_port} of the host is wanted by {', '.join(rivals)} as well: K3s would"
        " give it to one of them"
    )
    return _made(want, Status.COLLISION, why, rivals, sight)


def _alone(want: Wanted, sight: Sight, *, taken: bool) -> Exposure:
    # `taken`: K3s forwards it already, so the socket there is its own, of the Service that would be
    # replaced.
    port, holder = want.parent_port, sight.holder(want.key)
    if sight.why is not None:
        return _made(
            want,
            Status.UNKNOWN,
            f"nobody could see who holds port {port} of the host: {sight.why}",
            (),
            sight,
        )
    if holder is not None and not taken:
        return _made(
            want,
            Status.BLOCKED,
            f"{reasons.described(holder, sight.uid)} holds port {port} of the host",
            (),
            sight,
        )
    if port < sight.unprivileged_from:
        return _made(
            want, Status.BLOCKED, reasons.privileged(port, sight.unprivileged_from), (), sight
        )
    if not want.certain:
        return _made(
            want,
            Status.UNKNOWN,
            "the release of K3s is not known, and only newer ones forward this",
            (),
            sight,
        )
    return _made(want, Status.FORWARDED, "", (), sight)


def _made(
    want: Wanted, status: Status, reason: str, rivals: tuple[str, ...], sight: Sight
) -> Exposure:
    url, guess = urls.guess(want, "")
    return Exposure(
        proto=want.proto,
        parent_ip="",
        parent_port=want.parent_port,
        child_port=want.child_port,
        kind=want.kind,
        status=status,
        verdict=_VERDICTS.get(status, Verdict.FAIL),
        reason=reason,
        namespace=want.namespace,
        service=want.service,
        port_name=want.name,
        target=want.target,
        offset=want.parent_port - want.child_port,
        holder=sight.holder(want.key) if status is Status.BLOCKED else None,
        rivals=rivals,
        explanation=reasons.explanation(want, ""),
        url=url,
        url_guess=guess,
    )
