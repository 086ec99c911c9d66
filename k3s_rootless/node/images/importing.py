"""The arguments of `ctr images import`, by release and snapshotter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.k3s.features import Since

if TYPE_CHECKING:
    from k3s_rootless.k3s.version import Version

_CONTAINERD_2 = Since.of("v1.31.6+k3s1", "v1.32.2+k3s1")
"""containerd 2 imports through its transfer service, unless `--local` is given."""
_UNPACKED_BY_CTR = frozenset({"overlayfs", "fuse-overlayfs", "native", "btrfs", "zfs"})


def words(release: Version | None, snapshotter: str) -> tuple[str, ...]:
    """Return the words that import an archive from stdin for K3s's snapshotter.

    Without a snapshotter, ctr unpacks the layers for containerd's default, which is another one
    than that of rootless K3s: a second copy that K3s does not use. The transfer service of
    containerd 2 has no configuration for other snapshotters and fails ("no unpack platforms
    defined"). Images of snapshotters that are programs of their own are not unpacked: containerd
    does so when a container needs the image.
    """
    command = ("ctr", "images", "import")
    if snapshotter not in _UNPACKED_BY_CTR:
        return (*command, "--no-unpack", "-")
    if release is None or _CONTAINERD_2.holds(release):
        return (*command, "--local", "--snapshotter", snapshotter, "-")
    return (*command, "--snapshotter", snapshotter, "-")
