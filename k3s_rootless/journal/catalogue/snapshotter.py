"""Failures of snapshotters, and of containerd because of them."""

from __future__ import annotations

from k3s_rootless.journal.catalogue.entry import (
    RESTART,
    Failure,
    Weight,
    administrator,
    option,
    sign,
    user,
)

_OVERLAY = option(
    "use the snapshotter fuse-overlayfs, or a data directory on a local ext4 or xfs file system",
    "snapshotter",
    "fuse-overlayfs",
)

FAILURES = (
    Failure(
        "snapshotter-fuse",
        "fuse-overlayfs does not work on this host",
        "containerd needs /dev/fuse and mount.fuse3, which K3s does not include; K3s keeps"
        " running and retries without end",
        administrator(
            "install the package fuse3, load the module fuse, and make /dev/fuse accessible to"
            " all users",
            "sudo apt-get install fuse3   # or: dnf, zypper install fuse3",
            "sudo modprobe fuse",
            "sudo chmod 666 /dev/fuse",
        ),
        (
            sign(
                "mount.fuse3",
                r'exec: "mount\.fuse3": executable file not found',
                "fuse-overlayfs does not work: mount.fuse3 is missing",
            ),
            sign(
                "fuse-overlayfs",
                r'"?fuse-overlayfs"? snapshotter cannot be enabled|fuse-overlayfs not functional',
            ),
            sign(
                "fuse: ",
                r"fuse: device not found, try 'modprobe fuse' first|failed to exec fusermount3",
                "fuse-overlayfs does not work: FUSE is not available",
                check="device.fuse",
            ),
        ),
        check="snapshotter.mount_fuse3",
        waits="node",
    ),
    Failure(
        "snapshotter-overlay",
        "overlayfs does not work on this host: {why}",
        "mounting overlayfs without root needs Linux 5.11 and a supported file system: not NFS,"
        " ecryptfs, or ZFS before 2.2",
        _OVERLAY,
        (
            sign(
                "snapshotter cannot be enabled",
                r'"?overlayfs"? snapshotter cannot be enabled for .{0,1000}?failed to mount'
                r" overlay: (?P<why>[\w ]{1,60})",
            ),
            sign(
                "overlayfs: filesystem",
                r"overlayfs: filesystem on '(?P<path>[^']{1,300})' not supported as upperdir",
                "overlayfs does not work on {path}",
            ),
            sign(
                "rootfs component &{overlay",
                r"failed to mount rootfs component &\{overlay",
                "overlayfs cannot be mounted",
                weight=Weight.SURVIVED,
            ),
            sign("d_type", r"does not support d_type", "overlayfs needs a file system with d_type"),
        ),
        check="snapshotter.overlayfs",
    ),
    Failure(
        "containerd-plugin",
        "containerd runs, but cannot run pods: one of its plugins failed to load",
        "the reason is in containerd's own log; K3s keeps running and retries without end. With"
        " images that were pulled lazily (the snapshotter stargz), containerd must reach their"
        " registry when it starts, also after a change to another snapshotter",
        user(
            "read the reason, and correct it; the page about images describes how containerd"
            " starts without a registry",
            "k3s-rootless containerd check",
            "k3s-rootless containerd edit",
            RESTART,
        ),
        (
            sign(
                "unknown service runtime.v1",
                r"Waiting for containerd startup: .{0,100}unknown service"
                r" runtime\.v1\w{0,10}\.RuntimeService",
            ),
        ),
        waits="node",
        effect=True,
    ),
)
