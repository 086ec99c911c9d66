"""What is known about the host and the user before a start: frozen records without behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from k3s_rootless.k3s.issued import Baked
from k3s_rootless.k3s.settings import Settings
from k3s_rootless.k3s.version import Version
from k3s_rootless.observation import Observed, Unknown
from k3s_rootless.preflight.records import (
    Beside,
    Caller,
    Cluster,
    Confinement,
    Held,
    Machine,
    Modules,
    Network,
    Problem,
    Process,
    Resolver,
    Storage,
    Target,
    Token,
    Trial,
    Unit,
)

NOT_ASKED = Unknown("nobody asked for it")
"""A fact that no check of this run needs."""


class CgroupMode(Enum):
    """How the host mounts control groups."""

    UNIFIED = "unified (cgroup v2)"
    HYBRID = "hybrid (cgroup v1, with v2 beside it)"
    LEGACY = "legacy (cgroup v1)"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Delegation:
    """Which controllers reach how far on their way from the kernel to a unit of the user.

    `kernel` are those that cgroup v2 has at all; `configured` is what user@UID.service is told to
    delegate, `realized` what its cgroup holds, and `effective` what a unit with `Delegate=yes` was
    really given.
    """

    kernel: Observed[frozenset[str]]
    configured: Observed[frozenset[str]]
    realized: Observed[frozenset[str]]
    effective: Observed[frozenset[str]]


@dataclass(frozen=True, slots=True)
class RuntimeDirectory:
    """The runtime directory that this process was given (`given`), or else the one that the uid
    leads to.
    """

    path: str
    given: bool
    exists: bool
    owner: int
    mode: int


@dataclass(frozen=True, slots=True)
class MapProgram:
    """newuidmap or newgidmap as the unit will find it; `path` is None where it is not on the unit's
    PATH.
    """

    path: str | None
    owner: int = 0
    setuid: bool = False
    capable: bool = False
    nosuid: bool = False


@dataclass(frozen=True, slots=True)
class SubidRange:
    """One range of subordinate ids: the first, and how many."""

    start: int
    count: int


@dataclass(frozen=True, slots=True)
class K3sBinary:
    """The k3s that a unit would start; `path` is None where there is none.

    `version` is what it says of itself.

    `risk` says why another user could change it, empty if none could; such a k3s is not run.
    `owner` is the uid of its owner.
    """

    path: str | None
    executable: bool = False
    owner: int = 0
    risk: str = ""
    version: Observed[Version] | None = None


@dataclass(frozen=True, slots=True)
class SubidFiles:
    """/etc/subuid and /etc/subgid: which of them are links, the ranges of others as (file, owner,
    range), and real uids.
    """

    links: tuple[str, ...]
    others: tuple[tuple[str, str, SubidRange], ...]
    users: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the checks judge, each Observed read by a probe of its own.

    `sysctls` maps a key to its value, or to None where this kernel does not have it. `devices` maps
    a device to 0 or the errno of opening it. `programs` maps a name to where the unit's PATH has
    it, or None. `server` is what the unit asks of K3s, or K3s's defaults. `target` is the
    kubeconfig that K3s writes, `kubeconfigs` are K3s's own, and `cluster` is what the datastore
    keeps of earlier settings.
    """

    uid: int
    user: str
    machine: str
    systemd_booted: bool
    runtime: RuntimeDirectory
    server: Settings
    user_manager: Observed[str]
    cgroup: Observed[CgroupMode]
    delegation: Delegation
    sysctls: Mapping[str, Observed[str | None]]
    trial: Observed[Trial]
    confinement: Observed[Confinement]
    newuidmap: Observed[MapProgram]
    newgidmap: Observed[MapProgram]
    subuid: Observed[tuple[SubidRange, ...]]
    subgid: Observed[tuple[SubidRange, ...]]
    subid_files: Observed[SubidFiles]
    process: Observed[Process]
    caller: Observed[Caller]
    lingers: Observed[bool]
    unit: Observed[Unit]
    problems: Observed[tuple[Problem, ...]]
    kernel: Observed[tuple[int, int]]
    modules: Observed[Modules]
    devices: Observed[Mapping[str, int]]
    programs: Observed[Mapping[str, str | None]]
    iptables: Observed[str]
    sockets: Observed[tuple[Held, ...]]
    network: Observed[Network]
    resolver: Observed[Resolver]
    storage: Observed[Storage]
    beside: Observed[Beside]
    host: Observed[Machine]
    k3s: K3sBinary
    token: Observed[Token]
    target: Observed[Target]
    kubeconfigs: Observed[tuple[Baked, ...]]
    cluster: Observed[Cluster]
    distribution: str = ""
    gid: int = 0
