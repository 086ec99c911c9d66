"""Frozen records of what the probes read about kernel, network, storage and neighbours.

The records have no behaviour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from k3s_rootless.k3s.origin import Origin
from k3s_rootless.observation import Observed


@dataclass(frozen=True, slots=True)
class Trial:
    """The results of a child that tried the steps of rootlesskit.

    `user`, the values of `spaces`, and `overlay` are 0 or the errno of the call. `spaces` are the
    namespaces beside the user namespace, by their names in /proc/self/ns. `mapped` has the
    complaints of newuidmap and newgidmap, empty if the program mapped the whole range. The
    value of a step that was not tried is None.
    """

    user: int
    spaces: Mapping[str, int]
    mapped: Mapping[str, str | None]
    overlay: int | None = None


@dataclass(frozen=True, slots=True)
class Confinement:
    """AppArmor's restriction of user namespaces, and the label that k3s would run under.

    A k3s without a profile has the label `unconfined`.
    """

    restricted: bool
    label: Observed[str]


@dataclass(frozen=True, slots=True)
class Process:
    """What the user manager passes on to each unit: privileges, and limits of files and tasks.

    A limit of None means no limit. `id_map` has the ranges of /proc/self/uid_map as (inside,
    outside, count).
    """

    no_new_privileges: bool
    open_files: int | None
    tasks: int | None
    id_map: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Caller:
    """The user who called sudo, and the cgroup of this process."""

    sudo: str
    cgroup: str


@dataclass(frozen=True, slots=True)
class Modules:
    """The kernel modules that are present (loaded or built in), and those that can be loaded.

    `complete` is true if nothing was hidden: other modules are then not in this kernel.
    """

    present: frozenset[str]
    loadable: frozenset[str]
    complete: bool


@dataclass(frozen=True, slots=True)
class UsedPort:
    """A TCP port in use, with what is visible of the process that listens on it.

    `ours` is true if the process belongs to K3s's own unit. `foreign` is true if it belongs to
    another user.
    """

    port: int
    user: str
    program: str = ""
    pid: int | None = None
    ours: bool = False
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class Network:
    """Addresses and routes of the host, and the MTU of the default route's interface.

    Each address or route is a network with its interface. Default routes are left out.
    """

    networks: tuple[tuple[str, str], ...]
    mtu: int | None
    interface: str


@dataclass(frozen=True, slots=True)
class Resolver:
    """What /etc/resolv.conf contains, and whether /etc/hosts contains localhost."""

    nameservers: tuple[str, ...]
    search: tuple[str, ...]
    localhost: bool


@dataclass(frozen=True, slots=True)
class Place:
    """A directory that K3s writes to.

    If it does not exist, `found` is its nearest existing parent, and the file system, mount flags
    and free space are those of `found`. `free` and `size` are in bytes. `inodes` is None if the
    file system does not report it. `left` is the number of bytes that a quota of the user leaves.
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
    """The data directory, /tmp, the home directory, and what an earlier K3s left.

    `left_over` are files in rootlesskit's directory. `unfinished` are directories into which K3s
    began to unpack itself, each with its size in bytes.
    """

    data: Place
    temporary: Place
    home: Place
    left_over: tuple[str, ...]
    unfinished: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class UnreadLimit:
    """A limit of the unit on disk that systemd has not read yet.

    `value` is as in `Unit.limits`; Unknown if it depends on the user manager. `file` is the file
    that sets it, empty if the limit was removed.
    """

    value: Observed[int | None]
    file: str


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit as systemd knows it; `load_state` is `not-found` if there is none.

    `argv` is the argument list of ExecStart. `limits` maps the property of each resource limit to a
    number, or to None if there is no limit. `unread` are the limits that systemd will read from
    changed files before the next start, where they differ.
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
    unread: Mapping[str, UnreadLimit] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What else is on the host: running services, files of a rootful K3s, configuration files.

    `configuration` maps each file that K3s would read to 0 or the errno of opening it. `services`
    are names without `.service`.
    """

    services: frozenset[str]
    files: frozenset[str]
    configuration: Mapping[str, int]
    ufw: bool


@dataclass(frozen=True, slots=True)
class Machine:
    """Properties of the host: memory in bytes, processors, name, clock, container, SELinux.

    `early` names a file that is newer than the current time of the clock. `selinux` is None without
    SELinux, otherwise it is true if SELinux enforces its policy.
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
class CertificateEnds:
    """The ends of K3s's certificates, by the paths of their files, and the present time.

    A start of K3s renews those of `renewed` near their ends; nothing renews the `authorities`.
    `keyless` are authorities that cannot sign, because K3s cannot read their keys.
    """

    now: datetime
    renewed: Mapping[str, datetime] = field(default_factory=dict)
    authorities: Mapping[str, datetime] = field(default_factory=dict)
    keyless: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Token:
    """The result of comparing the given token with that of the datastore, without the tokens.

    `origin` is where the token is set. `fits` is None if the two could not be compared, and
    `reason` is the cause.
    """

    origin: Origin
    fits: bool | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """The kubeconfig that K3s writes; `obstacle` is why it cannot, empty if it can.

    `blocking` is the file or directory that prevents it. `own` is true if it belongs to the user.
    """

    path: str
    obstacle: str = ""
    blocking: str = ""
    own: bool = True
    directory: bool = True


@dataclass(frozen=True, slots=True)
class Registered:
    """A node of the cluster, and the networks of its pods."""

    name: str
    networks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a cluster keeps of the settings that it was created with; empty for a new one.

    `addresses` are those of the Service `kubernetes`.
    """

    nodes: tuple[Registered, ...]
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Datastore:
    """K3s's SQLite datastore: the uid of its owner, and why K3s cannot use it (empty if it can).

    `damaged` is true if its content is the problem. `backup` is then the newest backup that can
    replace it: its path, and how long ago it was made; None if there is none.
    """

    owner: int
    problem: str = ""
    damaged: bool = False
    backup: tuple[str, timedelta] | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """A release that a channel of K3s offered, and when."""

    version: str
    date: datetime


@dataclass(frozen=True, slots=True)
class DeviceSpecification:
    """A CDI specification of NVIDIA devices; `version` is that of the driver's libraries in it."""

    path: str
    kind: str = ""
    devices: tuple[str, ...] = ()
    version: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Gpu:
    """NVIDIA GPUs, and the container runtimes that K3s searches.

    `cards` are PCI addresses, and `driver` is its version. `devices` maps a device node to 0 or the
    errno of opening it. `runtimes` maps each runtime of K3s to its program, or to None.
    `no_cgroups` and `mode` are settings of NVIDIA's runtime; None and empty if they are not set.
    `search` is the PATH of the unit.
    """

    cards: tuple[str, ...]
    driver: str | None
    devices: Mapping[str, int]
    runtimes: Mapping[str, str | None]
    specifications: tuple[DeviceSpecification, ...] = ()
    no_cgroups: bool | None = None
    mode: str = ""
    search: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """A variable in the unit's environment with a value that K3s does not accept.

    `fatal` is true if K3s exits because of it.
    """

    name: str
    reason: str
    fatal: bool
