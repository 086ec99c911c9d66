"""Changes that an administrator makes to a host for rootless K3s.

Each record is one change, which can be made twice and can be undone. The script of
`check --admin-script` is built from these records; see units/administrator.sh.j2 for the commands
of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

MODES = {
    "/tmp": "1777",  # noqa: S108 (a mode; no file is created here)
    "/var/tmp": "1777",  # noqa: S108
    "/dev/net/tun": "666",
    "/dev/fuse": "666",
    "/usr/bin/newuidmap": "u+s",
    "/usr/bin/newgidmap": "u+s",
    "/usr/local/bin/newuidmap": "u+s",
    "/usr/local/bin/newgidmap": "u+s",
}
"""The only paths with a mode that root may change, each with its mode as chmod(1) accepts it.

A path that a user's setting names (TMPDIR, PATH) must not be in this list: the user could replace
the path by a link.
"""


class Then(Enum):
    """The program that must be notified of a written file."""

    NOTHING = ""
    SYSTEMD = "systemd"
    APPARMOR = "apparmor"
    UDEV = "udev"


@dataclass(frozen=True, slots=True)
class File:
    """Write a file with a name of our own; the previous file is kept, and undo restores it."""

    path: str
    text: str
    then: Then = Then.NOTHING


@dataclass(frozen=True, slots=True)
class Sysctl:
    """Set a sysctl now and at later boots; with `least`, a higher value stays."""

    key: str
    value: str
    least: bool = False


@dataclass(frozen=True, slots=True)
class Module:
    """Load a kernel module now and at each boot."""

    name: str


@dataclass(frozen=True, slots=True)
class Package:
    """Install the package that contains a program or unit.

    `brings` is `newuidmap`, `mount.fuse3`, or the bus of user sessions (`dbus.socket`).
    """

    brings: str


@dataclass(frozen=True, slots=True)
class SubordinateIds:
    """Assign 65536 subordinate user and group ids to a user that no other user has."""

    user: str


@dataclass(frozen=True, slots=True)
class Mode:
    """Change the mode of a system file in `MODES`, which root must own.

    Raises ValueError for any other path.
    """

    path: str

    def __post_init__(self) -> None:
        if self.path not in MODES:
            raise ValueError(f"the mode of {self.path!r} must not be changed: it is not in MODES")


@dataclass(frozen=True, slots=True)
class PlainFile:
    """Replace a symbolic link by a file with the same content."""

    path: str


@dataclass(frozen=True, slots=True)
class BootArgument:
    """Add arguments to the kernel command line."""

    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Linger:
    """Enable lingering: the user manager runs without a session."""

    user: str


Measure = (
    File | Sysctl | Module | Package | SubordinateIds | Mode | PlainFile | BootArgument | Linger
)
