"""The content of a kubeconfig, and the answers of the API server: frozen records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")
_CLOCK_GRAIN = timedelta(seconds=1)
"""The rounding of file times, to whole seconds on some file systems.

So a file of the same second belongs to this start.
"""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The address of the API server, and the certificates of an administrator of the cluster.

    Certificates and key are PEM. `path` is the file or directory that they were read from. The key
    is left out of the representation.
    """

    path: Path
    host: str
    port: int
    authority: bytes
    certificate: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Kubeconfig(Credentials):
    """The current context of a kubeconfig.

    `modified` (UTC) shows whether this start of K3s wrote the file: rootless K3s writes it at each
    start. `mode` is the mode of the file.
    """

    server: str
    modified: datetime
    mode: int

    def is_older_than(self, started: datetime | None) -> bool:
        """Return whether an earlier start of K3s than the one at `started` wrote the file."""
        return started is not None and self.modified + _CLOCK_GRAIN < started


@dataclass(frozen=True, slots=True)
class Readiness:
    """The answer of `/readyz`; `failing` holds the names of the checks that fail.

    `certificate` (DER) is the certificate of the server; empty without TLS.
    """

    ready: bool
    failing: tuple[str, ...] = ()
    certificate: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Node:
    """One node: `ready` is None if its condition is missing or `Unknown`.

    `reason` is why the node is not ready. `since` (UTC, whole seconds) is when the condition last
    changed, `reported` when the kubelet last reported it; None if the node does not contain the
    time.
    """

    name: str
    ready: bool | None
    version: str
    reason: str = ""
    since: datetime | None = None
    reported: datetime | None = None


@dataclass(frozen=True, slots=True)
class NodeMarks:
    """The labels of a node, and the values of its taints by key and effect."""

    name: str
    labels: Mapping[str, str]
    taints: Mapping[tuple[str, str], str]


@dataclass(frozen=True, slots=True)
class Deployment:
    """One Deployment: whether enough of its replicas are available, and why not."""

    name: str
    available: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Pod:
    """One Pod that has not ended; `grace` is the time in seconds that it may take to end.

    `by_daemon_set` is true if a DaemonSet owns the Pod: it is created again at once, on any node.
    """

    namespace: str
    name: str
    uid: str
    grace: float
    by_daemon_set: bool = False

    @property
    def text(self) -> str:
        """The namespace and the name of the Pod."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """The listed objects, and the version of the cluster's state (Kubernetes' resourceVersion).

    A watch continues from this version.
    """

    items: tuple[T, ...]
    version: str
