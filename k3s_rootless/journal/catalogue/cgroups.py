"""Failures of control groups: missing delegation, and how K3s uses delegated groups."""

from __future__ import annotations

from k3s_rootless.journal.catalogue.entry import RESTART, Failure, Weight, administrator, sign, user

_DELEGATION = administrator(
    "find out what the delegation lacks, and mend that", "k3s-rootless check cgroup.delegation"
)
_NEEDS_UNIT = (
    "a login's own cgroup belongs to root: only a unit with Delegate=yes is given one to write to"
)

FAILURES = (
    Failure(
        "memory-disabled",
        "the kernel's memory controller is switched off",
        "on a Raspberry Pi and other ARM boards the firmware disables it",
        administrator(
            "append `cgroup_memory=1 cgroup_enable=memory` to the one line of"
            " /boot/firmware/cmdline.txt (on older systems /boot/cmdline.txt), and reboot",
            "sudo sed -i '1s/$/ cgroup_memory=1 cgroup_enable=memory/' /boot/firmware/cmdline.txt",
        ),
        (sign("cgroup_enable=memory", r"failed to find memory cgroup, you may need to add"),),
        check="cgroup.delegation.memory",
    ),
    Failure(
        "cgroup-controller",
        "the controller {controller} is not delegated",
        "K3s needs cpu, cpuset, memory and pids in its own cgroup; systemd passes cpuset on only"
        " when told to",
        _DELEGATION,
        (
            sign(" cgroup", r"failed to find (?P<controller>cpu|cpuset|memory) cgroup\b"),
            sign(
                "pids cgroup controller",
                r"pids cgroup controller not found",
                "the controller pids is not delegated",
                check="cgroup.delegation.pids",
            ),
        ),
        check="cgroup.delegation.{controller}",
    ),
    Failure(
        "delegation-stale",
        "the controller {controller} is configured to be delegated, and not effective yet",
        "the user manager took its controllers when it started; a changed Delegate= reaches it by a"
        " new login, and its units by a re-execution of the manager (seen on systemd 252 and 257)",
        user(
            "log in once more, and run `k3s-rootless up`", "ssh localhost true", "k3s-rootless up"
        ),
        (),
        check="cgroup.delegation.{controller}",
        told_by="cgroup-controller",
    ),
    Failure(
        "systemd-old",
        "this systemd is too old to delegate the controller {controller}",
        "cpuset can be delegated from systemd 244 on; before, Delegate=cpuset is accepted and has"
        " no effect",
        administrator("upgrade to a distribution with systemd 244 or later (RHEL 9, Debian 11)"),
        (),
        check="cgroup.delegation.{controller}",
        told_by="cgroup-controller",
    ),
    Failure(
        "cgroup-delegation",
        "no controllers are delegated to K3s",
        f"{_NEEDS_UNIT}; or the unit says Delegate=no",
        user("run K3s as its unit, which asks for delegation", "k3s-rootless up"),
        (
            sign("delegated", r"delegated cgroup v2 controllers are required"),
            sign(
                "Disabling cgroup",
                r"cgroup v2 controllers are not delegated for rootless",
                "K3s runs without cgroups: none is delegated",
                weight=Weight.SURVIVED,
            ),
            sign(
                "cgroup2 evacuation",
                r"[Cc]annot set cgroup2 evacuation, make sure to run k3s as a systemd unit",
                "K3s does not run in a cgroup of its own",
                weight=Weight.SURVIVED,
            ),
        ),
        check="cgroup.delegation",
    ),
    Failure(
        "unit-not-delegating",
        "the unit of K3s does not ask for delegation",
        "a drop-in or a unit from elsewhere says Delegate=no; K3s finds no controllers, however"
        " well the host delegates them",
        user(
            "take Delegate= out of the drop-in that sets it, or write the unit anew",
            "systemctl --user cat k3s-rootless.service",
            "k3s-rootless up --force",
        ),
        (),
        check="cgroup.delegation",
        told_by="cgroup-delegation",
    ),
    Failure(
        "cgroup-v1",
        "this host mounts cgroup v1",
        "rootless K3s needs the controllers on cgroup v2; what v1 holds, v2 lacks",
        administrator(
            "boot with cgroup v2 alone: systemd.unified_cgroup_hierarchy=1 on the kernel command"
            " line",
            "k3s-rootless check cgroup.v2",
        ),
        (
            sign(
                "Enabling cgroup2",
                r"Enabling cgroup2 is highly recommended",
                weight=Weight.SURVIVED,
            ),
            sign("requires cgroup v2", r"requires cgroup v2"),
            sign(
                "the requested cgroup controller",
                r"the requested cgroup controller `\w{1,20}` is not available",
                weight=Weight.SURVIVED,
            ),
        ),
        check="cgroup.v2",
    ),
    Failure(
        "cgroup-root-elsewhere",
        "a program looked for the user's cgroup where it is not",
        "WSL 2.9 and containers put it elsewhere than /sys/fs/cgroup/user.slice; k3s-rootless asks"
        " systemd for the place",
        user("nothing is wrong with K3s; use a program that asks systemd"),
        (
            sign(
                "/sys/fs/cgroup/user.slice/",
                r"/sys/fs/cgroup/user\.slice/\S{0,400}: no such file or directory",
            ),
        ),
        weight=Weight.SURVIVED,
    ),
    Failure(
        "controller-blocked",
        "the kernel refuses to enable the controller {controller}",
        "with CONFIG_RT_GROUP_SCHED, real-time tasks in the user's slice (pipewire, rtkit) keep cpu"
        " from being enabled",
        user(
            "stop the programs with real-time tasks, then restart K3s",
            "ps -eLo cls,pid,comm | grep -E 'FF|RR'",
            RESTART,
        ),
        (
            sign(
                "failed to enable controller",
                r'failed to enable controller "(?P<controller>cpu|cpuset|io|memory|pids)"',
            ),
        ),
        weight=Weight.SURVIVED,
        check="cgroup.delegation.{controller}",
    ),
    Failure(
        "kubepods",
        "the kubelet cannot make its cgroups",
        "controllers vanished under a running K3s (systemd #8364), or processes are left in the"
        " cgroup above",
        user("start K3s anew", RESTART),
        (
            sign(
                "top level QOS",
                r"failed to initialize top level QOS containers: root container \[kubepods\]"
                r" doesn't exist",
            ),
            sign(
                "domain controllers",
                r"cannot enter cgroupv2 .{0,300}? with domain controllers -- it is in an invalid"
                r" state",
            ),
        ),
        check="cgroup.delegation",
    ),
    Failure(
        "cgroup-evacuation",
        "this release cannot clear its root cgroup (K3s #13667)",
        "v1.32.12, v1.33.8, v1.34.4 and v1.35.1 came with a rootlesskit that rootless K3s cannot"
        " start with",
        user("use a later release of the same line", "k3s-rootless check k3s.version"),
        (sign("evacuate root cgroup", r"failed to evacuate root cgroup"),),
        check="k3s.version",
    ),
    Failure(
        "userns-noise",
        "a line that is usual in a user namespace",
        "what the kernel forbids to the kubelet there, it can do without",
        user("nothing needs to be done"),
        (
            sign("ApplyOOMScoreAdj", r"Failed to ApplyOOMScoreAdj"),
            sign("oomWatcher", r"Failed to create an oomWatcher \(running in UserNS"),
            sign("Updating kernel flag failed", r"Updating kernel flag failed"),
            sign(
                "Failed to set sysctl",
                r"Failed to set sysctl: open /proc/sys/net/netfilter/nf_conntrack_",
            ),
            sign("with --selinux", r"k3s has not been started with --selinux"),
            sign("rootless API socket", r"Waiting for rootless API socket"),
            sign("/oom_score_adj: ", r"write /proc/\w{1,10}/oom_score_adj: permission denied"),
            sign("/usr/libexec/kubernetes: ", r"mkdir /usr/libexec/kubernetes: permission denied"),
            sign("exiting analyzeLines", r"exiting analyzeLines\. OOM events will not be reported"),
        ),
        weight=Weight.BENIGN,
    ),
    Failure(
        "start-noise",
        "a line that is usual in a start that succeeds",
        "K3s's own servers answer late in a slow start, and it does without modules that nftables"
        " has taken the place of",
        user("nothing needs to be done"),
        (
            # These packets never leave the loopback device, so they are no sign of a wrong MTU.
            sign(
                "TLS handshake timeout",
                r"https://(?:127\.0\.0\.1|localhost|\[::1\]):\d{1,5}/\S{0,600}?: net/http: TLS"
                r" handshake timeout",
            ),
            # `check kernel` covers the modules that K3s needs.
            sign(
                "with modprobe",
                r"module (?:ip_vs|iptable_nat|iptable_filter|nft-expr-counter)\w{0,16} with"
                r" modprobe",
            ),
        ),
        weight=Weight.BENIGN,
    ),
)
