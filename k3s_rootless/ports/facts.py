"""What each source says about ports, and the rows that come of it: frozen records, no decisions.

Words are rootlesskit's own: the *parent* is the namespace of the host, the *child* the one that K3s
lives in. An empty `parent_ip` means all addresses of the host, IPv4 and IPv6; an empty `child_ip`
means the driver's own choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from k3s_rootless.finding import Verdict
from k3s_rootless.linux.facts import Listener
from k3s_rootless.observation import Known, Observed
from k3s_rootless.rootlesskit.facts import Forward


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of one Service; `proto` is lower case, `node_port` 0 for none.

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
    """One hostPort that a Pod (or the template of one, by its owner's name) asks for."""

    namespace: str
    owner: str
    proto: str
    port: int


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a port, as far as it can be seen: process and unit only of our own, `user` by the
    user database.

    `address` is where their socket listens. `of_unit` is whether the process is in the control
    group of K3s's own unit.
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
    """What was seen, each for itself, or why it was not; a judge reads it as one moment.

    `inside` are the sockets of the child namespace, where rootlesskit's port driver connects to the
    address `dials`. `holders` tells who has those of the host's sockets that stand in the way.
    `unprivileged_from` is the first port that a user may listen at (sysctl
    net.ipv4.ip_unprivileged_port_start). `pods` is asked for only where all is to be shown.
    """

    forwards: Observed[tuple[Forward, ...]]
    services: Observed[tuple[ServicePort, ...]]
    listeners: Observed[tuple[Listener, ...]]
    inside: Observed[tuple[Listener, ...]]
    dials: str = "127.0.0.1"
    holders: Mapping[Listener, Holder] = field(default_factory=dict)
    pods: Observed[tuple[PodPort, ...]] = field(default_factory=lambda: Known(()))
    unprivileged_from: int = 1024


@dataclass(frozen=True, slots=True)
class Probe:
    """What a real connection through a forward met: `well`, None where UDP says nothing; `said` is
    what was heard.

    `milliseconds` is the time to the connection for TCP, to the handshake or the status where those
    were asked for.
    """

    said: str
    well: bool | None = None
    milliseconds: float | None = None


class Kind(Enum):
    """What a row is about; `unknown` when no source could name what the forward is for."""

    API = "api"
    SERVICE_PORT = "service-port"
    NODE_PORT = "node-port"
    HOST_PORT = "host-port"
    STRAY = "stray"
    UNKNOWN = "unknown"


class Status(Enum):
    """How it stands with one row; docs/explanation/ports.md says how each comes about.

    `answering`: all four sources agree. `forwarded`: all that can be seen agrees, and inside no
    socket was seen, which is usual for K3s's own load balancer: it redirects in the kernel.
    `silent`: forwarded, and nobody is there.
    """

    ANSWERING = "answering"
    FORWARDED = "forwarded"
    PENDING = "pending"
    BLOCKED = "blocked"
    COLLISION = "collision"
    STALLED = "stalled"
    NOT_FORWARDED = "not-forwarded"
    SILENT = "silent"
    STRAY = "stray"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Exposure:
    """One row: a port of the host, the port of the child that it reaches, and what stands there.

    `target` reads `namespace/Service:port`, `Kubernetes API`, or is empty when nobody could name
    it. `offset` is 10000 where K3s adds it, else 0. `forwarded`, `listening` (on the host) and
    `inside` (a socket of the child) are None when nobody could look. `listens_on` holds the
    addresses of the host's sockets. `rivals` are other targets for which K3s wants this very port
    of the host. `reason` says why the verdict is not `pass`; `explanation` is one sentence about
    the row. All text is printable, whoever wrote it.
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
    listening: bool | None = None
    inside: bool | None = None
    listens_on: tuple[str, ...] = ()
    holder: Holder | None = None
    rivals: tuple[str, ...] = ()
    explanation: str = ""
    url: str = ""
    url_guess: str = ""
    probe: Probe | None = None


@dataclass(frozen=True, slots=True)
class PortMap:
    """All rows in a fixed order, and what is no row.

    `internal` counts the Services that K3s keeps inside the cluster (ClusterIP, NodePort and the
    like), None when nobody could look. `blind` holds, for each source that could not be read, its
    name and the reason. `starting` is whether K3s has not reached its API server's forward yet.
    """

    rows: tuple[Exposure, ...]
    internal: int | None
    blind: tuple[tuple[str, str], ...]
    starting: bool = False
