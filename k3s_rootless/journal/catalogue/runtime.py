"""Failures of limits, security modules and containers around K3s, and crashes of K3s itself."""

from __future__ import annotations

from k3s_rootless.journal.catalogue.entry import (
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
        "an error in K3s itself; what follows in the journal is the state of its threads",
        user(
            "start it again; where it crashes again, tell K3s's authors, with the first lines of"
            " this",
            "k3s-rootless up",
            "xdg-open https://github.com/k3s-io/k3s/issues",
        ),
        (sign(": ", r"^(?P<what>(?:panic|fatal error): .{1,300})"),),
    ),
    Failure(
        "inotify",
        "a limit of this user is reached: inotify watchers",
        "all programs of a user share 128 instances by default; `too many open files` is not about"
        " files here",
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
    ),
    Failure(
        "unit-tasks-limit",
        "K3s cannot create a process or a thread: a limit on tasks is reached",
        "TasksMax= of the unit or of a slice above it, or LimitNPROC=, is too low; K3s and its Pods"
        " need some hundreds of tasks, and K3s's own unit sets no limit",
        user(
            "see which of these limits is low, and raise that one",
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
    ),
    Failure(
        "unit-open-files-limit",
        "K3s cannot open another file or socket: its limit on open files is reached",
        "LimitNOFILE= of the unit, or the limit of the user manager above it, is too low; K3s's own"
        " unit sets no limit",
        user(
            "see which of these limits is low, and raise that one",
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
    ),
    Failure(
        "selinux",
        "SELinux keeps K3s, or a Pod, from something",
        "its policy knows /var/lib/rancher, not the home directory; --selinux is not supported"
        " there",
        option(
            "leave SELinux out, and use fuse-overlayfs",
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
        "/dev/kmsg is not there, as in many containers",
        "K3s covers it with /dev/null where it may not read it, which takes something to cover",
        administrator(
            "pass /dev/kmsg on to the container, or let a link to /dev/null stand for it",
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
        "the container or machine around K3s withholds something: {what}",
        "Docker, LXC and Proxmox mask files of /proc and /sys, and devices",
        administrator(
            "give it what it lacks: nesting and keyctl in LXC, --privileged in Docker; /dev/kmsg,"
            " /dev/fuse and /dev/net/tun",
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
