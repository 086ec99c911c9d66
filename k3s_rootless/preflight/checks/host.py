"""Checks of the host around K3s.

They cover the configuration of a rootful K3s, security modules, containers, memory, clock, names
and limits.
"""

from __future__ import annotations

import errno
import re

from k3s_rootless import host_change
from k3s_rootless.finding import FixableBy, Remedy
from k3s_rootless.host_change import Then
from k3s_rootless.k3s import config_file
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
    warned,
)
from k3s_rootless.preflight.checks.kernel import BY_OVERLAYFS, snapshotter
from k3s_rootless.preflight.facts import Facts
from k3s_rootless.preflight.records import Machine, Process, Surroundings
from k3s_rootless.preflight.remedies import host
from k3s_rootless.preflight.remedies.settings import without

check = Checklist()
_MIB = 2**20
_FILES_CONF = "/etc/systemd/system/user@.service.d/61-k3s-rootless-files.conf"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*")


@check.seen("config.readable", "Access to the configuration files", FATAL, "surroundings")
def config_readable(facts: Facts, seen: Known[Surroundings]) -> Judgement:
    """Check that K3s can read its configuration; rootless K3s reads the host's too (K3s #4321)."""
    for path, code in seen.value.configuration.items():
        if code:
            text = "use a configuration file of your own; it does not have to exist"
            remedy = host.setting(text, "K3S_CONFIG_FILE", "%h/.config/k3s/config.yaml")
            return failed(
                f"{path} cannot be read ({errno.errorcode.get(code, str(code))})",
                "K3s exits if it cannot read its configuration",
                remedy,
                path,
            )
    if seen.value.configuration and facts.server.config == config_file.DEFAULT:
        reason = "the configuration of a rootful K3s also applies to rootless K3s"
        return info(", ".join(seen.value.configuration), reason, seen.source)
    return passed(", ".join(seen.value.configuration) or "none", seen.source)


@check.seen("config.rootful", "Rootful K3s", DEGRADED, "surroundings")
def config_rootful(_: Facts, seen: Known[Surroundings]) -> Judgement:
    """Check that there is no rootful K3s on the host.

    A rootful K3s uses port 6443, and `k3s kubectl` reads its kubeconfig first.
    """
    running = sorted(seen.value.services & {"k3s", "k3s-agent"})
    if running:
        unit = running[0]
        remedy = Remedy(
            FixableBy.ADMINISTRATOR,
            "stop the rootful K3s, or configure other ports for one of the two",
            (f"sudo systemctl disable --now {unit}",),
        )
        reason = "rootful and rootless K3s use the same ports of the host"
        return warned(f"{unit}.service is running", reason, remedy, seen.source)
    if seen.value.files:
        reason = (
            "if /etc/rancher/k3s/k3s.yaml exists, `k3s kubectl` uses it; set KUBECONFIG to use"
            " your own cluster"
        )
        return info(", ".join(sorted(seen.value.files)), reason, seen.source)
    return passed("none", seen.source)


@check.seen("security.selinux", "SELinux", DEGRADED, "host", "k3s", "unit", "kernel")
def security_selinux(facts: Facts, seen: Known[Machine]) -> Judgement:
    """Check that the settings of K3s work with SELinux.

    K3s's policy covers only /var/lib/rancher. With a data directory elsewhere, --selinux is not
    supported.
    """
    if seen.value.selinux is None:
        return passed("not enabled", "/sys/fs/selinux")
    if not seen.value.selinux:
        return passed("permissive", "/sys/fs/selinux")
    if facts.server.selinux:
        origin = facts.server.value("selinux").origin
        remedy = without("selinux", origin, str(facts.server.home))
        return warned(
            "enforcing, --selinux",
            "the SELinux policy of K3s does not cover a data directory in a home directory",
            remedy,
            "/sys/fs/selinux",
        )
    old = isinstance(facts.kernel, Known) and facts.kernel.value < (5, 19)
    if old and snapshotter(facts) in BY_OVERLAYFS:
        remedy = Remedy(
            FixableBy.USER,
            "use the snapshotter fuse-overlayfs, as the unit of K3s v1.22 and later does",
            ("k3s-rootless up --force",),
        )
        return warned(
            "enforcing",
            "overlayfs in a user namespace needs Linux 5.19 or later to work with SELinux",
            remedy,
        )
    return info(
        "enforcing",
        "K3s runs without --selinux, and logs a warning; `ausearch -m avc` shows denials",
        "/sys/fs/selinux",
    )


@check.seen("host.container", "Container or WSL2", INFORMATIVE, "host")
def host_container(_: Facts, seen: Known[Machine]) -> Judgement:
    """Report a container or WSL2, and what K3s needs there.

    A container needs /dev/net/tun, /dev/fuse, nesting and more ids. WSL2 has its own settings.
    """
    machine = seen.value
    if machine.wsl:
        reason = (
            "K3s needs `[boot] systemd=true` in /etc/wsl.conf, and cgroup_no_v1=all in"
            " kernelCommandLine of .wslconfig"
        )
        return info("WSL2", reason, seen.source)
    if machine.container:
        reason = "K3s needs /dev/net/tun, /dev/fuse and nesting (LXC: nesting=1, keyctl=1)"
        return info(machine.container, reason, seen.source)
    return passed("none", seen.source)


@check.seen("host.memory", "Memory", DEGRADED, "host")
def host_memory(_: Facts, seen: Known[Machine]) -> Judgement:
    """Check the available memory: an idle K3s uses 500 to 800 MiB."""
    observed = f"{seen.value.available / _MIB:.0f} MiB available"
    if not seen.value.available:
        return info("unknown", "/proc/meminfo does not contain MemAvailable")
    if seen.value.available < 384 * _MIB:
        remedy = Remedy(
            FixableBy.USER,
            "stop other programs, or start K3s with --disable=traefik,metrics-server",
            ("free -h",),
        )
        return warned(observed, "an idle K3s uses 500 to 800 MiB", remedy, "/proc/meminfo")
    if seen.value.available < 1024 * _MIB:
        return info(observed, "an idle K3s uses 500 to 800 MiB", "/proc/meminfo")
    return passed(observed, "/proc/meminfo")


@check.seen("host.processors", "Processors", INFORMATIVE, "host")
def host_processors(_: Facts, seen: Known[Machine]) -> Judgement:
    """Report a single processor: K3s's requirements name two, but it starts with one."""
    if seen.value.processors == 1:
        return info("1", "K3s requires two; with one, it starts slowly", seen.source)
    return passed(str(seen.value.processors), seen.source)


@check.seen("host.clock", "Clock", DEGRADED, "host")
def host_clock(_: Facts, seen: Known[Machine]) -> Judgement:
    """Check the clock: certificates from a clock in the past are not valid once it is correct."""
    if seen.value.early:
        commands = ("sudo timedatectl set-ntp true",)
        remedy = Remedy(FixableBy.ADMINISTRATOR, "set the clock", commands)
        return warned(
            "in the past",
            f"{seen.value.early} is newer than the current time: certificates would not be valid",
            remedy,
        )
    if not seen.value.synchronized:
        return info(
            "not synchronized",
            "the kernel reports no time synchronization; certificates need the correct time",
            "adjtimex(2)",
        )
    return passed("synchronized", "adjtimex(2)")


@check.seen("host.hostname", "Host name", FATAL, "host", "unit")
def host_hostname(facts: Facts, seen: Known[Machine]) -> Judgement:
    """Check that the host name is valid as the name of a node.

    K3s names its node after the host, in lower case. Kubernetes accepts only names of RFC 1123.
    """
    name = facts.server.node_name or seen.value.hostname
    if not _NAME.fullmatch(name.lower()) or len(name) > 63:
        remedy = Remedy(
            FixableBy.ADMINISTRATOR,
            "set a host name of letters, digits and hyphens",
            ("sudo hostnamectl set-hostname NAME",),
        )
        reason = "not valid as the name of a node, so K3s never registers its node"
        return failed(name or "empty", reason, remedy, seen.source)
    return passed(name, seen.source)


@check.seen("host.hidepid", "Processes of other users in /proc", DEGRADED, "host")
def host_hidepid(_: Facts, seen: Known[Machine]) -> Judgement:
    """Check that /proc is mounted without hidepid.

    With hidepid, programs cannot see processes that changed their user (runc #3124).
    """
    if not seen.value.hidepid:
        return passed("visible", "/proc/self/mountinfo")
    remedy = Remedy(
        FixableBy.ADMINISTRATOR,
        "mount /proc without hidepid",
        ("sudo mount -o remount,hidepid=0 /proc",),
    )
    return warned(
        f"hidepid={seen.value.hidepid}",
        "containers and newuidmap are known to fail with hidepid",
        remedy,
        "/proc/self/mountinfo",
    )


@check.seen("host.files", "Limit of open files", DEGRADED, "process")
def host_files(_: Facts, seen: Known[Process]) -> Judgement:
    """Check the limit of open files.

    K3s's unit requests no limit, and gets the hard limit of the user manager.
    """
    limit = seen.value.open_files
    if limit is not None and limit < 4096:
        commands = (
            "sudo mkdir -p /etc/systemd/system/user@.service.d",
            f"printf '[Service]\\nLimitNOFILE=524288\\n' | sudo tee {_FILES_CONF}",
            "sudo systemctl daemon-reload",
        )
        measures = (host_change.File(_FILES_CONF, "[Service]\nLimitNOFILE=524288\n", Then.SYSTEMD),)
        remedy = Remedy(
            FixableBy.ADMINISTRATOR,
            "raise the hard limit of user managers, then log in again",
            commands,
            measures,
        )
        return warned(str(limit), "containers fail with `too many open files`", remedy, seen.source)
    if limit is not None and limit < 65536:
        return info(
            str(limit), "enough for a few pods; databases in pods may need more", seen.source
        )
    return passed("no limit" if limit is None else str(limit), seen.source)


@check.seen("host.tasks", "Limit of tasks", DEGRADED, "process")
def host_tasks(facts: Facts, seen: Known[Process]) -> Judgement:
    """Check the limit of tasks.

    All processes of the user count against it. K3s alone has about 200 threads.
    """
    limit = seen.value.tasks
    if limit is not None and limit < 2048:
        directory = f"/etc/systemd/system/user-{facts.uid}.slice.d"
        commands = (
            f"sudo mkdir -p {directory}",
            f"printf '[Slice]\\nTasksMax=33%%\\n' | sudo tee {directory}/60-k3s-rootless.conf",
            "sudo systemctl daemon-reload",
        )
        measures = (
            host_change.File(
                f"{directory}/60-k3s-rootless.conf", "[Slice]\nTasksMax=33%\n", Then.SYSTEMD
            ),
        )
        remedy = Remedy(
            FixableBy.ADMINISTRATOR, "raise the task limit of the user", commands, measures
        )
        return warned(
            str(limit),
            "with many pods, programs fail with `resource temporarily unavailable`",
            remedy,
            f"user-{facts.uid}.slice",
        )
    return passed("no limit" if limit is None else str(limit), f"user-{facts.uid}.slice")
