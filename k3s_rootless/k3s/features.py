"""The K3s releases that introduced each feature or change.

Read from K3s's own tags and release notes (2021 to October 2026).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from k3s_rootless.k3s.version import Version, parse


@dataclass(frozen=True, slots=True)
class Since:
    """A change that reached several release lines.

    `firsts` are the first release of each of these lines; all later lines have the change as well.
    """

    firsts: tuple[Version, ...]

    @classmethod
    def of(cls, *texts: str) -> Since:
        """Create it from version texts in any order."""
        versions = map(parse, texts)
        return cls(tuple(sorted(version for version in versions if version is not None)))

    def holds(self, version: Version) -> bool:
        """Return whether this release has the change."""
        for first in self.firsts:
            if first.line == version.line:
                return first <= version
        return version > self.firsts[-1]


class UnitVariant(Enum):
    """The two versions of K3s's k3s-rootless.service, by the arguments of ExecStart.

    The unit never had other contents (commits 6e8284e3d and daf527cca).
    """

    PLAIN = "server --rootless"
    FUSE_OVERLAYFS = "server --rootless --snapshotter=fuse-overlayfs"


UNIT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The value of `Environment=PATH=` in K3s's unit, in all releases."""
FIRST_UNIT = Since.of("v1.21.0-alpha1")
"""Older tags contain no rootless unit, and handle cgroups in another way."""
FUSE_OVERLAYFS_UNIT = Since.of("v1.22.0-alpha1")
CONTROLLERS_REQUIRED = Since.of("v1.22.0-alpha1")
"""1.21 runs without cgroups if controllers are missing; later releases exit (K3s #4065)."""
FIXED_STATE_DIRECTORY = Since.of("v1.26.14+k3s1", "v1.27.11+k3s1", "v1.28.7+k3s1", "v1.29.2+k3s1")
"""rootlesskit's state is in `<data directory>/rootless`.

In earlier releases, it is in `$TMPDIR/rootless<digits>` (K3s #9308).
"""
NODE_PORTS_FORWARDED = Since.of("v1.26.15+k3s1", "v1.27.12+k3s1", "v1.28.8+k3s1", "v1.29.3+k3s1")
PREFER_BUNDLED_BIN = Since.of("v1.23.15+k3s1", "v1.24.9+k3s1", "v1.25.5+k3s1", "v1.26.0+k3s1")
SNAPSHOTTERS: dict[str, Since | None] = {
    "fuse-overlayfs": Since.of("v1.20.0+k3s1"),
    "overlayfs": None,
    "native": None,
    "stargz": Since.of("v1.22.2+k3s1"),
    "nix": Since.of("v1.33.10+k3s1", "v1.34.6+k3s1", "v1.35.3+k3s1", "v1.36.0+k3s1"),
}
"""The containerd snapshotters of K3s, and the releases that introduced them.

None means all releases. Source: the K3s commits 05f625543 and 8b857eef9.
"""
UDP_FORWARDED = Since.of("v1.32.11+k3s3", "v1.33.7+k3s3", "v1.34.3+k3s3", "v1.35.0+k3s1")
ROOTLESS_VARIABLES = Since.of("v1.23.15+k3s1", "v1.24.9+k3s1", "v1.25.5+k3s1", "v1.26.0+k3s1")
"""K3s reads K3S_ROOTLESS_MTU, _CIDR, _ENABLE_IPV6, _PORT_DRIVER and _DISABLE_HOST_LOOPBACK.

Source: K3s #6498.
"""
COPY_UP_DIRECTORIES = Since.of("v1.28.15+k3s1", "v1.29.10+k3s1", "v1.30.6+k3s1", "v1.31.2+k3s1")
"""K3s reads K3S_ROOTLESS_COPYUPDIRS (K3s #10386)."""
DATA_DIR_VARIABLE = Since.of("v1.28.13+k3s1", "v1.29.8+k3s1", "v1.30.4+k3s1", "v1.31.0+k3s1")
"""K3s reads K3S_DATA_DIR; before, K3s set it itself (its commits 9111b1f77 and a26a5ab1d)."""
CONVERTED_TO_ETCD = Since.of("v1.22.2+k3s1")
"""`--cluster-init` converts SQLite to etcd (K3s docs, High Availability Embedded etcd).

The commit is 741ba95b0 of April 2021.
"""
MISSING_CONFIG_IGNORED = Since.of("v1.28.13+k3s1", "v1.29.8+k3s1", "v1.30.4+k3s1", "v1.31.0+k3s1")
"""K3s ignores a configured configuration file that does not exist.

Earlier releases do not start in this case (K3s commit f246bbc39).
"""

_BROKEN = {
    "v1.35.1+k3s1": "v1.35.2+k3s1",
    "v1.34.4+k3s1": "v1.34.5+k3s1",
    "v1.33.8+k3s1": "v1.33.9+k3s1",
    "v1.32.12+k3s1": "v1.32.13+k3s1",
}
NEWEST_KNOWN_LINE = (1, 37)


def unit_variant(version: Version) -> UnitVariant | None:
    """Return the unit that K3s ships with this release; None for a release without one."""
    if not FIRST_UNIT.holds(version):
        return None
    return UnitVariant.FUSE_OVERLAYFS if FUSE_OVERLAYFS_UNIT.holds(version) else UnitVariant.PLAIN


def repaired_by(version: Version) -> str | None:
    """Return the release that fixes this one; None if rootless K3s can start with this release.

    The releases with the defect are described in K3s #13667.
    """
    return _BROKEN.get(version.text)


def child_to_parent_port(port: int) -> int:
    """Return the host port that K3s forwards to a port or nodePort of a Service.

    The Service's port is in the child namespace. K3s adds 10000 to ports up to and including 1024
    (K3s pkg/rootlessports/controller.go; its documentation states "below 1024"). The API server's
    own port does not belong to a Service: K3s forwards it unchanged, whatever its number is. K3s's
    documentation differs here as well.
    """
    return port + 10000 if port <= 1024 else port
