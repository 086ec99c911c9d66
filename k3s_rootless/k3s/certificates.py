"""The files of K3s's certificates: their use, their service, and what renews each of them.

Sources: K3s pkg/daemons/control/deps, pkg/agent/config, pkg/util/services and pkg/cluster/https.go,
v1.21 to v1.36, and rancher/dynamiclistener.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import PurePosixPath

from k3s_rootless.k3s import layout
from k3s_rootless.k3s.features import Since
from k3s_rootless.k3s.version import Version

_LONG_WINDOW = Since.of("v1.30.13+k3s1", "v1.31.9+k3s1", "v1.32.5+k3s1", "v1.33.1+k3s1")
"""K3s renews within 120 days, and before within 90 days (K3s commit 4c1f014d2)."""
_SUPERVISOR = Since.of("v1.27.13+k3s1", "v1.28.9+k3s1", "v1.29.4+k3s1", "v1.30.0+k3s1")
"""`--service supervisor` (K3s commit 60248c42d)."""

AUTHORITY_DAYS = 365
"""K3s warns of the end of an authority within this time (its pkg/certmonitor)."""
DIRECTORIES = (
    layout.TLS,
    f"{layout.TLS}/etcd",
    f"{layout.TLS}/kube-scheduler",
    f"{layout.TLS}/kube-controller-manager",
    layout.AGENT,
)
"""Where K3s keeps its certificates."""
DYNAMIC = "dynamic-cert.json"
"""The certificate of port 6443, as a Secret in JSON."""
REGENERATE = "dynamic-cert-regenerate"
"""K3s writes this file in `layout.TLS` with new authorities, and removes it at its next start."""
_COPIES = frozenset({"client-ca.nochain.crt", "server-ca.nochain.crt"})
_AUTHORITY = "-ca.crt"


class Renewal(Enum):
    """What renews a certificate."""

    START = "start"
    EACH_START = "each-start"
    RUNNING = "running"
    NEVER = "never"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Purpose:
    """The use of a certificate, the service that `certificate rotate` knows, and its renewal."""

    use: str
    service: str
    renewal: Renewal


_TLS = {
    "client-admin": ("the kubeconfig of users", "admin"),
    "client-supervisor": ("K3s's supervisor to the API server", "supervisor"),
    "client-controller": ("controller manager to the API server", "controller-manager"),
    "client-scheduler": ("scheduler to the API server", "scheduler"),
    "client-kube-apiserver": ("API server to the kubelet", "api-server"),
    "serving-kube-apiserver": ("API server, inside the namespaces", "api-server"),
    "client-k3s-cloud-controller": ("cloud controller to the API server", "cloud-controller"),
    "client-kube-proxy": ("kube-proxy to the API server", "kube-proxy"),
    "client-k3s-controller": ("K3s's node controllers to the API server", "k3s-controller"),
    "client-auth-proxy": ("API server to aggregated API servers", "auth-proxy"),
    "kube-scheduler/kube-scheduler": ("scheduler, its own port", "scheduler"),
    "kube-controller-manager/kube-controller-manager": (
        "controller manager, its own port",
        "controller-manager",
    ),
    "etcd/client": ("API server to etcd", "etcd"),
    "etcd/server-client": ("etcd, its port for clients", "etcd"),
    "etcd/peer-server-client": ("etcd, its port for peers", "etcd"),
}
_AGENT = {
    "client-kubelet": ("kubelet to the API server", "kubelet"),
    "serving-kubelet": ("kubelet, its own port", "kubelet"),
    "client-kube-proxy": ("kube-proxy to the API server", "kube-proxy"),
    "client-k3s-controller": ("K3s's node controllers to the API server", "k3s-controller"),
}
_AUTHORITIES = {
    "server-ca": "certificates of servers",
    "client-ca": "certificates of clients",
    "request-header-ca": "the certificate for aggregated API servers",
    "etcd/server-ca": "certificates of etcd",
    "etcd/peer-ca": "certificates of etcd's peers",
}
AUTHORITIES = tuple(f"{name}.crt" for name in _AUTHORITIES)
"""The certificate authorities, below `layout.TLS`; the key of each is beside it."""
PURPOSES = {
    **{
        f"{layout.TLS}/{name}.crt": Purpose(use, service, Renewal.START)
        for name, (use, service) in _TLS.items()
    },
    f"{layout.TLS}/{DYNAMIC}": Purpose(
        "port of the API server on the host", "k3s-server", Renewal.RUNNING
    ),
    # The agent requests these at each start, with the keys that it has.
    **{
        f"{layout.AGENT}/{name}.crt": Purpose(use, service, Renewal.EACH_START)
        for name, (use, service) in _AGENT.items()
    },
    **{
        f"{layout.TLS}/{name}.crt": Purpose(f"authority of {use}", "", Renewal.NEVER)
        for name, use in _AUTHORITIES.items()
    },
}
"""By the path below the data directory."""
_OTHER = Purpose("not known to k3s-rootless", "", Renewal.UNKNOWN)
_SERVICES: dict[str, Since | None] = {
    **{one.service: None for one in PURPOSES.values() if one.service},
    "supervisor": _SUPERVISOR,
}


def window_days(release: Version | None) -> int:
    """Return within how many days of its end K3s renews a certificate; 120 if it is not known."""
    if release is None or _LONG_WINDOW.holds(release):
        return 120
    return 90


def services(release: Version | None) -> tuple[str, ...]:
    """Return the services that `certificate rotate --service` of a release knows, in order."""
    return tuple(
        sorted(
            name
            for name, since in _SERVICES.items()
            if since is None or release is None or since.holds(release)
        )
    )


def purpose(name: str) -> Purpose:
    """Return the purpose of a file; `name` is its path below the data directory."""
    return PURPOSES.get(name, _OTHER)


def is_listed(name: str) -> bool:
    """Return whether a file has a certificate of its own, and is not a copy of an authority."""
    path = PurePosixPath(name)
    if path.name in _COPIES:
        return False
    if str(path.parent) == layout.AGENT:
        return path.suffix == ".crt" and not path.name.endswith(_AUTHORITY)
    return path.suffix == ".crt" or name == f"{layout.TLS}/{DYNAMIC}"
