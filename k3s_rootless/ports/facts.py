"""What each source shows about ports, and the rows that follow: frozen records, no decisions.

The terms are those of rootlesskit: the *parent* is the namespace of the host, the *child* the
namespace that K3s runs in. An empty `parent_ip` means all addresses of the host, IPv4 and IPv6. An
empty `child_ip` means that the driver chooses the address.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from k3s_rootless.finding import Verdict
from k3s_rootless.k3s.settings import Settings
from k3s_rootless.k3s.version import Version
from k3s_rootless.linux.facts import Listener
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.rootlesskit.facts import Forward


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of one Service; `proto` is lower case, and `node_port` is 0 if there is none.

    `addresses` and `hostnames` are those of its load balancer (`status.loadBalancer.ingress`).
    """

    namespace: str
    service: str
    name: str
    proto: str
    port: int
    node_port: int
    type: str
    addresses: tuple[str, ...] = ()
    hostnames: tuple[str, ...] = ()
    app_protocol: str = ""


@dataclass(frozen=True, slots=True)
class PodPort:
    """One hostPort of a Pod, or of a Pod template; `owner` names the object that holds it."""

    namespace: str
    owner: str
    proto: str
    port: int


@dataclass(frozen=True, slots=True)
class Holder:
    """The owner of a port; process and unit are known for the caller's own processes only.

    `user` is the name in the user database, `address` the address where the socket listens.
    `of_unit` is true if the process is in the control group of K3s's own unit.
    """

    uid: int
    user: str = ""
    pid: int | None = None
    program: str = ""
    unit: str = ""
    address: str = ""
    of_unit: bool = False


@dataclass(frozen=True, slots=True)
class Sources:
    """The answer of each source, or why it could not be read; all answers count as one moment.

    `inside` are the sockets of the child namespace, where rootlesskit's port driver connects to the
    address `dials`. `holders` names the owners of those host sockets that block a forward.
    `unprivileged_from` is the first port that a user is allowed to listen on (sysctl
    net.ipv4.ip_unprivileged_port_start). `pods` is read only if all ports are shown.
    """

    forwards: Observed[tuple[Forward, ...]]
    services: Observed[tuple[ServicePort, ...]]
    listeners: Observed[tuple[Listener, ...]]
    inside: Observed[tuple[Listener, ...]]
    dials: str = "127.0.0.1"
    holders: Mapping[Listener, Holder] = field(default_factory=dict)
    pods: Observed[tuple[PodPort, ...]] = field(default_factory=lambda: Known(()))
    unprivileged_from: int = 1024

    def unread(self) -> tuple[tuple[str, str], ...]:
        """Return name and reason of each source that could not be read."""
        named = {
            "rootlesskit": self.forwards,
            "services": self.services,
            "sockets": self.listeners,
            "child": self.inside,
            "pods": self.pods,
        }
        return tuple((name, one.reason) for name, one in named.items() if isinstance(one, Unknown))


@dataclass(frozen=True, slots=True)
class Running:
    """The K3s that the ports belong to; `seconds` is how long it has been running, if known."""

    settings: Settings
    version: Version | None
    uid: int
    unit_group: str = ""
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """The result of a real connection through a forward.

    `answered` is None if this is unknown, because UDP does not confirm delivery. `result` is text.
    `milliseconds` is the time to the connection for TCP, to the handshake for TLS and to the status
    for HTTP.
    """

    result: str
    answered: bool | None = None
    milliseconds: float | None = None


class Kind(Enum):
    """The object that a row is about.

    `orphaned` if no Service needs the forward, `unknown` if the Services could not be read.
    """

    API = "api"
    SERVICE_PORT = "service-port"
    NODE_PORT = "node-port"
    HOST_PORT = "host-port"
    ORPHANED = "orphaned"
    UNKNOWN = "unknown"


class Status(Enum):
    """The state of one row; docs/explanation/ports.md explains when each state is reported.

    - `listening`: all four sources agree.
    - `forwarded`: the same without a socket inside. This is usual for K3s's own load balancer,
      which redirects in the kernel.
    - `unreachable`: forwarded, but no process listens, or a connection failed.
    - `orphaned`: forwarded, but no Service needs the forward.
    """

    LISTENING = "listening"
    FORWARDED = "forwarded"
    PENDING = "pending"
    PORT_IN_USE = "port-in-use"
    PRIVILEGED_PORT = "privileged-port"
    PORT_CONFLICT = "port-conflict"
    STALLED = "stalled"
    NOT_FORWARDED = "not-forwarded"
    UNREACHABLE = "unreachable"
    ORPHANED = "orphaned"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Exposure:
    """One row: a port of the host, the port of the child that it reaches, and its state.

    - `target` is `namespace/Service:port` or `Kubernetes API`, and is empty if no source names it.
    - `offset` is 10000 where K3s adds it, else 0.
    - `forwarded`, `parent_listening` (a socket of the host) and `child_listening` (a socket of the
      child) are None if the source could not be read.
    - `used_by` is the owner of the host port if a conflict with it is the reason.
    - `listens_on` holds the addresses of the host's sockets.
    - `conflicts_with` are other targets for which K3s needs the same host port.
    - `reason` is why the verdict is not `pass`; `explanation` is one sentence about the row.

    All text is printable, whatever its source.
    """

    proto: str
    parent_ip: str
    parent_port: int
    child_port: int
    kind: Kind
    status: Status
    verdict: Verdict
    reason: str
    namespace: str = ""
    service: str = ""
    port_name: str = ""
    target: str = ""
    offset: int = 0
    forwarded: bool | None = False
    parent_listening: bool | None = None
    child_listening: bool | None = None
    listens_on: tuple[str, ...] = ()
    used_by: Holder | None = None
    conflicts_with: tuple[str, ...] = ()
    explanation: str = ""
    url: str = ""
    url_guess: str = ""
    probe: Probe | None = None

    @property
    def is_reachable(self) -> bool:
        """True if a program is reachable at the URL of the row."""
        return self.status in {Status.LISTENING, Status.FORWARDED}

    @property
    def is_never_forwarded(self) -> bool:
        """True if K3s forwards no port of this kind, so that the row has no host port."""
        return self.status is Status.NOT_FORWARDED and self.verdict is Verdict.WARN


@dataclass(frozen=True, slots=True)
class PortMap:
    """All rows in a fixed order, and the facts that are about no single row.

    `internal` counts the Services that K3s keeps inside the cluster (ClusterIP, NodePort and the
    like); None if the Services could not be read. `node_ports` counts the NodePort Services among
    them that have no row. `unread` holds name and reason of each source that could not be read.
    `starting` is true if K3s has not forwarded its API server's port yet.
    """

    rows: tuple[Exposure, ...]
    internal: int | None
    unread: tuple[tuple[str, str], ...]
    starting: bool = False
    node_ports: int = 0
