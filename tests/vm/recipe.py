"""What the machine consists of; the digest of all this names the image in the cache."""

from __future__ import annotations

import hashlib
from pathlib import Path

SUITE = "trixie"
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd", "polkitd", "udev"),
    *("rootlesskit", "slirp4netns", "fuse-overlayfs", "fuse3", "uidmap", "iptables"),
    *("python3", "openssh-server", "iproute2", "kmod", "procps", "curl", "ca-certificates"),
    *("linux-image-cloud-amd64", "busybox-static"),
)
NOT_UNPACKED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/i18n/*")
CUSTOMIZE = Path(__file__).with_name("customize.sh")
DISK_SIZE = "8G"
"""Of a sparse file."""

INIT = b"""\
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox insmod /virtio_blk.ko
/bin/busybox mount -t ext4 /dev/vda /root
/bin/busybox mount -t ext4 -o ro /dev/vdb /root/payload
/bin/busybox mount --bind /root/payload/opt /root/opt
/bin/busybox mount --bind /root/payload/usr/local/bin /root/usr/local/bin
exec /bin/busybox switch_root /root /sbin/init
"""
"""Finds the root file system and the payload: all that the kernel lacks for them is one module."""

KERNEL_COMMAND_LINE = "root=/dev/vda console=ttyS0 loglevel=4 systemd.show_status=no net.ifnames=0 mitigations=off audit=0"


def digest() -> str:
    """Return a short name for an image made of these inputs by this code."""
    inputs = (CUSTOMIZE, Path(__file__), Path(__file__).with_name("image.py"), Path(__file__).with_name("cpio.py"))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in inputs)).hexdigest()[:16]
