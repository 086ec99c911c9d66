"""Building blocks of tests: a healthy host, versions, and Hypothesis strategies."""

from __future__ import annotations

import errno
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import strategies as st

from k3s_rootless.k3s.issued import OwnKubeconfig
from k3s_rootless.k3s.origin import Origin, Source
from k3s_rootless.k3s.runtimes import PROGRAMS
from k3s_rootless.k3s.version import Version, parse
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.preflight.facts import (
    CgroupMode,
    Delegation,
    Facts,
    K3sBinary,
    MapProgram,
    RuntimeDirectory,
    SubidFiles,
    SubidRange,
)
from k3s_rootless.preflight.probes.host import SYSCTLS
from k3s_rootless.preflight.probes.kernel import CONFIG
from k3s_rootless.preflight.records import (
    Caller,
    CertificateEnds,
    Cluster,
    Confinement,
    Datastore,
    DeviceSpecification,
    Gpu,
    Machine,
    Modules,
    Network,
    Offer,
    Place,
    Problem,
    Process,
    Registered,
    Resolver,
    Storage,
    Surroundings,
    Target,
    Token,
    Trial,
    Unit,
    UsedPort,
)
from tests.server import of_command

T = TypeVar("T")

UID = 1000
FIVE = frozenset({"cpu", "cpuset", "io", "memory", "pids"})
NOW = datetime(2026, 11, 27, tzinfo=UTC)
DEFAULT = frozenset({"cpu", "memory", "pids"})
"""Controllers that systemd 257 delegates by default."""


def version(text: str) -> Version:
    """Parse a version that is known to be valid."""
    found = parse(text)
    assert found is not None
    return found


def delegation(
    effective: frozenset[str] = FIVE,
    *,
    realized: frozenset[str] = FIVE,
    configured: frozenset[str] = FIVE,
    kernel: frozenset[str] = FIVE,
) -> Delegation:
    """Build a delegation with known values at every stage."""
    return Delegation(
        Known(kernel),
        Known(configured),
        Known(realized),
        Known(effective, "cgroup.controllers of the unit"),
    )


def runtime(path: str = f"/run/user/{UID}", **changes: Any) -> RuntimeDirectory:
    """Build a healthy runtime directory with these changes."""
    return replace(
        RuntimeDirectory(path, given=True, exists=True, owner=UID, mode=0o700), **changes
    )


def map_program(name: str, **changes: Any) -> Known[MapProgram]:
    """Build newuidmap or newgidmap as its package installs it, with these changes."""
    return Known(
        replace(MapProgram(f"/usr/bin/{name}", setuid=True), **changes), f"/usr/bin/{name}"
    )


def k3s(text: str = "v1.33.4+k3s1", **changes: Any) -> K3sBinary:
    """Build a usable k3s binary of a release, with these changes."""
    path = "/usr/local/bin/k3s"
    return replace(
        K3sBinary(path, executable=True, version=Known(version(text), f"{path} --version")),
        **changes,
    )


def place(path: str, **changes: Any) -> Place:
    """Build a place on a local disk with enough space, with these changes."""
    found = "/home/alice" if path.startswith("/home/alice") else path
    room = {"free": 60 * 2**30, "size": 100 * 2**30, "inodes": 10**6, "left": Known(None)}
    base = Place(
        path,
        exists=False,
        found=found,
        type="ext4",
        flags=frozenset(),
        owner=UID,
        writable=True,
        **room,  # type: ignore[arg-type]
    )
    return replace(base, **changes)


_SETTINGS = {
    "net.ipv4.ip_forward": "1",
    "kernel.unprivileged_userns_clone": None,
    "user.max_user_namespaces": "63432",
    **{
        f"user.max_{kind}_namespaces": "63432"
        for kind in ("mnt", "pid", "net", "cgroup", "uts", "ipc")
    },
    "fs.inotify.max_user_instances": "1024",
    "fs.inotify.max_user_watches": "524288",
    "kernel.keys.maxkeys": "200",
    "kernel.modules_disabled": "0",
    "net.ipv4.ip_unprivileged_port_start": "1024",
    "net.ipv4.ping_group_range": "0 2147483647",
}
SPACES = ("pid", "mnt", "net", "cgroup", "uts", "ipc")
TRIED = Trial(0, dict.fromkeys(SPACES, 0), {"newuidmap": "", "newgidmap": ""}, 0)
ALL_MODULES = frozenset(CONFIG)
HOST = Machine(
    available=8 * 2**30,
    processors=4,
    hostname="node-1",
    synchronized=True,
    early="",
    container="",
    wsl=False,
    selinux=None,
    hidepid="",
    journal=True,
)
NO_GPU = Gpu((), None, {}, {}, search="/usr/bin")
HEALTHY = Facts(
    uid=UID,
    user="alice",
    machine="x86_64",
    systemd_booted=True,
    runtime=runtime(),
    user_manager=Known("257", "the user bus"),
    cgroup=Known(CgroupMode.UNIFIED, "statfs /sys/fs/cgroup"),
    delegation=delegation(),
    sysctls={
        key: Known(value, f"/proc/sys/{key.replace('.', '/')}") for key, value in _SETTINGS.items()
    },
    trial=Known(TRIED, "a child"),
    confinement=Known(
        Confinement(restricted=False, label=Unknown("AppArmor does not restrict user namespaces"))
    ),
    newuidmap=map_program("newuidmap"),
    newgidmap=map_program("newgidmap"),
    subuid=Known((SubidRange(100000, 65536),), "/etc/subuid"),
    subgid=Known((SubidRange(100000, 65536),), "/etc/subgid"),
    subid_files=Known(
        SubidFiles(
            (), (("subuid", "bob", SubidRange(362144, 65536)),), (("root", 0), ("alice", UID))
        )
    ),
    process=Known(
        Process(
            no_new_privileges=False, open_files=524288, tasks=9000, id_map=((0, 0, 2**32 - 1),)
        ),
        "/proc/700",
    ),
    caller=Known(Caller("", f"/user.slice/user-{UID}.slice/session-3.scope"), "/proc/self/cgroup"),
    lingers=Known(value=True, source="/var/lib/systemd/linger/alice"),
    server=of_command((), {}, Path("/home/alice")),
    unit=Known(Unit("not-found"), "systemd"),
    problems=Known(()),
    kernel=Known((6, 12), "6.12.57+deb13-amd64"),
    modules=Known(Modules(ALL_MODULES, frozenset(), complete=True), "/proc/modules"),
    devices=Known({"tun": 0, "fuse": 0, "kmsg": 0}),
    programs=Known({"mount.fuse3": "/usr/sbin/mount.fuse3"}, "/usr/sbin"),
    ipset=Known("/home/alice/.rancher/k3s/data/current/bin/ipset"),
    iptables=Known("iptables v1.8.11 (nf_tables)", "/usr/sbin/iptables --version"),
    sockets=Known(()),
    network=Known(
        Network((("192.0.2.0/24", "eth0"), ("192.0.2.7/32", "")), 1500, "eth0"),
        "/proc/net/fib_trie",
    ),
    resolver=Known(Resolver(("127.0.0.53",), (), localhost=True), "/etc/resolv.conf"),
    storage=Known(
        Storage(
            place("/home/alice/.rancher/k3s"), place("/tmp"), place("/home/alice", exists=True), ()
        )
    ),
    surroundings=Known(Surroundings(frozenset(), frozenset(), {}, ufw=False)),
    host=Known(HOST),
    token=Known(Token(Origin(Source.DEFAULT), fits=True)),
    target=Known(Target("/home/alice/.kube/k3s.yaml"), "access"),
    kubeconfigs=Known((), "/home/alice/.rancher/k3s/server/cred"),
    certificates=Known(CertificateEnds(NOW), "/home/alice/.rancher/k3s/server/tls"),
    cluster=Known(Cluster((), ()), "/home/alice/.rancher/k3s/server/db/state.db"),
    datastore=Known(Datastore(UID), "/home/alice/.rancher/k3s/server/db/state.db"),
    # An answer that is older than the releases of the other rows.
    offers=Known((Offer("v1.20.0+k3s1", datetime(2026, 1, 2, tzinfo=UTC)),), "channels.json"),
    gpu=Known(NO_GPU, "/sys/bus/pci"),
    k3s=k3s(),
    distribution="debian",
    gid=UID,
)


def facts(**changes: Any) -> Facts:
    """Build the facts of a host that can run K3s, with these changes."""
    return replace(HEALTHY, **changes)


def sysctl(key: str, value: Observed[str | None]) -> Facts:
    """Build the facts of a host where one sysctl has another value."""
    return facts(sysctls={**HEALTHY.sysctls, key: value})


@st.composite
def versions(draw: st.DrawFn) -> Version:
    """Draw versions, often of release lines in which a rule changed."""
    minor = draw(
        st.sampled_from([20, 21, 22, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 38])
        | st.integers(0, 99)
    )
    number = f"v{draw(st.sampled_from([1, 1, 1, 0, 2]))}.{minor}.{draw(st.integers(0, 16))}"
    stage = draw(st.sampled_from(["", "", "-alpha", "-beta", "-rc", "-rc."]))
    before = f"{stage}{draw(st.integers(1, 12))}" if stage else ""
    builds = [
        "",
        "+k3s1",
        "+k3s2",
        "+k3s3",
        "+k3s10",
        "+k3s.1",
        "-k3s.4",
        "+k3s-914f1d91",
        "+k3s-30638072-dirty",
        "+dk1",
    ]
    return version(number + before + draw(st.sampled_from(builds)))


def observed(known: st.SearchStrategy[T]) -> st.SearchStrategy[Observed[T]]:
    """Draw a known value, or an unknown one with a reason."""
    return st.builds(Known, known, st.text(max_size=9)) | st.builds(
        Unknown, st.text(min_size=1, max_size=9)
    )


_TEXTS = st.text(max_size=12)
_TIMES = st.integers(-800, 8000).map(lambda days: NOW + timedelta(days=days))
_PATHS = (
    st.sampled_from(["/usr/bin/k3s", "/home/it's mine/k3s", "/a b/$(reboot)", "/x;y", "/\n", "-rf"])
    | _TEXTS
)
_CONTROLLERS = st.frozensets(st.sampled_from(sorted({*FIVE, "hugetlb"})))
_NUMBERS = (
    st.sampled_from(
        ["0", "1", "1023", "1024", "-1", "", "1 ", "9" * 5000, "\u0661", "\u00b2", "max"]
    )
    | _TEXTS
)
_PROGRAMS = st.builds(
    MapProgram, st.none() | _PATHS, st.integers(0, 2), st.booleans(), st.booleans(), st.booleans()
)
_RANGES = st.lists(
    st.builds(SubidRange, st.integers(0, 2**64), st.integers(0, 2**64)), max_size=4
).map(tuple)
_IDS = st.integers(0, 2**33)
_RANGE = st.builds(SubidRange, _IDS, _IDS)
_CIDRS = st.sampled_from(
    [
        "10.41.0.0/16",
        "10.42.0.0/16",
        "10.43.0.0/16",
        "10.42.0.0/16,fd00::/56",
        "10.41.0.3",
        "::1",
        "fe80::1%eth0",
        "x",
        "0.0.0.0/0",
    ]
)
_WORDS = st.sampled_from(
    [
        "k3s",
        "server",
        "--rootless",
        "--disable",
        "traefik",
        "--https-listen-port=7443",
        "-d",
        "/srv/$(x)",
        "--frobnicate",
        "-",
    ]
)
_ORIGINS = st.builds(
    Origin,
    st.sampled_from(Source),
    st.none() | _PATHS.map(Path),
    st.integers(0, 9),
    st.sampled_from(["K3S_TOKEN", "K3S_X"]),
)
_TRIALS = st.builds(
    Trial,
    st.sampled_from([0, 0, 1, 13, 22, 28, 999]),
    st.dictionaries(st.sampled_from(SPACES), st.sampled_from([0, 0, 1, 13, 22, 28, 999])),
    st.fixed_dictionaries(
        {
            name: st.none() | st.sampled_from(["", "", "Invalid argument"]) | _TEXTS
            for name in ("newuidmap", "newgidmap")
        }
    ),
    st.none() | st.sampled_from([0, 1, 22]),
)
_MODULES = st.frozensets(st.sampled_from(sorted(ALL_MODULES)))
_PLACES = st.builds(
    Place,
    _PATHS,
    st.booleans(),
    _PATHS,
    st.sampled_from(["ext4", "nfs4", "tmpfs", "vfat", "fuse.x", "zfs", "overlay", ""]),
    st.frozensets(st.sampled_from(["ro", "noexec", "nosuid", "nodev"])),
    st.integers(0, 2000),
    st.booleans(),
    st.integers(0, 2**50),
    st.integers(0, 2**50),
    st.none() | st.integers(0, 2**40),
    observed(st.none() | st.integers(0, 2**50)),
)
_BINARIES = st.builds(
    K3sBinary,
    st.none() | _PATHS,
    st.booleans(),
    st.just("") | _TEXTS,
    st.none() | observed(versions()),
)


def any_facts() -> st.SearchStrategy[Facts]:
    """Draw hosts, most of which have several faults."""
    return st.builds(
        Facts,
        uid=st.sampled_from([0, UID, 2**32 - 2]),
        user=st.sampled_from(["alice", "AD\\alice", "o'brien", "a b", "$(reboot)", "-x"]) | _TEXTS,
        machine=st.sampled_from(["x86_64", "aarch64", "armv7l", "s390x", "riscv64", ""]),
        systemd_booted=st.booleans(),
        runtime=st.builds(
            RuntimeDirectory,
            _PATHS,
            st.booleans(),
            st.booleans(),
            st.integers(-1, 2000),
            st.integers(0, 0o7777),
        ),
        user_manager=observed(_TEXTS),
        cgroup=observed(st.sampled_from(CgroupMode)),
        delegation=st.builds(Delegation, *[observed(_CONTROLLERS)] * 4),
        sysctls=st.fixed_dictionaries({key: observed(st.none() | _NUMBERS) for key in SYSCTLS}),
        trial=observed(_TRIALS),
        confinement=observed(
            st.builds(
                Confinement,
                st.booleans(),
                observed(st.sampled_from(["unconfined", "k3s"]) | _TEXTS),
            )
        ),
        subid_files=observed(
            st.builds(
                SubidFiles,
                st.lists(_PATHS, max_size=2).map(tuple),
                st.lists(
                    st.tuples(st.sampled_from(["subuid", "subgid"]), _TEXTS, _RANGE), max_size=3
                ).map(tuple),
                st.lists(st.tuples(_TEXTS, _IDS), max_size=3).map(tuple),
            )
        ),
        process=observed(
            st.builds(
                Process,
                st.booleans(),
                st.none() | _IDS,
                st.none() | _IDS,
                st.lists(st.tuples(_IDS, _IDS, _IDS), max_size=3).map(tuple),
            )
        ),
        caller=observed(st.builds(Caller, _TEXTS, _PATHS)),
        lingers=observed(st.booleans()),
        server=st.builds(
            of_command,
            st.tuples(
                st.integers(1, 65535).map("--https-listen-port={}".format),
                st.sampled_from(["--disable=", "--disable=servicelb", "--disable=traefik"]),
                st.sampled_from(["", "overlayfs", "fuse-overlayfs", "native"]).map(
                    "--snapshotter={}".format
                ),
                _CIDRS.map("--cluster-cidr={}".format),
                _CIDRS.map("--service-cidr={}".format),
                _TEXTS.map("--node-name={}".format),
                st.sampled_from(["--selinux", "--selinux=false"]),
                _WORDS,
            ),
            st.dictionaries(
                st.sampled_from(["K3S_DATA_DIR", "K3S_TOKEN", "K3S_DEBUG"]), _TEXTS, max_size=2
            ),
            st.just(Path("/home/alice")),
        ),
        unit=observed(
            st.builds(
                Unit,
                st.sampled_from(["loaded", "not-found", "masked", "error", "bad-setting", ""]),
                _TEXTS,
                st.sampled_from(["active", "inactive", "failed", "activating"]),
                _TEXTS,
                st.none() | st.booleans(),
                st.booleans(),
                st.lists(_PATHS, max_size=2).map(tuple),
                st.dictionaries(
                    st.sampled_from(["K3S_ROOTLESS_CIDR", "K3S_ROOTLESS_MTU"]), _CIDRS | _TEXTS
                ),
                st.lists(_WORDS, max_size=4).map(tuple),
                st.dictionaries(
                    st.sampled_from(["MemoryMax", "TasksMax", "LimitNOFILE"]),
                    st.none() | st.integers(0, 2**64),
                ),
            )
        ),
        token=observed(st.builds(Token, _ORIGINS, st.none() | st.booleans(), _TEXTS)),
        target=observed(st.builds(Target, _PATHS, _PATHS, _PATHS, st.booleans(), st.booleans())),
        kubeconfigs=observed(
            st.lists(
                st.builds(OwnKubeconfig, _TEXTS, st.integers(0, 65535), _PATHS, st.booleans()),
                max_size=2,
            ).map(tuple)
        ),
        cluster=observed(
            st.builds(
                Cluster,
                st.lists(
                    st.builds(Registered, _TEXTS, st.lists(_CIDRS, max_size=2).map(tuple)),
                    max_size=2,
                ).map(tuple),
                st.lists(_CIDRS, max_size=2).map(tuple),
            )
        ),
        certificates=observed(
            st.builds(
                CertificateEnds,
                st.just(NOW),
                st.dictionaries(_TEXTS, _TIMES, max_size=2),
                st.dictionaries(_TEXTS, _TIMES, max_size=2),
                st.lists(_TEXTS, max_size=2).map(tuple),
            )
        ),
        datastore=observed(
            st.builds(
                Datastore,
                st.integers(0, 2**31),
                _TEXTS,
                st.booleans(),
                st.none() | st.tuples(_PATHS, st.timedeltas()),
            )
        ),
        offers=observed(
            st.lists(
                st.builds(
                    Offer,
                    _TEXTS | st.sampled_from(["v1.36.3+k3s1", "v1.21.0-rc1+k3s1"]),
                    st.just(datetime(2026, 1, 2, tzinfo=UTC)),
                ),
                max_size=3,
            ).map(tuple)
        ),
        problems=observed(
            st.lists(
                st.builds(Problem, _TEXTS, st.text(min_size=1), st.booleans()), max_size=2
            ).map(tuple)
        ),
        kernel=observed(st.tuples(st.integers(0, 9), st.integers(0, 30))),
        modules=observed(st.builds(Modules, _MODULES, _MODULES, st.booleans())),
        devices=observed(
            st.dictionaries(
                st.sampled_from(["tun", "fuse", "kmsg"]), st.sampled_from([0, 1, 2, 13, 19, 6, 999])
            )
        ),
        ipset=observed(st.none() | _PATHS),
        programs=observed(st.dictionaries(st.just("mount.fuse3"), st.none() | _PATHS)),
        iptables=observed(
            st.sampled_from(["", "iptables v1.8.4 (nf_tables)", "iptables v1.8.4 (legacy)"])
            | _TEXTS
        ),
        sockets=observed(
            st.lists(
                st.builds(
                    UsedPort,
                    st.sampled_from([6443, 10080, 10443, 1]),
                    _TEXTS,
                    _TEXTS,
                    st.none() | _IDS,
                    st.booleans(),
                ),
                max_size=3,
            ).map(tuple)
        ),
        network=observed(
            st.builds(
                Network,
                st.lists(st.tuples(_CIDRS, _TEXTS), max_size=3).map(tuple),
                st.none() | st.integers(0, 65536),
                _TEXTS,
            )
        ),
        resolver=observed(
            st.builds(
                Resolver,
                st.lists(_CIDRS, max_size=2).map(tuple),
                st.lists(_TEXTS, max_size=2).map(tuple),
                st.booleans(),
            )
        ),
        storage=observed(
            st.builds(Storage, _PLACES, _PLACES, _PLACES, st.lists(_PATHS, max_size=2).map(tuple))
        ),
        surroundings=observed(
            st.builds(
                Surroundings,
                st.frozensets(st.sampled_from(["k3s", "k3s-agent", "firewalld", "nm-cloud-setup"])),
                st.frozensets(_PATHS),
                st.dictionaries(_PATHS, st.sampled_from([0, 13, 999])),
                st.booleans(),
            )
        ),
        host=observed(
            st.builds(
                Machine,
                _IDS,
                st.integers(0, 64),
                _TEXTS | st.sampled_from(["node-1", "NODE", "a_b", "x" * 64]),
                st.booleans(),
                _TEXTS,
                _TEXTS,
                st.booleans(),
                st.none() | st.booleans(),
                _TEXTS,
                st.booleans(),
            )
        ),
        gpu=observed(
            st.builds(
                Gpu,
                st.lists(_TEXTS, max_size=2).map(tuple),
                st.none() | _TEXTS,
                st.dictionaries(
                    st.sampled_from(["nvidia0", "nvidiactl", "nvidia-uvm"]),
                    st.sampled_from([0, errno.ENOENT, errno.EACCES]),
                ),
                st.dictionaries(st.sampled_from(list(PROGRAMS)), st.none() | _PATHS),
                st.lists(
                    st.builds(
                        DeviceSpecification,
                        _PATHS,
                        _TEXTS,
                        st.lists(_TEXTS, max_size=2).map(tuple),
                        _TEXTS,
                        _TEXTS,
                    ),
                    max_size=2,
                ).map(tuple),
                st.none() | st.booleans(),
                st.sampled_from(["", "auto", "cdi"]),
                _TEXTS,
            )
        ),
        gid=_IDS,
        newuidmap=observed(_PROGRAMS),
        newgidmap=observed(_PROGRAMS),
        subuid=observed(_RANGES),
        subgid=observed(_RANGES),
        k3s=_BINARIES,
        distribution=st.sampled_from(
            ["", "debian", "ubuntu debian", "opensuse-leap suse opensuse", "nixos"]
        )
        | _TEXTS,
    )
