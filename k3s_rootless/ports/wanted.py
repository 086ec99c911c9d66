"""Which forwards this release of K3s makes for these Services: its rules, as data, without a look at what is there.

K3s's pkg/rootlessports/controller.go (v1.21 to v1.36), read as a table: the API server's port always and never offset; nothing
else with servicelb disabled; then, for each Service of any type that has a load-balancer IP, each port and (in releases that do
that) each nodePort, TCP and (in releases that do that) UDP. SCTP, host names, ClusterIP and NodePort are never forwarded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from k3s_rootless.ports.facts import Kind, ServicePort
from k3s_rootless.printable import printable
from k3s_rootless.release import features
from k3s_rootless.release.flags import ServerSettings
from k3s_rootless.release.version import Version

API = "Kubernetes API"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One forward that K3s makes or could be expected to make.

    `pending` says why K3s does not make it (yet), and is empty when it does. `certain` is false when the release is not known
    well enough to tell whether it makes this one. `namespace`, `service` and `name` are printable.
    """

    proto: str
    parent_port: int
    child_port: int
    kind: Kind
    namespace: str = ""
    service: str = ""
    name: str = ""
    pending: str = ""
    certain: bool = True

    @property
    def target(self) -> str:
        """What stands at the child port, as people write it; a nodePort is marked as one."""
        if self.kind is Kind.API:
            return API
        suffix = " (nodePort)" if self.kind is Kind.NODE_PORT else ""
        return f"{self.namespace}/{self.service}:{self.child_port}{suffix}"

    @property
    def key(self) -> tuple[str, int]:
        """What rootlesskit can forward only once: protocol and port of the host."""
        return (self.proto, self.parent_port)

    @property
    def order(self) -> tuple[int, str, int, str, str, str, str, str, bool]:
        """Who comes first when two want the same: the API server, then by port and name; any order will do, if it is fixed."""
        first = 0 if self.kind is Kind.API else 1
        named = (self.namespace, self.service, self.name)
        return (first, self.proto, self.child_port, self.kind.value, *named, self.pending, self.certain)


def api(settings: ServerSettings) -> Wanted:
    """Give the forward of the API server, which K3s makes in any case and never offsets."""
    return Wanted("tcp", settings.https_port, settings.https_port, Kind.API)


def of_services(ports: Iterable[ServicePort], settings: ServerSettings, version: Version | None) -> Iterator[Wanted]:
    """Give the forwards of all ports that a load balancer stands for, or should; other Services yield none."""
    for port in sorted(set(ports), key=_order):
        if not is_internal(port):
            yield from _of_port(port, settings, version)


def is_internal(port: ServicePort) -> bool:
    """Tell whether K3s keeps this port inside the cluster by design."""
    return port.type != "LoadBalancer" and not port.addresses


def _of_port(port: ServicePort, settings: ServerSettings, version: Version | None) -> Iterator[Wanted]:
    pending = _pending(port, settings, version)
    certain = _known(version) or port.proto == "tcp"
    yield _wanted(port, port.port, Kind.SERVICE_PORT, pending=pending, certain=certain)
    if not port.node_port or port.node_port == port.port or pending:
        return
    if version is None or not _known(version):
        yield _wanted(port, port.node_port, Kind.NODE_PORT, pending="", certain=False)
    elif features.NODE_PORTS_FORWARDED.holds(version):
        yield _wanted(port, port.node_port, Kind.NODE_PORT, pending="", certain=True)


def _wanted(port: ServicePort, child: int, kind: Kind, *, pending: str, certain: bool) -> Wanted:
    return Wanted(
        proto=printable(port.proto),
        parent_port=features.child_to_parent_port(child),
        child_port=child,
        kind=kind,
        namespace=printable(port.namespace),
        service=printable(port.service),
        name=printable(port.name),
        pending=pending,
        certain=certain,
    )


def _pending(port: ServicePort, settings: ServerSettings, version: Version | None) -> str:
    if port.proto not in {"tcp", "udp"}:
        return f"K3s forwards TCP and UDP, never {printable(port.proto).upper()}"
    if not settings.servicelb:
        return "servicelb is disabled, and without it K3s forwards its API only"
    if port.proto == "udp" and version is not None and _known(version) and not features.UDP_FORWARDED.holds(version):
        return f"K3s {version} forwards TCP only"
    if port.addresses:
        return ""
    if port.hostnames:
        return "its load balancer has a host name only, and K3s forwards Services with an IP"
    return "its load balancer has no address yet"


def _known(version: Version | None) -> bool:
    # The number of a build between releases can be older than what is in it (K3s scripts/version.sh).
    return version is not None and not version.commit_build


def _order(port: ServicePort) -> tuple[str, str, str, int, str, int, str, tuple[str, ...], tuple[str, ...]]:
    return (
        port.namespace,
        port.service,
        port.proto,
        port.port,
        port.name,
        port.node_port,
        port.type,
        port.addresses,
        port.hostnames,
    )
