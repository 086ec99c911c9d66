"""The Debian releases of which machines are made, one for each systemd that the tests want."""

from __future__ import annotations

from dataclasses import dataclass

from tests.debian import apt
from tests.machine import MachineError

SYSTEM = ("systemd", "systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd")
"""Both managers, and logins."""
FOR_K3S = ("rootlesskit", "slirp4netns", "fuse-overlayfs", "fuse3", "uidmap", "iproute2", "kmod")
"""What rootless K3s needs of its host."""
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
    """What a machine is made of: a Debian, and the source packages that it borrows from others."""

    name: str
    base: str
    borrowed: tuple[tuple[str, str], ...] = ()
    """Pairs of a source package and the release that it comes from."""
    required: bool = True
    """Whether tests of all layers may not do without it."""

    def sources(self) -> str:
        """Return apt's one-line sources."""
        releases = dict.fromkeys((self.base, *(release for _, release in self.borrowed)))
        return "".join(apt.sources(release) for release in releases)

    def preferences(self) -> str:
        """Return apt's preferences: of another release, nothing but what is borrowed."""
        return "\n".join(
            _BORROWED.format(packages=f"src:{name}", release=release)
            for name, release in self.borrowed
        )


# The stand-in starts rootlesskit 2, which Debian 12 does not have; K3s brings its own.
_ROOTLESSKIT = ("rootlesskit", "trixie")
_ALL = (
    # Debian 11 itself has Python 3.9. Not required: one day the mirrors will have moved it to the
    # archive.
    # systemd 247
    Release("bullseye", "bookworm", (("systemd", "bullseye"), _ROOTLESSKIT), required=False),
    Release("bookworm", "bookworm", (_ROOTLESSKIT,)),  # systemd 252
    Release("trixie", "trixie"),  # systemd 257
    Release("forky", "forky"),  # the newest: 262 in November 2026
)
NAMES = tuple(release.name for release in _ALL)


def find(name: str) -> Release:
    """Return the release called `name`."""
    for release in _ALL:
        if release.name == name:
            return release
    raise MachineError(f"no machine can be made of {name!r}; of these: {', '.join(NAMES)}")
