"""What the probes bring back about kernel, network, storage and neighbours: frozen records without
behaviour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from k3s_rootless.k3s.origin import Origin
from k3s_rootless.observation import Observed


@dataclass(frozen=True, slots=True)
class Trial:
    """What a child could do that tried to do as rootlesskit does: 0, or the errno of each call,
    None where it was not tried.

    `spaces` are the namespaces beside the user namespace, by their names in /proc/self/ns; `mapped`
    is what newuidmap and newgidmap complained of, empty where they mapped the whole range.
    """

    user: int
    spaces: Mapping[str, int]
    mapped: Mapping[str, str | None]
    overlay: int | None = None


@dataclass(frozen=True, slots=True)
class Confinement:
    """AppArmor's restriction of user namespaces, and under which label (`unconfined`) the real k3s
    would run, if known.
    """

    restricted: bool
    label: Observed[str]


@dataclass(frozen=True, slots=True)
class Process:
    """What the user manager passes on to each unit: privileges, and the limits of files and tasks
    (None: no limit).

    `id_map` are the ranges of /proc/self/uid_map as (inside, outside, count).
    """

    no_new_privileges: bool
    open_files: int | None
    tasks: int | None
    id_map: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who called: the user that sudo was called by, and the cgroup of this process."""

    sudo: str
    cgroup: str


@dataclass(frozen=True, slots=True)
class Modules:
    """Kernel modules that are there (loaded or built in), and that could be loaded; `complete`
    where nothing was hidden.
    """

    present: frozenset[str]
    loadable: frozenset[str]
    complete: bool


@dataclass(frozen=True, slots=True)
class Held:
    """A TCP port that somebody listens at, with what is visible of the owner; `ours` where it is
    K3s's own unit.

    `foreign` is whether it belongs to another user.
    """

    port: int
    user: str
    program: str = ""
    pid: int | None = None
    ours: bool = False
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class Network:
    """Addresses and routes of the host, each a network with its interface (no default routes), and
    the MTU of the way out.
    """

    networks: tuple[tuple[str, str], ...]
    mtu: int | None
    interface: str


@dataclass(frozen=True, slots=True)
class Resolver:
    """What /etc/resolv.conf and /etc/hosts say."""

    nameservers: tuple[str, ...]
    search: tuple[str, ...]
    localhost: bool


@dataclass(frozen=True, slots=True)
class Place:
    """A directory that K3s writes into; where it does not exist, `found` is its next parent: file
    system, mount flags and room.

    Room is in bytes, None where the file system does not say; `left` is what a quota of the user
    leaves.
    """

    path: str
    exists: bool
    found: str
    type: str
    flags: frozenset[str]
    owner: int
    writable: bool
    free: int
    size: int
    inodes: int | None
    left: Observed[int | None]


@dataclass(frozen=True, slots=True)
class Storage:
    """The data directory, /tmp, the home directory, and what an earlier K3s left in rootlesskit's
    directory.

    `unfinished` are directories into which K3s began to unpack itself, each with its size in bytes.
    """

    data: Place
    temporary: Place
    home: Place
    left_over: tuple[str, ...]
    unfinished: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit as systemd knows it; `load_state` is `not-found` where there is none.

    `argv` is the argument list of ExecStart, `limits` are resource limits by the names of their
    properties, each a number or None for no limit.
    """

    load_state: str
    load_error: str = ""
    active_state: str = "inactive"
    result: str = "success"
    delegate: bool | None = None
    needs_reload: bool = False
    drop_ins: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    argv: tuple[str, ...] = ()
    limits: Mapping[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Beside:
    """What else is on the host: services that run, files of a rootful K3s, errno of reading K3s's
    configuration.

    `configuration` maps each file that K3s would read to 0 or an errno; `services` are names
    without `.service`.
    """

    services: frozenset[str]
    files: frozenset[str]
    configuration: Mapping[str, int]
    ufw: bool


@dataclass(frozen=True, slots=True)
class Machine:
    """What the host is: memory in bytes, processors, name, clock, container or virtual machine,
    SELinux.

    `early` names a file that is younger than now by the clock; `selinux` is None where there is
    none, else whether it enforces.
    """

    available: int
    processors: int
    hostname: str
    synchronized: bool
    early: str
    container: str
    wsl: bool
    selinux: bool | None
    hidepid: str
    journal: bool


@dataclass(frozen=True, slots=True)
class Token:
    """The token that K3s is given, against the one of its datastore; neither stands here.

    `origin` is where the token comes from; `fits` is None if the two could not be compared, and
    `reason` says why.
    """

    origin: Origin
    fits: bool | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """The kubeconfig that K3s writes; `obstacle` says why it cannot, empty if it can.

    `blocking` is the file or directory in the way, `own` whether it belongs to the user.
    """

    path: str
    obstacle: str = ""
    blocking: str = ""
    own: bool = True
    directory: bool = True


@dataclass(frozen=True, slots=True)
class Registered:
    """A node that the cluster knows, and the networks of its pods."""

    name: str
    networks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a cluster keeps of the settings that it began with; empty for a new one.

    `addresses` are those of the Service `kubernetes`.
    """

    nodes: tuple[Registered, ...]
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """A setting of the unit's environment that K3s does not take; `fatal` where it dies of it."""

    name: str
    reason: str
    fatal: bool
