"""Failures of limits, security modules and containers around K3s, and crashes of K3s itself."""

from __future__ import annotations

from k3s_rootless.journal.catalogue.entry import (
    RESTART,
    Failure,
    Weight,
    administrator,
    option,
    sign,
    sysctl,
    user,
)

FAILURES = (
    Failure(
        "panic",
        "K3s crashed: {what}",
        "this is a bug in K3s; the following lines in the journal are the stacks of its goroutines",
        user(
            "start K3s again; if it crashes again, report the first lines of this output to the"
            " authors of K3s",
            "k3s-rootless up",
            "xdg-open https://github.com/k3s-io/k3s/issues",
        ),
        (sign(": ", r"^(?P<what>(?:panic|fatal error): .{1,300})"),),
        effect=True,
    ),
    Failure(
        "containerd-exited",
        "containerd exited, and K3s with it: {why}",
        "K3s then starts its server again by itself, but its forwarded ports no longer answer"
        " (v1.36.3); `signal: killed` means that a user, a program or the kernel (memory ran out)"
        " killed containerd",
        user(
            "restart K3s; if containerd exits again, read its log",
            RESTART,
            "k3s-rootless containerd check",
        ),
        (sign("containerd exited: ", r'"?containerd exited: (?P<why>[^\\"]{1,200})'),),
        waits="api",
        effect=True,
    ),
    Failure(
        "lease-lost",
        "K3s was too slow to renew a lease, and exited",
        "its components keep leases in the datastore, and exit if they cannot renew one within ten"
        " seconds: the disk or the processor was busy, or the host was suspended; systemd starts"
        " K3s again",
        user(
            "wait for the next start; if it happens often, stop other programs that use the disk or"
            " the processor, or use a data directory on a faster disk",
            "k3s-rootless status",
            "k3s-rootless check host.processors host.memory",
        ),
        (
            sign("eaderelection lost", r'"[Ll]eaderelection lost(?:/stopped)?"'),
            sign("leaderelection lost for", r"leaderelection lost for [\w.-]{1,100}"),
        ),
        weight=Weight.SURVIVED,
        effect=True,
    ),
    Failure(
        "inotify",
        "a limit of this user is reached: inotify instances or watches",
        "by default, all programs of a user share 128 inotify instances; `too many open files`"
        " does not refer to files here",
        sysctl(
            "60-inotify.conf",
            "fs.inotify.max_user_instances=1024",
            "fs.inotify.max_user_watches=1048576",
        ),
        (
            sign("inotify_init", r"inotify_init: too many open files"),
            sign("fsnotify watcher", r"failed to create fsnotify watcher: too many open files"),
            sign("directory watch", r"Failed to allocate directory watch: Too many open files"),
        ),
        weight=Weight.SURVIVED,
        check="sysctl.inotify_instances",
        exhausted=True,
    ),
    Failure(
        "unit-tasks-limit",
        "K3s cannot create a process or a thread: a task limit is reached",
        "TasksMax= of the unit or of a slice above it, or LimitNPROC=, is too low; K3s and its"
        " Pods need some hundreds of tasks, and the unit of the K3s project sets no limit",
        user(
            "check which of these limits is low, and raise it",
            "systemctl --user show k3s-rootless.service -p TasksMax -p LimitNPROC -p DropInPaths",
            "k3s-rootless check host.tasks",
        ),
        (
            sign(
                "resource temporarily unavailable",
                r"fork/exec \S{1,300}?: resource temporarily unavailable",
            ),
            sign(
                "failed to create new OS thread",
                r"runtime: failed to create new OS thread",
                weight=Weight.FATAL,
            ),
            sign(
                "pthread_create failed",
                r"pthread_create failed: Resource temporarily unavailable",
                weight=Weight.FATAL,
            ),
        ),
        weight=Weight.SURVIVED,
        check="host.tasks",
        exhausted=True,
    ),
    Failure(
        "unit-open-files-limit",
        "K3s cannot open another file or socket: its limit on open files is reached",
        "LimitNOFILE= of the unit, or the limit of the user manager, is too low; the unit of the"
        " K3s project sets no limit",
        user(
            "check which of these limits is low, and raise it",
            "systemctl --user show k3s-rootless.service -p LimitNOFILE -p DropInPaths",
            "k3s-rootless check host.files",
        ),
        (
            sign(
                "too many open files",
                r"(?:\b(?:open|dial|socket|accept4?|pipe2?|dup3?|fork/exec|epoll_create1)\b)"
                r".{0,600}?:"
                r" too many open files",
            ),
        ),
        weight=Weight.SURVIVED,
        check="host.files",
        exhausted=True,
    ),
    Failure(
        "selinux",
        "SELinux denies an operation of K3s or of a Pod",
        "the SELinux policy covers /var/lib/rancher, not the home directory, where --selinux is"
        " not supported",
        option(
            "turn off the option selinux, and use fuse-overlayfs",
            "snapshotter",
            "fuse-overlayfs",
            "k3s-rootless config set selinux false",
        ),
        (
            sign("preparing rootfs caused", r"preparing rootfs caused: permission denied"),
            sign("not running in context", r"process is not running in context '\w{1,64}'"),
            sign("avc: ", r"avc:\s{1,4}denied"),
        ),
        weight=Weight.SURVIVED,
        check="security.selinux",
    ),
    Failure(
        "kmsg-missing",
        "/dev/kmsg does not exist, as in many containers",
        "if K3s cannot read /dev/kmsg, it mounts /dev/null over it; for this, /dev/kmsg must exist",
        administrator(
            "pass /dev/kmsg to the container, or create it as a link to /dev/null",
            "echo 'L /dev/kmsg - - - - null' | sudo tee /etc/tmpfiles.d/60-k3s-rootless-kmsg.conf",
            "sudo systemd-tmpfiles --create /etc/tmpfiles.d/60-k3s-rootless-kmsg.conf",
        ),
        (
            sign(
                "no such file or directory",
                r'level=fatal msg="(Error: )?no such file or directory"$',
            ),
        ),
        check="device.kmsg",
    ),
    Failure(
        "nested",
        "the container or virtual machine around K3s does not provide {what}",
        "Docker, LXC and Proxmox mask files in /proc and /sys, and devices",
        administrator(
            "provide what is missing: nesting and keyctl in LXC, --privileged in Docker, and the"
            " devices /dev/kmsg, /dev/fuse and /dev/net/tun",
            "systemd-detect-virt --container",
        ),
        (
            sign(
                "failed to create kubelet: open /dev/kmsg",
                r"failed to create kubelet: open (?P<what>/dev/kmsg): .{1,100}",
            ),
            sign("open /dev/kmsg", r"^open (?P<what>/dev/kmsg): .{1,100}"),
            sign("failed to mount ", r"failed to mount (?P<what>procfs|cgroup2)"),
            sign(
                "failed to mount sysfs", r"failed to mount (?P<what>sysfs)", weight=Weight.SURVIVED
            ),
            sign(
                "as the root user is unsupported",
                r"Running RootlessKit as the root user is unsupported",
                "K3s was started as root in rootless mode, which is not supported",
                check="user.nonroot",
                weight=Weight.SURVIVED,
            ),
        ),
    ),
)
