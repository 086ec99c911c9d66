"""Rows for the host around K3s.

They cover session, unit, namespaces, kernel, network, storage and neighbours.
"""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

from k3s_rootless.finding import FixableBy, Verdict
from k3s_rootless.k3s.settings import Settings
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.preflight.facts import SubidFiles, SubidRange
from k3s_rootless.preflight.records import (
    Confinement,
    Datastore,
    DeviceSpecification,
    Gpu,
    Modules,
    Problem,
    Unit,
    UsedPort,
)
from tests.preflight import configuration_rows
from tests.preflight.row import ADMIN, FAIL, INFO, PASS, UNKNOWN, USER, WARN, Row, row
from tests.server import of_command
from tests.strategies import ALL_MODULES, HEALTHY, HOST, SPACES, TRIED, k3s, place, sysctl


def _of(field: str) -> Any:
    found = getattr(HEALTHY, field)
    assert isinstance(found, Known)
    return found.value


_STATE = "/home/alice/.rancher/k3s/server/db/state.db"


def _changed(
    check: str,
    verdict: Verdict,
    expected: str,
    fixable_by: FixableBy | None,
    field: str,
    **changes: Any,
) -> Row:
    found = Known(replace(_of(field), **changes), "seen")
    return row(check, verdict, expected, fixable_by, **{field: found})


def _host(
    check: str, verdict: Verdict, expected: str, fixable_by: FixableBy | None, **changes: Any
) -> Row:
    return _changed(check, verdict, expected, fixable_by, "host", **changes)


def _unit(
    check: str,
    verdict: Verdict,
    expected: str,
    fixable_by: FixableBy | None,
    *args: Any,
    **changes: Any,
) -> Row:
    return row(check, verdict, expected, fixable_by, unit=Known(Unit(*args, **changes), "systemd"))


def _argv(*argv: str, **environ: str) -> Settings:
    return of_command(argv, environ, Path("/home/alice"))


SESSION = (
    row("systemd.version", PASS, "257", None),
    row(
        "systemd.version", PASS, "252", None, user_manager=Known("252.39-1~deb12u1", "the user bus")
    ),
    row("systemd.version", PASS, "260", None, user_manager=Known("260~rc2-1", "the user bus")),
    row(
        "systemd.version",
        FAIL,
        "before 244 cannot delegate",
        ADMIN,
        user_manager=Known("239 (239-82.el8)", "the user bus"),
    ),
    row(
        "systemd.version",
        UNKNOWN,
        "not a number",
        None,
        user_manager=Known("v25x", "the user bus"),
    ),
    _changed("session.caller", INFO, "through sudo by bob", None, "caller", sudo="bob"),
    _changed(
        "session.caller",
        INFO,
        "not in a session",
        None,
        "caller",
        cgroup="/system.slice/cron.service",
    ),
    _changed("session.caller", INFO, "not in a session", None, "caller", cgroup="/"),
    row(
        "session.linger",
        WARN,
        "stops when your last session ends",
        USER,
        lingers=Known(value=False),
    ),
    row("session.linger", UNKNOWN, "locked", None, lingers=Unknown("it is locked")),
    _host("session.journal", INFO, "volatile", None, journal=False),
    row("unit.state", PASS, "not installed", None),
    _unit("unit.state", PASS, "active", None, "loaded", active_state="active", delegate=True),
    _unit("unit.state", FAIL, "linked to /dev/null", USER, "masked"),
    _unit("unit.state", FAIL, "no ExecStart=", USER, "bad-setting", "Service has no ExecStart=."),
    _unit("unit.state", FAIL, "no reason is reported", USER, "error"),
    _unit("unit.state", FAIL, "Delegate=no", USER, "loaded", delegate=False, drop_ins=("/x.conf",)),
    _unit(
        "unit.state", INFO, "diagnose", None, "loaded", active_state="failed", result="exit-code"
    ),
    _unit("unit.state", INFO, "has not reloaded", None, "loaded", needs_reload=True),
    _unit("unit.state", INFO, "/x/50.conf", None, "loaded", drop_ins=("/x/50.conf",)),
    row("env.valid", PASS, "valid", None),
    row(
        "env.valid",
        FAIL,
        "B: fatal",
        USER,
        problems=Known((Problem("A", "harmless", fatal=False), Problem("B", "fatal", fatal=True))),
    ),
    row(
        "env.valid",
        WARN,
        "harmless",
        USER,
        problems=Known((Problem("A", "harmless", fatal=False),)),
    ),
)


def _setting(
    check: str,
    verdict: Verdict,
    expected: str,
    fixable_by: FixableBy | None,
    key: str,
    value: str | None,
) -> Row:
    return Row(check, verdict, sysctl(key, Known(value, f"/proc/sys/{key}")), expected, fixable_by)


_INSTANCES, _WATCHES, _KEYS = (
    "fs.inotify.max_user_instances",
    "fs.inotify.max_user_watches",
    "kernel.keys.maxkeys",
)
_START, _PING = "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range"
SYSCTLS = (
    _setting("sysctl.inotify_instances", WARN, "too many open files", ADMIN, _INSTANCES, "127"),
    _setting("sysctl.inotify_instances", INFO, "enough for a few pods", ADMIN, _INSTANCES, "128"),
    _setting("sysctl.inotify_instances", PASS, "no such limit", None, _INSTANCES, None),
    _setting("sysctl.inotify_watches", WARN, "no space left", ADMIN, _WATCHES, "8191"),
    _setting("sysctl.inotify_watches", INFO, "enough for a few pods", ADMIN, _WATCHES, "65536"),
    _setting("sysctl.keys", WARN, "disk quota exceeded", ADMIN, _KEYS, "199"),
    _setting("sysctl.keys", PASS, "200", None, _KEYS, "200"),
    _setting(
        "sysctl.port_start", FAIL, "not allowed to listen on port 6443", ADMIN, _START, "6444"
    ),
    _setting("sysctl.port_start", PASS, "6443", None, _START, "6443"),
    _setting("sysctl.port_start", INFO, "adds 10000", None, _START, "80"),
    _setting("sysctl.ping", INFO, "NET_RAW", ADMIN, _PING, "1\t0"),
    _setting("sysctl.ping", INFO, "NET_RAW", ADMIN, _PING, None),
    _setting(
        "userns.limits", FAIL, "user.max_net_namespaces = 0", ADMIN, "user.max_net_namespaces", "0"
    ),
    _setting(
        "userns.limits", WARN, "too low for many pods", ADMIN, "user.max_pid_namespaces", "255"
    ),
    *(
        Row(check, UNKNOWN, sysctl(key, Unknown("it is locked")), "locked")
        for check, key in (
            ("sysctl.inotify_instances", _INSTANCES),
            ("sysctl.port_start", _START),
            ("sysctl.ping", _PING),
            ("userns.limits", "user.max_ipc_namespaces"),
        )
    ),
)


def _restricted(
    check: str,
    verdict: Verdict,
    expected: str,
    fixable_by: FixableBy | None,
    label: str | Unknown,
    **changes: Any,
) -> Row:
    known = label if isinstance(label, Unknown) else Known(label, "the label of k3s")
    return row(
        check,
        verdict,
        expected,
        fixable_by,
        confinement=Known(Confinement(restricted=True, label=known), "the switch"),
        **changes,
    )


_FIVE_REFUSED = {**dict.fromkeys(SPACES, 0), "mnt": errno.EPERM}
_CONTAINER = ((0, 100000, 65536),)
IDENTITY = (
    row("userns.apparmor", PASS, "not restricted", None),
    _restricted("userns.apparmor", PASS, "k3s (unconfined)", None, "k3s (unconfined)"),
    _restricted("userns.apparmor", FAIL, "no profile matches the path of k3s", ADMIN, "unconfined"),
    _restricted(
        "userns.apparmor",
        FAIL,
        "no profile matches the path of k3s",
        ADMIN,
        "unconfined",
        k3s=replace(k3s(), path="/h/k3s-rootless/bin/k3s", releases="/h/k3s-rootless/releases"),
    ),
    _restricted(
        "userns.apparmor",
        UNKNOWN,
        "on this host; there is no k3s",
        None,
        Unknown("there is no k3s"),
    ),
    *(
        made
        for code in (errno.EPERM, errno.EACCES)
        for made in (
            # Ubuntu allows the user namespace, and refuses what is done in it.
            _restricted(
                "userns.spaces",
                FAIL,
                "see userns.apparmor",
                ADMIN,
                "unconfined",
                trial=Known(replace(TRIED, spaces={**_FIVE_REFUSED, "mnt": code})),
            ),
            _restricted(
                "userns.create",
                INFO,
                "AppArmor does not allow",
                None,
                "k3s",
                trial=Known(replace(TRIED, user=code, spaces={}, mapped={})),
            ),
        )
    ),
    _changed("userns.spaces", FAIL, "EPERM (mnt namespace)", ADMIN, "trial", spaces=_FIVE_REFUSED),
    _changed(
        "userns.spaces",
        FAIL,
        "the limit of net namespaces",
        ADMIN,
        "trial",
        spaces={"net": errno.ENOSPC},
    ),
    _changed(
        "userns.spaces", FAIL, "no ipc namespaces", ADMIN, "trial", spaces={"ipc": errno.EINVAL}
    ),
    _changed(
        "userns.spaces", UNKNOWN, "see userns.create", None, "trial", user=errno.EPERM, spaces={}
    ),
    *(
        _restricted(
            check,
            INFO,
            "AppArmor does not allow",
            None,
            "k3s",
            trial=Known(
                replace(
                    TRIED,
                    user=errno.EACCES,
                    spaces={},
                    mapped={"newuidmap": None, "newgidmap": None},
                )
            ),
        )
        for check in ("userns.spaces", "uidmap.mapping")
    ),
    _changed("uidmap.privileges", FAIL, "no_new_privs", ADMIN, "process", no_new_privileges=True),
    *(
        _changed(
            "uidmap.mapping",
            FAIL,
            reason,
            ADMIN,
            "trial",
            mapped={"newuidmap": "", "newgidmap": expected},
        )
        for expected, reason in (
            (
                "newgidmap: gid range [1-65537) -> [100000-165536) not allowed",
                "/etc/subgid does not assign all of these ids to alice",
            ),
            (
                "newgidmap: write to gid_map failed: Invalid argument",
                "rejects ids that are mapped twice",
            ),
            (
                "newgidmap: write to gid_map failed: Operation not permitted",
                "the kernel refused newgidmap",
            ),
            ("newgidmap: Could not set caps", "the kernel refused newgidmap"),
        )
    ),
    _changed(
        "uidmap.mapping",
        UNKNOWN,
        "could not be tried",
        None,
        "trial",
        mapped={"newuidmap": None, "newgidmap": None},
    ),
    _changed(
        "uidmap.nested", FAIL, "without the ids in /etc/subuid", ADMIN, "process", id_map=_CONTAINER
    ),
    _changed(
        "uidmap.nested",
        INFO,
        "has the subordinate ids",
        None,
        "process",
        id_map=((0, 1000000, 1000000),),
    ),
    _changed(
        "subid.files",
        FAIL,
        "do not follow symbolic links",
        ADMIN,
        "subid_files",
        links=("/etc/subuid",),
    ),
    *(
        row(
            "subid.overlap", WARN, expected, ADMIN, subid_files=Known(SubidFiles((), others, users))
        )
        for expected, others, users in (
            ("bob in /etc/subuid", (("subuid", "bob", SubidRange(165535, 10)),), ()),
            ("bob in /etc/subgid", (("subgid", "bob", SubidRange(1, 200000)),), ()),
            ("user carol (uid 100007)", (), (("carol", 100007),)),
        )
    ),
    row(
        "subid.overlap",
        PASS,
        "only alice",
        None,
        subid_files=Known(SubidFiles((), (("subuid", "bob", SubidRange(1, 99999)),), ())),
    ),
)


def _modules(
    check: str,
    verdict: Verdict,
    expected: str,
    fixable_by: FixableBy | None,
    *gone: str,
    **changes: Any,
) -> Row:
    loadable = frozenset(gone) if changes.pop("loadable", False) else frozenset()
    found = Modules(ALL_MODULES - set(gone), loadable, changes.pop("complete", True))
    return row(
        check, verdict, expected, fixable_by, modules=Known(found, "/proc/modules"), **changes
    )


_LOCKED = {**HEALTHY.sysctls, "kernel.modules_disabled": Known("1", "/proc/sys")}
_NFT = ("nf_tables", "nft_compat")
_OVERLAY = {"k3s": k3s("v1.21.2+k3s1")}
_STARGZ: dict[str, Any] = {
    "server": _argv("--snapshotter=stargz"),
    "unit": Known(Unit("loaded", delegate=True), "systemd"),
}
KERNEL = (
    row(
        "kernel.release",
        FAIL,
        "fuse-overlayfs in a user namespace needs Linux 4.18",
        ADMIN,
        kernel=Known((4, 15), "4.15.0"),
    ),
    row(
        "kernel.release",
        FAIL,
        "overlayfs in a user namespace needs Linux 5.11",
        ADMIN,
        kernel=Known((5, 10)),
        **_OVERLAY,
    ),
    row("kernel.release", WARN, "incomplete before Linux 5.2", ADMIN, kernel=Known((5, 1))),
    row("kernel.release", PASS, "5.2", None, kernel=Known((5, 2))),
    _modules(
        "kernel.br_netfilter", WARN, "not allowed to load it", ADMIN, "br_netfilter", loadable=True
    ),
    _modules("kernel.br_netfilter", WARN, "not in this kernel", ADMIN, "br_netfilter"),
    _modules(
        "kernel.br_netfilter",
        UNKNOWN,
        "does not show whether the",
        None,
        "br_netfilter",
        complete=False,
    ),
    _modules("kernel.bridge", PASS, "loaded on demand", None, "bridge", loadable=True),
    _modules(
        "kernel.bridge",
        WARN,
        "no longer be loaded",
        ADMIN,
        "bridge",
        loadable=True,
        sysctls=_LOCKED,
    ),
    _modules("kernel.veth", WARN, "pods have no network", ADMIN, "veth"),
    _modules("kernel.vxlan", FAIL, "flannel exited", ADMIN, "vxlan"),
    _modules("kernel.nf_conntrack", FAIL, "kube-proxy", ADMIN, "nf_conntrack"),
    row("k3s.ipset", PASS, "/bin/ipset", None),
    row("k3s.ipset", PASS, "not unpacked itself yet", None, ipset=Known("")),
    row("k3s.ipset", WARN, "does not enforce them", USER, ipset=Known(None)),
    _modules("kernel.ip_set", PASS, "loaded on demand", None, "ip_set", loadable=True),
    _modules("kernel.ip_set", WARN, "does not enforce them", ADMIN, "ip_set_hash_net", "xt_set"),
    _modules("kernel.ip_set", WARN, "not in this kernel: xt_set", ADMIN, "xt_set"),
    _modules(
        "kernel.ip_set", UNKNOWN, "whether the kernel has them", None, "xt_set", complete=False
    ),
    _modules(
        "kernel.ip_set",
        WARN,
        "no longer be loaded",
        ADMIN,
        "ip_set",
        loadable=True,
        sysctls=_LOCKED,
    ),
    _modules("kernel.nflog", PASS, "loaded on demand", None, "nfnetlink_log", loadable=True),
    _modules("kernel.nflog", INFO, "cannot be logged", ADMIN, "xt_NFLOG"),
    _modules("kernel.iptables", PASS, "ip_tables", None, *_NFT),
    _modules("kernel.iptables", PASS, "nf_tables", None, *_NFT, loadable=True),
    _modules("kernel.iptables", FAIL, "not in this kernel", ADMIN, *_NFT, "ip_tables"),
    _modules(
        "kernel.iptables",
        UNKNOWN,
        "does not show whether the",
        None,
        *_NFT,
        "ip_tables",
        complete=False,
    ),
    row(
        "kernel.iptables",
        FAIL,
        "not loaded",
        ADMIN,
        modules=Known(
            Modules(
                frozenset(),
                frozenset({"ip_tables", "iptable_nat", "iptable_filter"}),
                complete=True,
            )
        ),
    ),
    *(
        row("device.tun", FAIL, expected, ADMIN, devices=Known({"tun": code, "fuse": 0, "kmsg": 0}))
        for code, expected in (
            (errno.ENOENT, "not available (ENOENT)"),
            (errno.ENODEV, "not available (ENODEV)"),
            (errno.EACCES, "cannot be opened (EACCES)"),
        )
    ),
    row(
        "device.fuse",
        FAIL,
        "cannot be mounted",
        ADMIN,
        devices=Known({"tun": 0, "fuse": errno.EPERM, "kmsg": 0}),
    ),
    row(
        "device.fuse",
        PASS,
        "not needed",
        None,
        devices=Known({"tun": 0, "fuse": errno.ENOENT, "kmsg": 0}),
        **_OVERLAY,
    ),
    row(
        "device.kmsg",
        FAIL,
        "if it does not exist",
        ADMIN,
        devices=Known({"tun": 0, "fuse": 0, "kmsg": errno.ENOENT}),
    ),
    row(
        "snapshotter.mount_fuse3",
        FAIL,
        "never registers",
        ADMIN,
        programs=Known({"mount.fuse3": None}, "/usr/bin"),
    ),
    row(
        "snapshotter.mount_fuse3",
        PASS,
        "not needed",
        None,
        programs=Known({"mount.fuse3": None}),
        **_OVERLAY,
    ),
    row("snapshotter.overlayfs", PASS, "works", None, **_OVERLAY),
    row("snapshotter.overlayfs", PASS, "works", None, **_STARGZ),
    row("kernel.release", FAIL, "needs Linux 5.11", ADMIN, kernel=Known((5, 10)), **_STARGZ),
    row(
        "snapshotter.overlayfs",
        FAIL,
        "EPERM",
        USER,
        trial=Known(replace(TRIED, overlay=errno.EPERM)),
        **_STARGZ,
    ),
    row(
        "device.fuse",
        FAIL,
        "stargz cannot be mounted without it",
        ADMIN,
        devices=Known({"tun": 0, "fuse": errno.ENOENT, "kmsg": 0}),
        **_STARGZ,
    ),
    row("snapshotter.mount_fuse3", PASS, "not needed by the snapshotter stargz", None, **_STARGZ),
    row(
        "snapshotter.overlayfs",
        FAIL,
        "EPERM",
        USER,
        trial=Known(replace(TRIED, overlay=errno.EPERM)),
        **_OVERLAY,
    ),
    row(
        "snapshotter.overlayfs",
        INFO,
        "not tried",
        None,
        trial=Known(replace(TRIED, overlay=None)),
        **_OVERLAY,
    ),
    row(
        "snapshotter.overlayfs",
        FAIL,
        "cannot store image layers on zfs",
        USER,
        storage=Known(replace(_of("storage"), data=place("/home/alice/.rancher/k3s", type="zfs"))),
        **_OVERLAY,
    ),
)


def _busy(
    check: str,
    verdict: Verdict,
    expected: str,
    fixable_by: FixableBy | None,
    *held: UsedPort,
    **changes: Any,
) -> Row:
    return row(check, verdict, expected, fixable_by, sockets=Known(held), **changes)


def _network(
    check: str,
    verdict: Verdict,
    expected: str,
    fixable_by: FixableBy | None,
    *networks: tuple[str, str],
) -> Row:
    return _changed(check, verdict, expected, fixable_by, "network", networks=networks)


_OURS = {
    "unit": Known(
        Unit("loaded", active_state="active", environment={"K3S_ROOTLESS_CIDR": "10.42.8.0/24"})
    )
}
NETWORK = (
    _busy(
        "net.port.api",
        FAIL,
        "in use by kind (PID 7, user alice)",
        USER,
        UsedPort(6443, "alice", "kind", 7),
    ),
    _busy("net.port.api", FAIL, "in use by a program of bob", USER, UsedPort(6443, "bob")),
    _busy(
        "net.port.api",
        PASS,
        "in use by this K3s",
        None,
        UsedPort(6443, "alice", "k3s-server", 7, ours=True),
    ),
    _busy(
        "net.port.api",
        PASS,
        "7443 is free",
        None,
        UsedPort(6443, "bob"),
        server=_argv("--https-listen-port=7443"),
    ),
    _busy(
        "net.port.api",
        FAIL,
        "in use by a program of bob",
        USER,
        UsedPort(6443, "bob", foreign=True),
    ),
    _busy(
        "net.port.http",
        WARN,
        "port 80 of traefik is not forwarded",
        USER,
        UsedPort(10080, "root", foreign=True),
    ),
    _busy(
        "net.port.http", WARN, "port 80 of traefik is not forwarded", USER, UsedPort(10080, "bob")
    ),
    _busy(
        "net.port.http",
        PASS,
        "traefik or servicelb is disabled",
        None,
        UsedPort(10080, "bob"),
        server=_argv("--disable", "traefik"),
    ),
    _busy(
        "net.port.http",
        PASS,
        "traefik or servicelb is disabled",
        None,
        UsedPort(10080, "bob"),
        server=_argv("--disable=servicelb"),
    ),
    _busy(
        "net.port.https", WARN, "port 443 of traefik is not forwarded", USER, UsedPort(10443, "bob")
    ),
    _network("net.cidr.rootless", WARN, "10.41.7.0/24 (wg0)", USER, ("10.41.7.0/24", "wg0")),
    _network("net.cidr.pods", WARN, "10.32.0.0/11 (tun1)", USER, ("10.32.0.0/11", "tun1")),
    _network("net.cidr.services", WARN, "10.43.0.1/32", USER, ("10.43.0.1/32", "")),
    _network(
        "net.cidr.services", PASS, "is free", None, ("10.44.0.0/16", "eth0"), ("fd00::/8", "eth0")
    ),
    _changed(
        "net.cidr.pods",
        WARN,
        "name server 10.42.0.53",
        USER,
        "resolver",
        nameservers=("10.42.0.53",),
    ),
    row("net.cidr.rootless", WARN, "overlaps the pod network", USER, **_OURS),
    row("net.cidr.pods", UNKNOWN, "not an address range", None, server=_argv("--cluster-cidr=ten")),
    _changed(
        "net.mtu", INFO, "65520 in K3s, 1420 on wg0", USER, "network", mtu=1420, interface="wg0"
    ),
    _changed("net.mtu", PASS, "no default route", None, "network", mtu=None, interface=""),
    _unit("net.mtu", PASS, "1400 in K3s", None, "loaded", environment={"K3S_ROOTLESS_MTU": "1400"}),
    _changed("net.resolver", WARN, "cannot resolve names", ADMIN, "resolver", nameservers=()),
    _changed(
        "net.resolver", INFO, "search corp.example", None, "resolver", search=("corp.example",)
    ),
    _changed("net.localhost", WARN, "port-forward", ADMIN, "resolver", localhost=False),
    _changed("net.route", INFO, "none (IPv4)", None, "network", interface=""),
    _changed(
        "net.firewall", INFO, "firewalld", None, "surroundings", services=frozenset({"firewalld"})
    ),
    _changed("net.firewall", INFO, "ufw", None, "surroundings", ufw=True),
    _changed(
        "net.nm_cloud_setup",
        INFO,
        "no action needed",
        None,
        "surroundings",
        services=frozenset({"nm-cloud-setup"}),
    ),
    *(
        row(
            "net.iptables",
            verdict,
            expected,
            fixable_by,
            iptables=Known(text, "iptables --version"),
        )
        for text, verdict, expected, fixable_by in (
            ("iptables v1.8.4 (nf_tables)", WARN, "duplicate rules", USER),
            ("iptables v1.8.4 (legacy)", PASS, "legacy", None),
            ("iptables v1.8.40 (nf_tables)", PASS, "1.8.40", None),
            ("", PASS, "uses its own", None),
        )
    ),
)


def _data(
    check: str, verdict: Verdict, expected: str, fixable_by: FixableBy | None, **changes: Any
) -> Row:
    data = place("/home/alice/.rancher/k3s", **changes)
    return row(
        check, verdict, expected, fixable_by, storage=Known(replace(_of("storage"), data=data))
    )


def _home(verdict: Verdict, expected: str, fixable_by: FixableBy | None, **changes: Any) -> Row:
    home = place("/home/alice", **{"exists": True, **changes})
    return row(
        "storage.home",
        verdict,
        expected,
        fixable_by,
        storage=Known(replace(_of("storage"), home=home)),
    )


def _tmp(verdict: Verdict, expected: str, fixable_by: FixableBy | None, **changes: Any) -> Row:
    return row(
        "storage.tmp",
        verdict,
        expected,
        fixable_by,
        storage=Known(replace(_of("storage"), temporary=place("/tmp", **changes))),
    )


_GIB = 2**30
_LEFT = ("/home/alice/.rancher/k3s/rootless/.bp.sock",)
_LONG = Path(f"/home/alice/{'x' * 90}")
STORAGE = (
    _home(FAIL, "does not exist", ADMIN, exists=False, found="/home"),
    _home(FAIL, "not writable", USER, writable=False),
    _home(FAIL, "not writable", ADMIN, writable=False, owner=0),
    _home(FAIL, "mounted read-only", ADMIN, writable=False, flags=frozenset({"ro"})),
    _data(
        "storage.data",
        FAIL,
        "belongs to uid 0",
        ADMIN,
        found="/home/alice/.rancher",
        owner=0,
        writable=False,
    ),
    _data("storage.data", FAIL, "cannot create", USER, found="/srv", owner=0, writable=False),
    *(
        _data("storage.type", FAIL, "file server", USER, type=type_)
        for type_ in ("nfs", "nfs4", "cifs", "9p", "fuse.sshfs")
    ),
    _data("storage.type", FAIL, "does not store owners", USER, type="vfat"),
    _data("storage.type", WARN, "known to fail", USER, type="ecryptfs"),
    _data("storage.type", INFO, "lost at reboot", None, type="tmpfs"),
    *(
        _data("storage.type", PASS, type_, None, type=type_)
        for type_ in ("ext4", "xfs", "btrfs", "zfs", "overlay")
    ),
    _data(
        "storage.mount",
        FAIL,
        "unpacks its programs there",
        USER,
        flags=frozenset({"noexec", "nosuid"}),
    ),
    _data(
        "storage.mount",
        FAIL,
        "cannot write its data",
        USER,
        flags=frozenset({"ro"}),
        writable=False,
    ),
    _data("storage.mount", INFO, "nodev, nosuid", None, flags=frozenset({"nosuid", "nodev"})),
    _data("storage.space", FAIL, "not enough to unpack", USER, free=_GIB // 2 - 1),
    _data("storage.space", FAIL, "9999 inodes", USER, inodes=9999),
    _data("storage.space", WARN, "evicted below 5 %", USER, free=2 * _GIB - 1),
    _data("storage.space", WARN, "evicted below 5 %", USER, free=4 * _GIB),
    _data("storage.space", PASS, "free", None, inodes=None),
    _data("storage.quota", FAIL, "not enough to unpack", USER, left=Known(0, "quota on /dev/sda1")),
    _data("storage.quota", WARN, "use this up soon", USER, left=Known(_GIB, "quota on /dev/sda1")),
    _data("storage.quota", PASS, "9.0 GiB left", None, left=Known(9 * _GIB)),
    _data("storage.quota", INFO, "cannot be read", None, left=Unknown("the quota cannot be read")),
    _tmp(FAIL, "not writable", ADMIN, writable=False),
    _tmp(FAIL, "not writable", ADMIN, flags=frozenset({"ro"})),
    _tmp(FAIL, "full", USER, free=0),
    _tmp(FAIL, "full", USER, inodes=0),
    _data("storage.socket", PASS, "48 bytes", None),
    row(
        "storage.socket",
        FAIL,
        "107 bytes",
        USER,
        storage=Known(replace(_of("storage"), data=place(str(_LONG)))),
    ),
    row("storage.unpacking", PASS, "none", None),
    row(
        "storage.unpacking",
        WARN,
        "200 MiB in /home/alice/it's/data/ab-tmp",
        USER,
        storage=Known(
            replace(_of("storage"), unfinished=(("/home/alice/it's/data/ab-tmp", 200 * 2**20),))
        ),
    ),
    row(
        "storage.datastore",
        FAIL,
        "it belongs to another user",
        ADMIN,
        datastore=Known(Datastore(0, "it belongs to another user"), _STATE),
    ),
    row(
        "storage.datastore",
        FAIL,
        "its mode",
        USER,
        datastore=Known(Datastore(HEALTHY.uid, "its mode"), _STATE),
    ),
    row(
        "storage.datastore",
        FAIL,
        "damaged: malformed",
        USER,
        datastore=Known(Datastore(HEALTHY.uid, "malformed", damaged=True), _STATE),
    ),
    row("storage.datastore", UNKNOWN, "dark", None, datastore=Unknown("dark")),
    row(
        "storage.leftovers",
        WARN,
        "fail once",
        USER,
        storage=Known(replace(_of("storage"), left_over=_LEFT)),
    ),
    row(
        "storage.leftovers",
        PASS,
        "K3s is active",
        None,
        storage=Known(replace(_of("storage"), left_over=_LEFT)),
        unit=Known(Unit("loaded", active_state="active")),
    ),
    row(
        "storage.leftovers",
        UNKNOWN,
        "dark",
        None,
        storage=Known(replace(_of("storage"), left_over=_LEFT)),
        unit=Unknown("dark"),
    ),
)
_CONFIG = "/etc/rancher/k3s/config.yaml"
AROUND = (
    _changed(
        "config.readable",
        FAIL,
        "EACCES",
        USER,
        "surroundings",
        configuration={_CONFIG: errno.EACCES},
    ),
    _changed(
        "config.readable",
        INFO,
        "also applies to rootless K3s",
        None,
        "surroundings",
        configuration={_CONFIG: 0},
    ),
    _changed(
        "config.rootful",
        WARN,
        "k3s.service is running",
        ADMIN,
        "surroundings",
        services=frozenset({"k3s"}),
    ),
    _changed(
        "config.rootful",
        INFO,
        "KUBECONFIG",
        None,
        "surroundings",
        files=frozenset({"/etc/rancher/k3s/k3s.yaml"}),
    ),
    _host("security.selinux", INFO, "ausearch", None, selinux=True),
    _host("security.selinux", PASS, "permissive", None, selinux=False),
    row(
        "security.selinux",
        WARN,
        "--selinux",
        USER,
        host=Known(replace(HOST, selinux=True)),
        server=_argv("--selinux"),
    ),
    row(
        "security.selinux",
        WARN,
        "5.19",
        USER,
        host=Known(replace(HOST, selinux=True)),
        kernel=Known((5, 14)),
        **_OVERLAY,
    ),
    _host("host.container", INFO, "nesting=1", None, container="lxc"),
    _host("host.container", INFO, "systemd=true", None, wsl=True),
    _host("host.memory", WARN, "300 MiB available", USER, available=300 * 2**20),
    _host("host.memory", INFO, "500 to 800 MiB", None, available=900 * 2**20),
    _host("host.memory", INFO, "does not contain MemAvailable", None, available=0),
    _host("host.processors", INFO, "requires two", None, processors=1),
    _host("host.clock", WARN, "/etc/os-release is newer", ADMIN, early="/etc/os-release"),
    _host("host.clock", INFO, "not synchronized", None, synchronized=False),
    *(
        _host("host.hostname", FAIL, "never registers", ADMIN, hostname=name)
        for name in ("my_host", "x" * 64, "-a", "", "a..b")
    ),
    *(
        _host("host.hostname", PASS, name, None, hostname=name)
        for name in ("Node-1", "a.example.org", "1")
    ),
    row(
        "host.hostname",
        PASS,
        "node",
        None,
        host=Known(replace(HOST, hostname="a_b")),
        server=_argv("--node-name", "node"),
    ),
    _host("host.hidepid", WARN, "hidepid=2", ADMIN, hidepid="2"),
    _changed("host.files", WARN, "too many open files", ADMIN, "process", open_files=1024),
    _changed("host.files", INFO, "enough for a few pods", None, "process", open_files=4096),
    _changed("host.files", PASS, "no limit", None, "process", open_files=None),
    _changed("host.tasks", WARN, "temporarily unavailable", ADMIN, "process", tasks=2047),
    _changed("host.tasks", PASS, "no limit", None, "process", tasks=None),
)


_CARD = Gpu(
    ("0000:01:00.0",),
    "550.54.15",
    {"nvidia0": 0, "nvidiactl": 0, "nvidia-uvm": 0},
    {"nvidia": "/usr/bin/nvidia-container-runtime", "nvidia-cdi": "/usr/bin/n.cdi", "crun": None},
    (DeviceSpecification("/etc/cdi/nvidia.yaml", "nvidia.com/gpu", ("0", "all"), "550.54.15"),),
    no_cgroups=True,
    search="/usr/bin",
)


def _gpu(
    check: str, verdict: Verdict, expected: str, fixable_by: FixableBy | None, **changes: Any
) -> Row:
    found = Known(replace(_CARD, **changes), "/sys/bus/pci")
    return row(f"gpu.{check}", verdict, expected, fixable_by, gpu=found)


def _specification(**changes: Any) -> tuple[DeviceSpecification, ...]:
    return (replace(_CARD.specifications[0], **changes),)


_UNREAD = Unknown("/sys cannot be read")
GPU = (
    row("gpu.driver", PASS, "no NVIDIA GPU", None),
    _gpu("driver", PASS, "driver 550.54.15", None),
    _gpu("driver", INFO, "1 cards, no driver", ADMIN, driver=None),
    row("gpu.driver", UNKNOWN, "/sys cannot be read", None, gpu=_UNREAD),
    row("gpu.devices", PASS, "no NVIDIA driver is loaded", None),
    _gpu("devices", PASS, "/dev/nvidia0, /dev/nvidiactl, /dev/nvidia-uvm", None),
    _gpu(
        "devices",
        INFO,
        "missing: /dev/nvidia-uvm",
        ADMIN,
        devices={"nvidia0": 0, "nvidiactl": 0, "nvidia-uvm": errno.ENOENT},
    ),
    _gpu("devices", INFO, "missing: /dev/nvidia0", ADMIN, devices={"nvidiactl": 0}),
    _gpu(
        "devices",
        INFO,
        "cannot be opened: /dev/nvidia0",
        ADMIN,
        devices={"nvidia0": errno.EACCES, "nvidiactl": 0},
    ),
    row("gpu.devices", UNKNOWN, "/sys cannot be read", None, gpu=_UNREAD),
    row("gpu.toolkit", PASS, "no NVIDIA driver is loaded", None),
    _gpu("toolkit", PASS, "nvidia, nvidia-cdi", None),
    _gpu("toolkit", INFO, "in the PATH of the unit: /usr/bin", ADMIN, runtimes={"nvidia": None}),
    row("gpu.toolkit", UNKNOWN, "/sys cannot be read", None, gpu=_UNREAD),
    row("gpu.cdi", PASS, "no NVIDIA driver is loaded", None),
    _gpu("cdi", PASS, "2 devices: nvidia.com/gpu=0, nvidia.com/gpu=all", None),
    _gpu("cdi", INFO, "none", ADMIN, specifications=()),
    _gpu(
        "cdi",
        INFO,
        "/etc/cdi/nvidia.yaml: permission denied",
        ADMIN,
        specifications=_specification(problem="permission denied"),
    ),
    _gpu(
        "cdi",
        INFO,
        "is for driver 535.1",
        ADMIN,
        specifications=_specification(version="535.1"),
    ),
    row(
        "gpu.cdi",
        INFO,
        "reads no CDI specification by default",
        USER,
        gpu=Known(_CARD),
        k3s=k3s("v1.31.5+k3s1"),
    ),
    row("gpu.cdi", UNKNOWN, "/sys cannot be read", None, gpu=_UNREAD),
    row("gpu.cgroups", PASS, "no NVIDIA driver is loaded", None),
    _gpu("cgroups", PASS, "no-cgroups = true", None),
    _gpu("cgroups", PASS, "mode = cdi", None, no_cgroups=None, mode="cdi"),
    _gpu("cgroups", INFO, "Use the runtime `nvidia-cdi`", None, no_cgroups=None),
    row("gpu.cgroups", UNKNOWN, "/sys cannot be read", None, gpu=_UNREAD),
    row("containerd.default_runtime", PASS, "runc", None),
    row(
        "containerd.default_runtime",
        PASS,
        "nvidia (/usr/bin/nvidia-container-runtime)",
        None,
        gpu=Known(_CARD),
        server=_argv("--default-runtime=nvidia"),
    ),
    row(
        "containerd.default_runtime",
        FAIL,
        "default runtime crun was not found",
        USER,
        gpu=Known(_CARD),
        server=_argv("--default-runtime=crun"),
    ),
    row("containerd.default_runtime", UNKNOWN, "/sys cannot be read", None, gpu=_UNREAD),
)

ROWS = (
    *SESSION,
    *SYSCTLS,
    *IDENTITY,
    *KERNEL,
    *NETWORK,
    *STORAGE,
    *AROUND,
    *configuration_rows.ROWS,
    *GPU,
)
