"""What an administrator does to a host for rootless K3s: each one thing, that can be done twice and
taken back.

The script of `check --admin-script` is made of these; see units/administrator.sh.j2 for what each
becomes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

MODES = {
    "/tmp": "1777",  # noqa: S108 (its mode, no file in it)
    "/var/tmp": "1777",  # noqa: S108
    "/dev/net/tun": "666",
    "/dev/fuse": "666",
    "/usr/bin/newuidmap": "u+s",
    "/usr/bin/newgidmap": "u+s",
    "/usr/local/bin/newuidmap": "u+s",
    "/usr/local/bin/newgidmap": "u+s",
}
"""The only paths whose mode root may be asked to change, each with its mode as chmod(1) takes it.

A path that a setting of the user names (TMPDIR, PATH) is none of them: the user could replace it by
a link.
"""


class Then(Enum):
    """What has to hear of a file that was written."""

    NOTHING = ""
    SYSTEMD = "systemd"
    APPARMOR = "apparmor"
    UDEV = "udev"


@dataclass(frozen=True, slots=True)
class File:
    """Write a file of our own name, whole; what was there is kept and comes back."""

    path: str
    text: str
    then: Then = Then.NOTHING


@dataclass(frozen=True, slots=True)
class Sysctl:
    """Set a sysctl now and for later boots; with `least`, one that is higher stays."""

    key: str
    value: str
    least: bool = False


@dataclass(frozen=True, slots=True)
class Module:
    """Load a kernel module now and at each boot."""

    name: str


@dataclass(frozen=True, slots=True)
class Package:
    """Install what brings a program: `newuidmap`, `mount.fuse3`, or the bus of user sessions
    (`dbus.socket`).
    """

    brings: str


@dataclass(frozen=True, slots=True)
class SubordinateIds:
    """Give a user 65536 subordinate user and group ids that nobody else has."""

    user: str


@dataclass(frozen=True, slots=True)
class Mode:
    """Change the mode of a system file of `MODES`, which root must own.

    Raises ValueError for any other path.
    """

    path: str

    def __post_init__(self) -> None:
        if self.path not in MODES:
            raise ValueError(f"{self.path!r} is no system file whose mode may change")


@dataclass(frozen=True, slots=True)
class PlainFile:
    """Replace a symbolic link by a file of the same content."""

    path: str


@dataclass(frozen=True, slots=True)
class BootArgument:
    """Add arguments to the kernel's command line."""

    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Linger:
    """Let a user's manager run without a session."""

    user: str


Measure = (
    File | Sysctl | Module | Package | SubordinateIds | Mode | PlainFile | BootArgument | Linger
)
