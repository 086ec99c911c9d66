"""Recipe of the machine's image.

The digest of the recipe names the image in the cache.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.debian import bootstrap, releases
from tests.debian.releases import Release

PACKAGES = (
    *(*releases.SYSTEM, "polkitd", "udev"),
    *(*releases.FOR_K3S, "iptables"),
    *(*releases.FOR_TESTS, "openssh-server"),
    *("linux-image-cloud-amd64", "busybox-static"),
)
CUSTOMIZE = Path(__file__).with_name("customize.sh")
DISK_SIZE = "8G"
"""The file is sparse."""

INIT = b"""\
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in /modules/*; do /bin/busybox insmod "$module"; done
/bin/busybox mount -t ext4 /dev/vda /root
/bin/busybox mount -t ext4 -o ro /dev/vdb /root/payload
/bin/busybox mount --bind /root/payload/opt /root/opt
/bin/busybox mount --bind /root/payload/usr/local/bin /root/usr/local/bin
exec /bin/busybox switch_root /root /sbin/init
"""
"""Init program of the initrd: it mounts the root file system and the payload."""

MODULES = ("virtio_pci", "virtio_blk", "ext4")
"""Modules that the init program needs; most of the drivers are built into the kernel."""

KERNEL_COMMAND_LINE = (
    "root=/dev/vda console=ttyS0 loglevel=4 systemd.show_status=no net.ifnames=0 mitigations=off"
    " audit=0"
)


def digest(release: Release) -> str:
    """Return a short name for the image of `release` with these inputs and this code."""
    here = Path(__file__)
    inputs = (
        CUSTOMIZE,
        here,
        here.with_name("image.py"),
        here.with_name("cpio.py"),
        Path(bootstrap.__file__),
    )
    seed = repr((release, PACKAGES)).encode()
    return hashlib.sha256(b"\0".join([seed, *(path.read_bytes() for path in inputs)])).hexdigest()[
        :16
    ]
