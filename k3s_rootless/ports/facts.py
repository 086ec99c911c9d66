"""What each source says about ports, and the rows that come of it: frozen records, no decisions.

Words are rootlesskit's own: the *parent* is the namespace of the host, the *child* the one that K3s lives in. An empty
`parent_ip` means all addresses of the host, IPv4 and IPv6; an empty `child_ip` means the driver's own choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from k3s_rootless.finding import Verdict


@dataclass(frozen=True, slots=True)
class Forward:
    """One forward as rootlesskit lists it (`GET /v1/ports`); `proto` is tcp, tcp4, tcp6, udp, udp4 or udp6."""

    proto: str
    parent_ip: str
    parent_port: int
    child_port: int
    child_ip: str


@dataclass(frozen=True, slots=True)
class RootlessKit:
    """What rootlesskit says about itself (`GET /v1/info`); what a release does not tell is None."""

    version: str | None
    state_directory: str | None
    child_pid: int | None
    network_driver: str | None
    port_driver: str | None
    child_ip: str | None


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


@dataclass(frozen=True, slots=True)
class Listener:
    """One socket of the host that takes what arrives at a port; `uid` owns it, `proto` is tcp or udp."""

    proto: str
    address: str
    port: int
    uid: int
    inode: int | None = None


class Kind(Enum):
    """What a row is about; `unknown` when no source could name what the forward is for."""

    API = "api"
    SERVICE_PORT = "service-port"
    NODE_PORT = "node-port"
    STRAY = "stray"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Exposure:
    """One row: a port of the host, the port of the child that it reaches, and what stands there.

    `target` reads `namespace/Service:port`, `Kubernetes API`, or is empty when nobody could name it. `offset` is 10000 where
    K3s adds it, else 0. `forwarded` and `listening` are None when nobody could look. `reason` says why the verdict is not
    `pass`; `explanation` is one sentence about the row. All text is printable, whoever wrote it.
    """

    proto: str
    parent_ip: str
    parent_port: int
    child_port: int
    kind: Kind
    namespace: str
    service: str
    port_name: str
    target: str
    offset: int
    forwarded: bool | None
    listening: bool | None
    verdict: Verdict
    reason: str
    explanation: str


@dataclass(frozen=True, slots=True)
class PortMap:
    """All rows in a fixed order, and what is no row.

    `internal` counts the Services that K3s keeps inside the cluster (ClusterIP, NodePort and the like), None when nobody could
    look. `blind` holds, for each source that could not be read, its name and the reason.
    """

    rows: tuple[Exposure, ...]
    internal: int | None
    blind: tuple[tuple[str, str], ...]
