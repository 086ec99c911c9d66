"""Failures of file systems and disks."""

from __future__ import annotations

from k3s_rootless.journal.catalogue.entry import (
    Failure,
    Weight,
    administrator,
    environment,
    option,
    other_data_directory,
    own_file,
    sign,
    user,
)

FAILURES = (
    Failure(
        "home-remote",
        "K3s cannot use the file system of the data directory",
        "NFS, CIFS and similar file systems do not support subordinate ids, and their locks are"
        " unreliable",
        other_data_directory("use a data directory on a local disk that you can write to"),
        (
            sign(
                "lchown ",
                r"(?<!: )lchown \S{1,300}?: (operation not permitted|invalid argument)",
                weight=Weight.SURVIVED,
            ),
            sign("database is locked", r"database is locked", weight=Weight.SURVIVED),
            sign(
                "failed to lock ",
                r"failed to lock \S{1,300}?: .{1,100}",
                "the state directory cannot be locked",
            ),
        ),
        check="storage.type",
        transient=True,
    ),
    Failure(
        "data-readonly",
        "K3s cannot write {path}: its file system is mounted read-only",
        "/etc/fstab mounts it read-only, or the kernel did so after disk errors, which the kernel"
        " log shows",
        administrator(
            "check the kernel log for disk errors; if there are none, mount the file system"
            " read-write",
            "sudo dmesg --level=err,warn | tail",
            'sudo mount -o remount,rw "$(findmnt --noheadings --output TARGET --target'
            ' ~/.rancher/k3s | tail -1)"',
            "k3s-rootless up",
        ),
        (
            sign(
                ": read-only file system",
                r'level=fatal msg="[^"]{0,600}?(?P<path>/(?!sys/|proc/)[^\s:"]{1,300}): read-only'
                r" file system",
            ),
            sign(
                "extracting data: ",
                r"extracting data: read-only file system",
                "K3s cannot write its data directory: its file system is mounted read-only",
            ),
            sign(
                "attempt to write a readonly database",
                r"attempt to write a readonly database",
                "K3s cannot write its datastore",
                weight=Weight.SURVIVED,
            ),
        ),
        check="storage.mount",
    ),
    Failure(
        "extraction-damaged",
        "the k3s program is damaged: its content does not match its own checksums",
        "the download was incomplete or changed, or the disk loses data",
        user(
            "download this release of k3s again, compare its checksum with the sha256sum file of"
            " the release, and replace the damaged program",
            'sha256sum "$(command -v k3s)"',
            "rm -rf ~/.rancher/k3s/data/*-tmp",
            "k3s-rootless up",
        ),
        (
            sign(
                "failed to verify directory", r"failed to verify directory (?P<path>[^\"]{1,400})"
            ),
            # The message of a failed system call starts with the name of the call. All other errors
            # come from the decompressor, which has many (v1.36.3: zstd).
            sign(
                "extracting data: ",
                r"extracting data: error writing to \S{1,500}: (?!(?:write|open|close|sync) )",
            ),
            sign("extracting data: ", r"extracting data: tar error: (?!(?:read|write|open) )"),
        ),
    ),
    Failure(
        "noexec",
        "programs in the data directory cannot be executed",
        "K3s unpacks its programs there; the file system is mounted noexec, or K3s cannot write"
        " there",
        other_data_directory("use a data directory where you can write files and execute programs"),
        (
            sign(
                "failed: permission denied",
                r"exec (?P<path>\S{1,300}?/bin/k3s-\w{1,32}) failed: permission denied",
            ),
            # Since Go 1.20, LookPath skips files that the kernel would not run.
            sign('"k3s-server', r'exec: "k3s-\w{1,32}": executable file not found in \$PATH'),
            sign(
                "extracting data: ",
                r"extracting data: no such file or directory",
                "K3s cannot write its data directory",
            ),
            sign(
                "extracting data: ",
                r"extracting data: (mkdir (?!/var/lib/rancher)\S{1,300}?: )?permission denied",
                "this user cannot write to the data directory",
                check="storage.data",
            ),
            sign(
                "permission denied", r"(FATA\[\d+\]|level=fatal msg=\")\s{0,8}\"?permission denied"
            ),
            sign(
                "directory under /tmp",
                r"creating (bind0 directory|a directory) under /tmp: .{1,100}",
                "K3s cannot write to /tmp",
                check="storage.tmp",
            ),
        ),
        check="storage.mount",
    ),
    Failure(
        "device-unknown",
        "the kubelet does not find the device of the data directory",
        "btrfs and overlay file systems have device numbers of their own, which the statistics of"
        " the kubelet do not contain",
        own_file(
            "turn off the measurement (before v1.25:"
            " feature-gates=LocalStorageCapacityIsolation=false), or move the data directory to"
            " ext4 or xfs",
            "kubelet-arg:",
            "- local-storage-capacity-isolation=false",
        ),
        (
            sign(
                "could not find device with major",
                r"could not find device with major: \d+, minor: \d+ in cached partitions map",
            ),
            # Each start prints this once, before the first statistics of containerd exist.
            sign(
                "invalid capacity 0",
                r"failed multiple times in a row\W.{0,20}invalid capacity 0 on image filesystem",
                weight=Weight.NOTE,
            ),
            sign(
                "invalid capacity 0",
                r"invalid capacity 0 on image filesystem",
                weight=Weight.BENIGN,
            ),
        ),
    ),
    Failure(
        "disk-full",
        "the disk is full, or the user's disk quota is reached",
        "Kubernetes evicts Pods when the file system of the data directory has less than 5 % free"
        " space; free space of `/` does not count",
        user("free disk space, or move the data directory", "df -h ~/.rancher", "quota -s"),
        (
            sign(
                "disk-pressure",
                r"node\.kubernetes\.io/disk-pressure",
                "the node is under disk pressure",
                weight=Weight.SURVIVED,
            ),
            sign(
                "garbage collect required",
                r"failed to garbage collect required amount of images",
                weight=Weight.SURVIVED,
            ),
            sign(
                "[DiskPressure]",
                r"condition: \[DiskPressure\]",
                "the node is under disk pressure",
                weight=Weight.SURVIVED,
            ),
            sign(
                "extracting data: ",
                r"extracting data: .{0,400}?no space left on device",
                "there is not enough disk space to unpack K3s",
            ),
            sign("disk quota exceeded", r"disk quota exceeded", weight=Weight.SURVIVED),
            sign(
                "no space left on device",
                r"(?<!/proc/self/exe: )no space left on device",
                weight=Weight.SURVIVED,
            ),
        ),
        check="storage.space",
        exhausted=True,
    ),
    Failure(
        "socket-path",
        "the path of a socket is too long",
        "the path of a socket has at most 107 bytes, and K3s creates some sockets in the data"
        " directory",
        option(
            "use a data directory with a shorter path; K3s starts with an empty cluster there",
            "data-dir",
            "~/k3s",
        ),
        (
            sign(
                "bind: invalid argument",
                r"listen unix (?P<path>\S{1,600}?): bind: invalid argument",
            ),
            sign("socket path is too long", r"the specified API socket path is too long"),
        ),
        check="storage.socket",
    ),
    Failure(
        "host-path",
        "a directory cannot be created or mounted",
        "below /etc, /run and /var/lib, Pods and K3s see copies of the directories of the host,"
        " not the originals",
        environment(
            "make more directories of the host visible to K3s", "K3S_ROOTLESS_COPYUPDIRS=/data"
        ),
        (
            sign(
                "failed to setup mount",
                r"failed to setup mount (?P<target>\S{1,300}?) => \S{1,300}",
                "{target} cannot be mounted",
            ),
            sign(
                "cannot create directory",
                r"mkdir: cannot create directory .{1,300}?: Permission denied",
                weight=Weight.NOTE,
            ),
        ),
    ),
    Failure(
        "copyup-invalid",
        "K3S_ROOTLESS_COPYUPDIRS names {path}, which cannot be copied up",
        "each of its directories must exist, and /tmp is not allowed",
        environment(
            "list only directories that exist, or remove the value", "K3S_ROOTLESS_COPYUPDIRS="
        ),
        (
            sign("cannot be copied up", r"(?P<path>/tmp) cannot be copied up"),
            sign(
                "failed to create bind mount on",
                r"failed to create bind mount on (?P<path>\S{1,300}?): .{1,60}",
            ),
        ),
    ),
)
