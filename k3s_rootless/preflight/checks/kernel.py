"""Checks of the kernel: modules, devices, and a file system for image layers."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping

from k3s_rootless import host_change
from k3s_rootless.finding import FixableBy, Remedy, Severity
from k3s_rootless.host_change import Then
from k3s_rootless.k3s import features
from k3s_rootless.k3s.features import UnitVariant
from k3s_rootless.k3s.origin import Source
from k3s_rootless.observation import Known
from k3s_rootless.preflight.checks.judgement import (
    DEGRADED,
    FATAL,
    INFORMATIVE,
    Checklist,
    Judgement,
    failed,
    info,
    passed,
    unknown,
    warned,
)
from k3s_rootless.preflight.facts import Facts
from k3s_rootless.preflight.records import Modules, Trial
from k3s_rootless.preflight.remedies import host
from k3s_rootless.preflight.remedies.settings import without

check = Checklist()
BY_OVERLAYFS = frozenset({"overlayfs", "stargz"})
"""Snapshotters that mount overlayfs; K3s exits if that fails (its pkg/agent/config)."""
_BY_FUSE = frozenset({"fuse-overlayfs", "stargz"})
_OTHER_KERNEL = Remedy(
    FixableBy.ADMINISTRATOR,
    "boot a kernel that supports it (Ubuntu on Raspberry Pi: install linux-modules-extra-raspi)",
)
_TMPFILES = "/etc/tmpfiles.d/60-k3s-rootless-kmsg.conf"
_KMSG = Remedy(
    FixableBy.ADMINISTRATOR,
    "pass /dev/kmsg to this container, or create it as a link to /dev/null",
    (
        f"echo 'L /dev/kmsg - - - - null' | sudo tee {_TMPFILES}",
        f"sudo systemd-tmpfiles --create {_TMPFILES}",
    ),
)
_MERGED = ("overlay", "overlayfs", "nfs", "nfs4", "ecryptfs", "zfs", "cifs", "smb3", "9p")
"""File systems that overlayfs refuses, or refused until recently, as an upper layer.

Source: overlayfs.rst, "Upper and lower".
"""


@check.seen("kernel.release", "Kernel release", FATAL, "kernel", "k3s", "unit")
def kernel_release(facts: Facts, seen: Known[tuple[int, int]]) -> Judgement:
    """Check the release of the kernel.

    In user namespaces, FUSE works from 4.18 on, and overlayfs from 5.11 on. cgroup v2 works well
    from 5.2 on (runc docs).
    """
    needed = (5, 11) if snapshotter(facts) in BY_OVERLAYFS else (4, 18)
    observed = seen.source or ".".join(map(str, seen.value))
    remedy = Remedy(FixableBy.ADMINISTRATOR, "upgrade the kernel")
    if seen.value < needed:
        reason = (
            f"{snapshotter(facts)} in a user namespace needs Linux {needed[0]}.{needed[1]} or later"
        )
        return failed(observed, reason, remedy)
    if seen.value < (5, 2):
        return warned(observed, "cgroup v2 is incomplete before Linux 5.2", remedy)
    return passed(observed)


def snapshotter(facts: Facts) -> str:
    """Return the snapshotter of the unit, or else that of the unit that `up` would write."""
    if isinstance(facts.unit, Known) and facts.unit.value.load_state == "loaded":
        return facts.server.snapshotter or "overlayfs"
    found = facts.k3s.version
    if isinstance(found, Known) and features.unit_variant(found.value) is UnitVariant.PLAIN:
        return "overlayfs"
    return "fuse-overlayfs"


def _module(
    name: str, why: str, severity: Severity, *, by_itself: bool
) -> Callable[[Facts, Known[Modules]], Judgement]:
    def judge_module(facts: Facts, seen: Known[Modules]) -> Judgement:
        """Check that a module is loaded, or that the kernel loads it on first use.

        K3s itself cannot load it (modprobe needs root).
        """
        refuse = failed if severity is FATAL else warned
        if name in seen.value.present:
            return passed("available", seen.source)
        if name not in seen.value.loadable:
            if seen.value.complete:
                return refuse("not in this kernel", why, _OTHER_KERNEL, seen.source)
            return unknown(
                f"{name} is not loaded, and this host does not show whether the kernel has it"
            )
        disabled = facts.sysctls["kernel.modules_disabled"]
        if isinstance(disabled, Known) and disabled.value == "1":
            reason = f"modules can no longer be loaded (kernel.modules_disabled is 1); {why}"
            text = f"load {name} at boot, before kernel.modules_disabled is set"
            return refuse("not loaded", reason, Remedy(FixableBy.ADMINISTRATOR, text), seen.source)
        if by_itself:
            return passed("loaded on demand", seen.source)
        reason = f"K3s is not allowed to load it; {why}"
        return refuse("not loaded", reason, host.modules(name), seen.source)

    return judge_module


# The kernel loads the modules of these kinds of interfaces on demand (net/core/rtnetlink.c,
# "rtnl-link-%s"), but not br_netfilter.
for _name, _worst, _alone, _why in (
    (
        "br_netfilter",
        DEGRADED,
        False,
        "without it, pods cannot reach Services on their own node, including DNS (K3s #3751)",
    ),
    ("nf_conntrack", FATAL, True, "kube-proxy needs it"),
    ("bridge", DEGRADED, True, "without it, pods have no network"),
    ("veth", DEGRADED, True, "without it, pods have no network"),
    ("vxlan", FATAL, True, "without it, K3s exits with `flannel exited: operation not supported`"),
):
    check.seen(f"kernel.{_name}", f"Kernel module {_name}", _worst, "modules", "sysctls")(
        _module(_name, _why, _worst, by_itself=_alone)
    )


@check.seen("kernel.iptables", "Kernel support for iptables", FATAL, "modules")
def kernel_iptables(_: Facts, seen: Known[Modules]) -> Judgement:
    """Check the tables of K3s's two kinds of iptables; only nf_tables is loaded on demand."""
    there = seen.value.present | seen.value.loadable
    if {"nf_tables", "nft_compat"} <= there:
        return passed("nf_tables", seen.source)
    older = {"ip_tables", "iptable_nat", "iptable_filter"}
    if "ip_tables" in seen.value.present and older <= there:
        return passed("ip_tables", seen.source)
    reason = "K3s needs it for Services and network policies, and exits without it (K3s #2942)"
    if older <= there:
        return failed("not loaded", reason, host.modules(*sorted(older)), seen.source)
    if not seen.value.complete:
        return unknown(
            "neither nf_tables nor ip_tables is loaded, and this host does not show whether the"
            " kernel has them"
        )
    return failed("not in this kernel", reason, _OTHER_KERNEL, seen.source)


def _together(
    names: tuple[str, ...], why: str, refuse: Callable[..., Judgement]
) -> Callable[[Facts, Known[Modules]], Judgement]:
    def judge_modules(facts: Facts, seen: Known[Modules]) -> Judgement:
        """Check modules that the kernel loads on first use."""
        missing = [name for name in names if name not in seen.value.present]
        if not missing:
            return passed("available", seen.source)
        without = ", ".join(name for name in missing if name not in seen.value.loadable)
        if without and not seen.value.complete:
            return unknown(
                f"not loaded: {without}; this host does not show whether the kernel has them"
            )
        if without:
            observed = f"not in this kernel: {without}"
            return refuse(observed, why, source=seen.source, remedy=_OTHER_KERNEL)
        disabled = facts.sysctls["kernel.modules_disabled"]
        if isinstance(disabled, Known) and disabled.value == "1":
            reason = f"modules can no longer be loaded (kernel.modules_disabled is 1); {why}"
            text = f"load {', '.join(missing)} at boot, before kernel.modules_disabled is set"
            remedy = Remedy(FixableBy.ADMINISTRATOR, text)
            return refuse("not loaded", reason, source=seen.source, remedy=remedy)
        return passed("loaded on demand", seen.source)

    return judge_modules


# The kernel loads them on demand: sets by their type ("ip_set_%s"), matches and targets of
# iptables by their name ("ipt_%s", an alias), nfnetlink_log by the socket ("nfnetlink-subsys-%d").
for _name, _title, _worst, _refuse, _modules, _why in (
    (
        "ip_set",
        "Kernel modules of network policies",
        DEGRADED,
        warned,
        ("ip_set", "ip_set_hash_ip", "ip_set_hash_net", "xt_set"),
        "the API server accepts NetworkPolicies, and K3s does not enforce them",
    ),
    (
        "nflog",
        "Kernel modules of the log of network policies",
        INFORMATIVE,
        info,
        ("nfnetlink_log", "xt_NFLOG"),
        "packets that NetworkPolicies refuse cannot be logged",
    ),
):
    check.seen(f"kernel.{_name}", _title, _worst, "modules", "sysctls")(
        _together(_modules, _why, _refuse)
    )


@check.seen("device.tun", "/dev/net/tun", FATAL, "devices")
def device_tun(_: Facts, seen: Known[Mapping[str, int]]) -> Judgement:
    """Check /dev/net/tun, from which slirp4netns creates the network of K3s."""
    return _device(
        "/dev/net/tun",
        "tun",
        seen.value.get("tun", errno.ENOENT),
        "slirp4netns cannot create the network of K3s without it",
    )


def _device(path: str, module: str, code: int, reason: str) -> Judgement:
    if code == 0:
        return passed("can be opened", path)
    observed = errno.errorcode.get(code, str(code))
    if code in {errno.ENOENT, errno.ENODEV, errno.ENXIO}:
        return failed(f"not available ({observed})", reason, host.modules(module), path)
    name = path.removeprefix("/dev/").removeprefix("net/")
    measures = (
        host_change.Mode(path),
        host_change.File(
            f"/etc/udev/rules.d/99-k3s-rootless-{name}.rules",
            f'KERNEL=="{name}", MODE="0666"\n',
            Then.UDEV,
        ),
    )
    text = f"allow all users to open {path}; in a container, pass the device to it"
    remedy = Remedy(FixableBy.ADMINISTRATOR, text, (f"sudo chmod 666 {path}",), measures)
    return failed(f"cannot be opened ({observed})", reason, remedy, path)


@check.seen("device.fuse", "/dev/fuse", FATAL, "devices", "k3s", "unit")
def device_fuse(facts: Facts, seen: Known[Mapping[str, int]]) -> Judgement:
    """Check /dev/fuse, which is needed to mount fuse-overlayfs and the layers of stargz.

    fuse-overlayfs is the snapshotter in K3s's unit.
    """
    if snapshotter(facts) not in _BY_FUSE:
        return passed(f"not needed by the snapshotter {snapshotter(facts)}")
    return _device(
        "/dev/fuse",
        "fuse",
        seen.value.get("fuse", errno.ENOENT),
        f"{snapshotter(facts)} cannot be mounted without it",
    )


@check.seen("device.kmsg", "/dev/kmsg", FATAL, "devices")
def device_kmsg(_: Facts, seen: Known[Mapping[str, int]]) -> Judgement:
    """Check that /dev/kmsg exists.

    If it is not readable, K3s mounts /dev/null over it. If it is missing, K3s exits
    (pkg/rootless/mounts.go, v1.21).
    """
    if seen.value.get("kmsg"):
        reason = (
            "K3s mounts /dev/null over it, and exits with `no such file or directory` if it does"
            " not exist"
        )
        return failed("does not exist (ENOENT)", reason, _KMSG, "/dev/kmsg")
    return passed("exists", "/dev/kmsg")


@check.seen("snapshotter.mount_fuse3", "mount.fuse3", FATAL, "programs", "k3s", "unit")
def snapshotter_mount(facts: Facts, seen: Known[Mapping[str, str | None]]) -> Judgement:
    """Check that mount.fuse3 is on the unit's PATH.

    K3s bundles fuse-overlayfs, but containerd calls mount.fuse3 of the host to mount it (K3s
    #2942).
    """
    if snapshotter(facts) != "fuse-overlayfs":
        return passed(f"not needed by the snapshotter {snapshotter(facts)}")
    path = seen.value.get("mount.fuse3")
    if path is None:
        reason = "containerd cannot mount fuse-overlayfs without it, so the node never registers"
        return failed(
            "not in the PATH of the unit", reason, host.fuse(facts.distribution), seen.source
        )
    return passed(path, seen.source)


def _other_snapshotter(facts: Facts) -> Remedy:
    """Return the remedy that leads back to the snapshotter of K3s's unit."""
    origin = facts.server.value("snapshotter").origin
    if origin.source is not Source.DEFAULT:
        return without("snapshotter", origin, str(facts.server.home))
    return Remedy(
        FixableBy.USER,
        "use the snapshotter fuse-overlayfs, as the unit of K3s v1.22 and later does",
        ("k3s-rootless up --force",),
    )


@check.seen(
    "snapshotter.overlayfs",
    "overlayfs in a user namespace",
    FATAL,
    "trial",
    "storage",
    "kernel",
    "k3s",
    "unit",
)
def snapshotter_overlay(facts: Facts, seen: Known[Trial]) -> Judgement:
    """Check that overlayfs can be mounted in a user namespace; stargz needs it as well.

    The trial mounts it on a tmpfs of its child. The type of the data directory's file system
    decides whether overlayfs works there too.
    """
    type_ = facts.storage.value.data.type if isinstance(facts.storage, Known) else ""
    code = seen.value.overlay
    if snapshotter(facts) not in BY_OVERLAYFS:
        return passed(f"not needed by the snapshotter {snapshotter(facts)}")
    other = _other_snapshotter(facts)
    if code:
        return failed(
            errno.errorcode.get(code, str(code)),
            "overlayfs cannot be mounted in a user namespace",
            other,
            seen.source,
        )
    if type_ in _MERGED or type_.startswith("fuse"):
        return failed(f"on {type_}", f"overlayfs cannot store image layers on {type_}", other)
    if code is None:
        reason = "overlayfs is not loaded, or the subordinate ids could not be mapped"
        return info("not tried", reason, seen.source)
    return passed("works", f"{seen.source}, on a tmpfs")
