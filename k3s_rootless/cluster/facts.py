"""What a kubeconfig says, and what the API server says about itself and its nodes: frozen
records.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")
_CLOCK_GRAIN = timedelta(seconds=1)
"""File systems round times, some to whole seconds: a file of the same second is of this start."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The address of the API server, and the PEM certificates and key of an administrator of the
    cluster.

    `path` is the file or directory that they were read from. The key is left out of the
    representation.
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

    `modified` (UTC) tells whether this start of K3s wrote it: rootless K3s does so at each start.
    `mode` is that of the file.
    """

    server: str
    modified: datetime
    mode: int

    def is_older_than(self, started: datetime | None) -> bool:
        """Return whether an earlier start of K3s than the one at `started` wrote the file."""
        return started is not None and self.modified + _CLOCK_GRAIN < started


@dataclass(frozen=True, slots=True)
class Readiness:
    """The answer of `/readyz`: `failing` holds the names of the checks that it says are not well.

    `certificate` (DER) is what the server showed of itself; empty where it was not asked over TLS.
    """

    ready: bool
    failing: tuple[str, ...] = ()
    certificate: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Node:
    """One node: `ready` is None when its condition is missing or reads `Unknown`; `reason` says why
    it is not ready.

    `since` (UTC, whole seconds) is when the condition last became what it is, `reported` when the
    kubelet last reported it; None where the node does not say.
    """

    name: str
    ready: bool | None
    version: str
    reason: str = ""
    since: datetime | None = None
    reported: datetime | None = None


@dataclass(frozen=True, slots=True)
class Deployment:
    """One Deployment: whether enough of its replicas are available, and why not."""

    name: str
    available: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """What was listed, and the version of the cluster's state (Kubernetes' resourceVersion) from
    which a watch goes on.
    """

    items: tuple[T, ...]
    version: str
