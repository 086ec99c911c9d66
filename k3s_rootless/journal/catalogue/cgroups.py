"""Failures of control groups: missing delegation, and how K3s uses delegated groups."""

from __future__ import annotations

from k3s_rootless.journal.catalogue.entry import RESTART, Failure, Weight, administrator, sign, user

_DELEGATION = administrator(
    "check what is missing in the delegation, and fix it", "k3s-rootless check cgroup.delegation"
)
FAILURES = (
    Failure(
        "memory-disabled",
        "the memory controller of the kernel is disabled",
        "the firmware of Raspberry Pi and other ARM boards disables it",
        administrator(
            "append `cgroup_memory=1 cgroup_enable=memory` to the only line of"
            " /boot/firmware/cmdline.txt (on older systems, /boot/cmdline.txt), then reboot",
            "sudo sed -i '1s/$/ cgroup_memory=1 cgroup_enable=memory/' /boot/firmware/cmdline.txt",
        ),
        (sign("cgroup_enable=memory", r"failed to find memory cgroup, you may need to add"),),
        check="cgroup.delegation.memory",
    ),
    Failure(
        "cgroup-controller",
        "the controller {controller} is not delegated",
        "K3s needs cpu, cpuset, memory and pids in its own cgroup; systemd delegates cpuset only"
        " if it is configured to",
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
        "delegation of the controller {controller} is configured, but not effective yet",
        "the user manager gets its controllers when it starts; a changed Delegate= reaches it at"
        " the next login, and its units when it is re-executed (observed on systemd 252 and 257)",
        user("log in again, then run `k3s-rootless up`", "ssh localhost true", "k3s-rootless up"),
        (),
        check="cgroup.delegation.{controller}",
        same_lines_as="cgroup-controller",
    ),
    Failure(
        "systemd-old",
        "this systemd release is too old to delegate the controller {controller}",
        "systemd can delegate cpuset from release 244 on; older releases accept Delegate=cpuset"
        " and ignore it",
        administrator("upgrade to a distribution with systemd 244 or later (RHEL 9, Debian 11)"),
        (),
        check="cgroup.delegation.{controller}",
        same_lines_as="cgroup-controller",
    ),
    Failure(
        "cgroup-delegation",
        "no controllers are delegated to K3s",
        "K3s runs outside its unit, in the cgroup of a login session, which belongs to root; or the"
        " unit sets Delegate=no",
        user("run K3s as its systemd unit, which requests delegation", "k3s-rootless up"),
        (
            sign("delegated", r"delegated cgroup v2 controllers are required"),
            sign(
                "Disabling cgroup",
                r"cgroup v2 controllers are not delegated for rootless",
                "K3s runs without cgroups, because no controllers are delegated",
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
        "the K3s unit does not request delegation",
        "a drop-in, or a unit from another source, sets Delegate=no; K3s then gets no"
        " controllers, even if the host delegates them",
        user(
            "remove Delegate= from the drop-in that sets it, or rewrite the unit",
            "systemctl --user cat k3s-rootless.service",
            "k3s-rootless up --force",
        ),
        (),
        check="cgroup.delegation",
        same_lines_as="cgroup-delegation",
    ),
    Failure(
        "cgroup-v1",
        "this host uses cgroup v1",
        "rootless K3s needs the controllers on cgroup v2; a controller that is in use on v1 is"
        " not available on v2",
        administrator(
            "boot with cgroup v2 only: add systemd.unified_cgroup_hierarchy=1 to the kernel"
            " command line",
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
        "a program did not find the user's cgroup in /sys/fs/cgroup/user.slice",
        "in WSL 2.9 and in containers, the cgroup is in another place; k3s-rootless gets the path"
        " from systemd",
        user("K3s is not affected; use a program that gets the path from systemd"),
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
        "with CONFIG_RT_GROUP_SCHED, real-time tasks in the user's slice (pipewire, rtkit) block"
        " the controller cpu",
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
        "the kubelet cannot create its cgroups",
        "controllers disappeared while K3s was running (systemd #8364), or processes remain in"
        " the parent cgroup",
        user("restart K3s", RESTART),
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
        "this K3s release cannot clear its root cgroup (K3s #13667)",
        "v1.32.12, v1.33.8, v1.34.4 and v1.35.1 contain a rootlesskit with which rootless K3s"
        " cannot start",
        user(
            "use a later patch release of the same minor release", "k3s-rootless check k3s.version"
        ),
        (sign("evacuate root cgroup", r"failed to evacuate root cgroup"),),
        check="k3s.version",
    ),
    Failure(
        "userns-noise",
        "a usual message in a user namespace",
        "the kernel forbids this operation in a user namespace, and the kubelet works without it",
        user("no action is needed"),
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
        "a usual message of a successful start",
        "the servers of K3s answer late in a slow start, and K3s works without kernel modules"
        " that nftables replaces",
        user("no action is needed"),
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
