"""Frozen records, without behaviour, of what is known about host and user before a start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from k3s_rootless.k3s.issued import OwnKubeconfig
from k3s_rootless.k3s.settings import Settings
from k3s_rootless.k3s.version import Version
from k3s_rootless.observation import Observed, Unknown
from k3s_rootless.preflight.records import (
    Caller,
    CertificateEnds,
    Cluster,
    Confinement,
    Datastore,
    Gpu,
    Machine,
    Modules,
    Network,
    Offer,
    Problem,
    Process,
    Resolver,
    Storage,
    Surroundings,
    Target,
    Token,
    Trial,
    Unit,
    UsedPort,
)

NOT_NEEDED = Unknown("no selected check needs this fact")
"""A fact that no check of this run needs."""


class CgroupMode(Enum):
    """How the host mounts control groups."""

    UNIFIED = "cgroup v2 only (unified)"
    HYBRID = "cgroup v1 and v2 (hybrid)"
    LEGACY = "cgroup v1 only (legacy)"
    ABSENT = "no cgroup file system is mounted"


@dataclass(frozen=True, slots=True)
class Delegation:
    """The controllers at each level, from the kernel down to a unit of the user.

    `kernel` are those that cgroup v2 has at all. `configured` are those that user@UID.service is
    configured to delegate, and `realized` are those in its cgroup. `effective` are those that a
    unit with `Delegate=yes` was given.
    """

    kernel: Observed[frozenset[str]]
    configured: Observed[frozenset[str]]
    realized: Observed[frozenset[str]]
    effective: Observed[frozenset[str]]


@dataclass(frozen=True, slots=True)
class RuntimeDirectory:
    """The runtime directory: the one that the environment names (`given`), or that of the uid."""

    path: str
    given: bool
    exists: bool
    owner: int
    mode: int


@dataclass(frozen=True, slots=True)
class MapProgram:
    """newuidmap or newgidmap, as the unit finds it.

    `path` is None if the program is not on the unit's PATH.
    """

    path: str | None
    owner: int = 0
    setuid: bool = False
    capable: bool = False
    nosuid: bool = False


@dataclass(frozen=True, slots=True)
class SubidRange:
    """A range of subordinate ids: the first id, and the number of ids."""

    start: int
    count: int


@dataclass(frozen=True, slots=True)
class K3sBinary:
    """The k3s that a unit would start; `path` is None if there is none.

    `version` is the release that the binary prints. `risk` is the reason why another user could
    change the binary, empty if no other user could. A binary with a risk is not run. `owner` is the
    uid of its owner. `releases` is the directory that holds the releases of k3s-rootless if the
    path is a link to one of them, otherwise empty.
    """

    path: str | None
    executable: bool = False
    owner: int = 0
    risk: str = ""
    version: Observed[Version] | None = None
    releases: str = ""


@dataclass(frozen=True, slots=True)
class SubidFiles:
    """The content of /etc/subuid and /etc/subgid, and the uids of real users.

    `links` names the files that are links. `others` has the ranges of other users, as (file, owner,
    range).
    """

    links: tuple[str, ...]
    others: tuple[tuple[str, str, SubidRange], ...]
    users: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """All facts that the checks judge; each Observed is read by its own probe.

    `sysctls` maps a key to its value, or to None if this kernel does not have it. `devices` maps a
    device to 0 or the errno of opening it. `programs` maps a name to its path on the unit's PATH,
    or to None. `ipset` is the path of the ipset that K3s uses, None if there is none, and empty if
    K3s has not unpacked its own yet. `server` has the settings of K3s in the unit, or K3s's
    defaults. `target` is the kubeconfig that K3s writes, `kubeconfigs` are K3s's own, and `cluster`
    has what the datastore keeps of earlier settings. `certificates` has the ends of K3s's
    certificates. `offers` is the last known answer of K3s's channels, or empty.
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
    ipset: Observed[str | None]
    sockets: Observed[tuple[UsedPort, ...]]
    network: Observed[Network]
    resolver: Observed[Resolver]
    storage: Observed[Storage]
    surroundings: Observed[Surroundings]
    host: Observed[Machine]
    k3s: K3sBinary
    token: Observed[Token]
    target: Observed[Target]
    kubeconfigs: Observed[tuple[OwnKubeconfig, ...]]
    cluster: Observed[Cluster]
    datastore: Observed[Datastore]
    certificates: Observed[CertificateEnds]
    offers: Observed[tuple[Offer, ...]]
    gpu: Observed[Gpu]
    distribution: str = ""
    gid: int = 0
