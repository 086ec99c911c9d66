"""Debian releases of the machines under test: one for each systemd that the tests need."""

from __future__ import annotations

from dataclasses import dataclass

from tests.debian import apt
from tests.machine import MachineError

SYSTEM = ("systemd", "systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd")
"""Packages of both managers and of logins."""
FOR_K3S = ("rootlesskit", "slirp4netns", "fuse-overlayfs", "fuse3", "uidmap", "iproute2", "kmod")
"""Packages that rootless K3s needs on its host."""
FOR_TESTS = ("python3", "procps", "curl", "ca-certificates")

_BORROWED = """\
Package: *
Pin: release n={release}*
Pin-Priority: -1

Package: {packages}
Pin: release n={release}*
Pin-Priority: 1001
"""


@dataclass(frozen=True)
class Release:
    """Debian release of a machine, and the source packages from other releases."""

    name: str
    base: str
    borrowed: tuple[tuple[str, str], ...] = ()
    """Pairs of a source package and the release that provides it."""
    required: bool = True
    """Whether this release is required where all layers are required."""

    def sources(self) -> str:
        """Return the one-line sources of apt."""
        releases = dict.fromkeys((self.base, *(release for _, release in self.borrowed)))
        return "".join(apt.sources(release) for release in releases)

    def preferences(self) -> str:
        """Return the preferences of apt: from another release, only the borrowed packages."""
        return "\n".join(
            _BORROWED.format(packages=f"src:{name}", release=release)
            for name, release in self.borrowed
        )


# The stand-in needs rootlesskit 2, which Debian 12 does not have; K3s has its own.
_ROOTLESSKIT = ("rootlesskit", "trixie")
_ALL = (
    # Debian 11 itself has Python 3.9. It is not required, because mirrors will move it to the
    # archive some day. It has systemd 247.
    Release("bullseye", "bookworm", (("systemd", "bullseye"), _ROOTLESSKIT), required=False),
    Release("bookworm", "bookworm", (_ROOTLESSKIT,)),  # systemd 252
    Release("trixie", "trixie"),  # systemd 257
    Release("forky", "forky"),  # the newest: 262 in November 2026
)
NAMES = tuple(release.name for release in _ALL)


def find(name: str) -> Release:
    """Return the release `name`."""
    for release in _ALL:
        if release.name == name:
            return release
    raise MachineError(f"no machine can be built from {name!r}; known releases: {', '.join(NAMES)}")
