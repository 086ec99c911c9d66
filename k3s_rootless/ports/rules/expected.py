"""The forwards that a release of K3s makes for a set of Services, computed without the host.

The rules come from K3s's pkg/rootlessports/controller.go (v1.21 to v1.36):

- K3s always forwards the API server's port, and never offsets it.
- If servicelb is disabled, K3s forwards nothing else.
- Otherwise K3s forwards each port of each Service that has a load-balancer IP, whatever the type of
  the Service. Some releases forward each nodePort as well.
- K3s forwards TCP, and in some releases UDP.
- K3s never forwards SCTP, host names, ClusterIP, NodePort and the hostPorts of Pods.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from k3s_rootless.k3s import features
from k3s_rootless.k3s.settings import Settings
from k3s_rootless.k3s.version import Version
from k3s_rootless.ports.facts import Kind, PodPort, ServicePort, Status
from k3s_rootless.printable import printable

API = "Kubernetes API"
_NO_HOST_PORTS = (
    "K3s forwards ports of Services, not hostPorts of Pods; create a Service of type LoadBalancer"
    " for this port"
)
_NO_AGENT = "K3s runs without its agent (disable-agent), so it forwards no ports"
_API_OF_HOST = (
    "K3s runs without its agent (disable-agent): its API server listens on this port of the host"
    " itself"
)
_NO_SERVICELB = "servicelb is disabled; without it, K3s forwards only the port of its API server"
_NO_HOST_NAMES = "the load balancer has only a host name; K3s forwards Services with an IP address"
_MARKS = {Kind.NODE_PORT: " (nodePort)", Kind.HOST_PORT: " (hostPort)"}


@dataclass(frozen=True, slots=True)
class ExpectedForward:
    """One forward that K3s makes, or that a user could expect.

    `status` is FORWARDED if K3s makes it, PENDING if it waits for an address, and NOT_FORWARDED if
    K3s never makes it. `why` is the reason for the last two, else empty. `certain` is false if the
    release is not known well enough. `namespace`, `service` and `name` are printable.
    """

    proto: str
    parent_port: int
    child_port: int
    kind: Kind
    namespace: str = ""
    service: str = ""
    name: str = ""
    status: Status = Status.FORWARDED
    why: str = ""
    certain: bool = True
    app_protocol: str = ""

    @property
    def target(self) -> str:
        """The object that the child port belongs to, with a mark for nodePorts and hostPorts."""
        if self.kind is Kind.API:
            return API
        if self.kind in {Kind.ORPHANED, Kind.UNKNOWN}:
            return ""
        return f"{self.namespace}/{self.service}:{self.child_port}{_MARKS.get(self.kind, '')}"

    @property
    def offset(self) -> int:
        """The number that K3s adds to the child port; 0 for a forward that K3s did not make."""
        if self.kind in {Kind.ORPHANED, Kind.UNKNOWN}:
            return 0
        return self.parent_port - self.child_port

    @property
    def key(self) -> tuple[str, int]:
        """Protocol and host port, which rootlesskit can forward only once."""
        return (self.proto, self.parent_port)

    @property
    def order(self) -> tuple[int, str, int, str, str, str, str, str, str, bool, str]:
        """The sort key of forwards that need the same port.

        First the API server, then what K3s forwards, then the rest; within these, any fixed order.
        """
        named = (self.namespace, self.service, self.name)
        rest = (self.status.value, self.why, self.certain, self.app_protocol)
        return (self._rank(), self.proto, self.child_port, self.kind.value, *named, *rest)

    def _rank(self) -> int:
        if self.kind is Kind.API:
            return 0
        if not self.why:
            return 1
        return 2


def api(settings: Settings) -> ExpectedForward:
    """Return the forward of the API server, which K3s never offsets.

    K3s always makes it, unless it runs without its agent.
    """
    if settings.agentless:
        port = settings.https_port
        return ExpectedForward(
            "tcp", port, port, Kind.API, status=Status.NOT_FORWARDED, why=_API_OF_HOST
        )
    return ExpectedForward("tcp", settings.https_port, settings.https_port, Kind.API)


def of_services(
    ports: Iterable[ServicePort], settings: Settings, version: Version | None
) -> Iterator[ExpectedForward]:
    """Yield the forwards of all ports that a load balancer serves or should serve.

    Other Services have no forwards.
    """
    for port in set(ports):
        if is_internal(port):
            continue
        if settings.agentless:
            status = Status.NOT_FORWARDED
            yield _expected(port, port.port, Kind.SERVICE_PORT, status, _NO_AGENT)
        else:
            yield from _of_port(port, settings, version)


def never(
    ports: Iterable[ServicePort],
    pods: Iterable[PodPort],
    settings: Settings,
    version: Version | None,
) -> Iterator[ExpectedForward]:
    """Yield the ports that K3s never forwards, each with the reason.

    These are the ports that `of_services` leaves out.
    """
    without_node_ports = (
        settings.servicelb and _known(version) and not _forwards_node_ports(version)
    )
    for port in set(ports):
        if is_internal(port):
            yield from _internal(port)
        elif without_node_ports and port.node_port:
            why = f"K3s {version} does not forward nodePorts; v1.29.3 and later do"
            yield _expected(port, port.node_port, Kind.NODE_PORT, Status.NOT_FORWARDED, why)
    for pod in set(pods):
        yield ExpectedForward(
            proto=printable(pod.proto),
            parent_port=features.child_to_parent_port(pod.port),
            child_port=pod.port,
            kind=Kind.HOST_PORT,
            namespace=printable(pod.namespace),
            service=printable(pod.owner),
            status=Status.NOT_FORWARDED,
            why=_NO_HOST_PORTS,
        )


def is_internal(port: ServicePort) -> bool:
    """Return whether K3s keeps this port inside the cluster by design."""
    return port.type != "LoadBalancer" and not port.addresses


def _internal(port: ServicePort) -> Iterator[ExpectedForward]:
    why = _why_internal(port)
    yield _expected(port, port.port, Kind.SERVICE_PORT, Status.NOT_FORWARDED, why)
    if port.node_port and port.node_port != port.port:
        yield _expected(port, port.node_port, Kind.NODE_PORT, Status.NOT_FORWARDED, why)


def _of_port(
    port: ServicePort, settings: Settings, version: Version | None
) -> Iterator[ExpectedForward]:
    status, why = _state(port, settings, version)
    certain = _known(version) or port.proto == "tcp"
    yield _expected(port, port.port, Kind.SERVICE_PORT, status, why, certain=certain)
    if not port.node_port or port.node_port == port.port or why:
        return
    if not _known(version):
        yield _expected(port, port.node_port, Kind.NODE_PORT, Status.FORWARDED, "", certain=False)
    elif _forwards_node_ports(version):
        yield _expected(port, port.node_port, Kind.NODE_PORT, Status.FORWARDED, "")


def _expected(
    port: ServicePort, child: int, kind: Kind, status: Status, why: str, *, certain: bool = True
) -> ExpectedForward:
    return ExpectedForward(
        proto=printable(port.proto),
        parent_port=features.child_to_parent_port(child),
        child_port=child,
        kind=kind,
        namespace=printable(port.namespace),
        service=printable(port.service),
        name=printable(port.name),
        status=status,
        why=why,
        certain=certain,
        app_protocol=printable(port.app_protocol),
    )


def _state(port: ServicePort, settings: Settings, version: Version | None) -> tuple[Status, str]:
    if port.proto not in {"tcp", "udp"}:
        proto = printable(port.proto).upper()
        return Status.NOT_FORWARDED, f"K3s forwards TCP and UDP only, not {proto}"
    if not settings.servicelb:
        return Status.NOT_FORWARDED, _NO_SERVICELB
    if port.proto == "udp" and _known(version) and not _forwards_udp(version):
        return Status.NOT_FORWARDED, f"K3s {version} forwards TCP only"
    if port.addresses:
        return Status.FORWARDED, ""
    if port.hostnames:
        return Status.NOT_FORWARDED, _NO_HOST_NAMES
    return Status.PENDING, "the load balancer has no address yet"


def conflicts(entries: Iterable[ExpectedForward]) -> dict[ExpectedForward, tuple[str, ...]]:
    """Return the other targets that need the same host port, for each forward with a conflict."""
    # A port that is never forwarded has no conflicts. A port that waits for an address conflicts
    # with the targets that block it: a load balancer has each port once (K3s's servicelb is a Pod
    # with hostPorts).
    groups: dict[tuple[str, int], list[ExpectedForward]] = {}
    for entry in entries:
        if entry.status is not Status.NOT_FORWARDED:
            groups.setdefault(entry.key, []).append(entry)
    found: dict[ExpectedForward, tuple[str, ...]] = {}
    for group in groups.values():
        if len(group) == 1:
            continue
        settled = [one for one in group if one.status is Status.FORWARDED] or group[:1]
        targets = list(dict.fromkeys(one.target for one in settled))
        for entry in group:
            found[entry] = tuple(target for target in targets if target != entry.target)
    return found


def _why_internal(port: ServicePort) -> str:
    if port.type == "NodePort":
        return "this is a NodePort Service; K3s forwards nodePorts of LoadBalancer Services only"
    return (
        f"a Service of type {printable(port.type, 40)} is reachable inside the cluster only; K3s"
        " forwards Services of type LoadBalancer"
    )


def _known(version: Version | None) -> bool:
    # The version of a build between releases can be older than its code (K3s scripts/version.sh).
    return version is not None and not version.commit_build


def _forwards_udp(version: Version | None) -> bool:
    return version is not None and features.UDP_FORWARDED.holds(version)


def _forwards_node_ports(version: Version | None) -> bool:
    return version is not None and features.NODE_PORTS_FORWARDED.holds(version)
